"""python -m trainers STAGE: the command line of all stages."""

import sys

import tyro

from trainers import classifiers, codes, data, edit, encoder, evaluate, generator, publish

STAGES = {
    "data": data,
    "generator": generator,
    "encoder": encoder,
    "classifiers": classifiers,
    "codes": codes,
    "edit": edit,
    "evaluate": evaluate,
    "publish": publish,
}


def main() -> None:
    stages = {name: stage.Options for name, stage in STAGES.items()}
    options = tyro.extras.subcommand_cli_from_dict(stages, prog="python -m trainers", config=(tyro.conf.OmitArgPrefixes,))
    stage = next(stage for stage in STAGES.values() if stage.Options is type(options))
    try:
        stage.main(options)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
