"""python -m trainers STAGE: the command line of all stages."""

import sys

import tyro

from trainers import classifiers, data, encoder, generator, publish

STAGES = {"data": data, "generator": generator, "encoder": encoder, "classifiers": classifiers, "publish": publish}


def main() -> None:
    options = tyro.extras.subcommand_cli_from_dict({name: stage.Options for name, stage in STAGES.items()}, prog="python -m trainers")
    stage = next(stage for stage in STAGES.values() if stage.Options is type(options))
    try:
        stage.main(options)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
