"""python -m trainers STAGE: the command line of all stages."""

import difflib
import importlib
import sys

# Stage -> its module, which has `Options` and `main(options)`, and what it does. Imported when needed.
STAGES = {
    "data": ("trainers.data", "pictures and labels of a data set -> shards"),
    "generator": ("trainers.nets.generator", "train StyleGAN2 on them"),
    "encoder": ("trainers.nets.encoder", "train an encoder for a generator, or tune both together"),
    "align": ("trainers.nets.align", "bring codes of pictures and samples into one space"),
    "judge": ("trainers.judge", "train a reader of labels, of identity or of labels of codes"),
    "codes": ("trainers.codes", "encode pictures and keep their labels"),
    "edit": ("trainers.edit", "learn one edit on codes and choose its strength"),
    "sweep": ("trainers.sweep.stage", "learn and measure many edits, here or on a cluster"),
    "evaluate": ("trainers.evaluate", "measure edits on test pictures; make tables and figures"),
    "coverage": ("trainers.evaluate.coverage", "learn edits in one more setting; which answers they give"),
    "register": ("trainers.register", "copy a run's model into a registry"),
    "publish": ("trainers.publish", "write a model's card and push it to the Hub"),
    "convert": ("trainers.convert", "convert checkpoints of StyleGAN2, pSp and e4e"),
    "faces": ("trainers.runs.faces", "fetch and convert published networks of faces, learn edits"),
    "benchmark": ("trainers.benchmark", "measure speed"),
}
STOPPED = 130  # exit status after Ctrl-C


def main() -> None:
    """Runs the stage that sys.argv names. A user's errors and Ctrl-C end in a sentence, with no traceback."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return
    from trainers import run  # imports torch, which --help need not wait for

    try:
        options = parse(words)
        stage_named(words[0]).main(options)
    except OSError as error:
        sys.exit(f"error: {sentence(error)}")
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(STOPPED)
    finally:
        run.release()


def overview() -> str:
    lines = [f"  {name:10} {does}" for name, (_, does) in STAGES.items()]
    usage = "usage: python -m trainers STAGE [OPTIONS]; STAGE --help lists the options"
    return "\n".join([usage, "", *lines])


def stage_named(name: str):
    """The module of a stage. ValueError for an unknown name."""
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, 1, 0)[0]
        raise ValueError(f"stage {name!r} is unknown: did you mean {near!r}?")
    return importlib.import_module(STAGES[name][0])


def parse(words: list[str]):
    """The options that a command line such as ["data", "SPEC", ...] means. ValueError for an unknown stage;
    SystemExit with a message for wrong options."""
    try:
        import tyro
    except ModuleNotFoundError as error:
        raise ValueError("the trainers need more libraries: pip install -e '.[train]'") from error
    stage = stage_named(words[0])
    return tyro.cli(stage.Options, prog=f"python -m trainers {words[0]}", args=words[1:],
                    config=(tyro.conf.OmitArgPrefixes,))  # fmt: skip


def sentence(error: OSError) -> str:
    """An OSError in words: "PATH: No space left on device"."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


if __name__ == "__main__":
    main()
