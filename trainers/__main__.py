"""python -m trainers STAGE: the command line of all stages."""

import sys

try:
    import tyro
except ModuleNotFoundError:
    sys.exit("error: the trainers need what requirements-dev.txt names: `make dev` installs it into .venv")

from trainers import (
    attribute_judge,
    benchmark,
    classifiers,
    codes,
    convert,
    data,
    edit,
    evaluate,
    evaluate_labels,
    identity,
    latent_classifier,
    publish,
)
from trainers.nets import encoder, generator, join, match

STAGES = {
    "data": data,
    "generator": generator,
    "encoder": encoder,
    "join": join,
    "match": match,
    "classifiers": classifiers,
    "attribute-judge": attribute_judge,
    "identity": identity,
    "codes": codes,
    "latent-classifier": latent_classifier,
    "edit": edit,
    "evaluate": evaluate,
    "evaluate-labels": evaluate_labels,
    "publish": publish,
    "convert": convert,
    "benchmark": benchmark,
}


def main() -> None:
    options = parse(sys.argv[1:])
    stage = next(stage for stage in STAGES.values() if stage.Options is type(options))
    try:
        stage.main(options)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def parse(words: list[str]):
    """The Options of the stage that the words of a command line name. SystemExit, with help, if they make no sense."""
    stages = {name: stage.Options for name, stage in STAGES.items()}
    return tyro.extras.subcommand_cli_from_dict(
        stages, prog="python -m trainers", args=words, config=(tyro.conf.OmitArgPrefixes,)
    )


if __name__ == "__main__":
    main()
