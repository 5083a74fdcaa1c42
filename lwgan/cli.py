"""The command `lwgan`: serves the page, edits a picture, teaches an edit, lists edits, pulls models from the
Hub."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import lwgan

REGISTRY = "bundled, a folder, a namespace or a collection of the Hub (default: LWGAN_REGISTRY, or bundled)"


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command line. Errors of the user end it with one line and status 1. Each command imports what
    it needs, so that `lwgan --help` does not wait for torch."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported
    options = parser().parse_args(words)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        sys.exit(f"lwgan: {error}")


def parser() -> argparse.ArgumentParser:
    """The command line as argparse describes it."""
    top = argparse.ArgumentParser("lwgan", description=lwgan.__doc__.splitlines()[0])
    top.add_argument("--version", action="version", version=f"lwgan {lwgan.__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    registry = argparse.ArgumentParser(add_help=False)
    registry.add_argument("--registry", metavar="REGISTRY", help=REGISTRY)

    def command(name: str, run, about: str, parents=(registry,)) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=parents, help=about, description=about)
        added.set_defaults(run=run)
        return added

    command("app", lambda options: serve(options.registry), "Serve the page on this machine.")
    edit = command("edit", edit_picture, "Edit a picture, or many pictures alike.")
    several = "for -o OUT.zip also a zip, a folder, a TIFF with pages or a font"
    edit.add_argument("picture", type=Path, help=f"any picture that Pillow opens; {several}")
    named = "an edit of `lwgan list`; without ALPHA at strength 1; may be repeated"
    form = {"action": "append", "required": True, "dest": "edits", "type": _edit, "metavar": "NAME[=ALPHA]"}
    edit.add_argument("--edit", help=named, **form)
    written = "the PNG or zip; with --whole any picture; with --animate a .webp or a .gif"
    edit.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help=written)
    edit.add_argument("--animate", action="store_true", help="write the change from 0 to alpha and back")
    edit.add_argument("--whole", action="store_true", help="put the edited face back into its photograph")
    edit.add_argument("--face", type=int, metavar="N", help="with --whole: which face, from 1, the largest")
    residual = "with --whole: 0 (default) to 1, how much of what the generator cannot draw is added again"
    edit.add_argument("--residual", type=float, metavar="S", help=residual)
    edit.add_argument("--domain", help="the kind of picture (default: that of the first edit)")
    edit.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default)")
    taught = command("teach", teach_edit, "Teach an edit from two folders (or zips) of pictures.")
    for side in ("without", "with"):
        pile = {"dest": f"pile_{side}", "required": True, "type": Path, "metavar": "DIR"}
        taught.add_argument(f"--{side}", help=f"pictures {side} what the edit is to give", **pile)
    taught.add_argument("--name", required=True, help="what --with shows: any words, a label or a change")
    kinds = "place: it looks different (default); choice: one of several things is added or goes"
    taught.add_argument("--kind", choices=("place", "choice"), help=kinds)
    taught.add_argument("-o", "--output", type=Path, metavar="OUT", help="the model folder to write")
    taught.add_argument("--domain", help="the kind of picture (default: the registry's first)")
    taught.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default)")
    command("list", list_edits, "List the edits of a registry.")
    pull = command("pull", pull_models, "Download models from the Hub into the cache.", parents=())
    pull.add_argument("source", metavar="SOURCE", help="a model (org/name), a namespace or a collection")
    copy = "also copy the models here: FOLDER is then a registry"
    pull.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=copy)
    return top


def serve(registry: str | None = None) -> None:
    """Serves the page until it is interrupted. ValueError if gradio is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        from lwgan.page import launch  # imports gradio, which takes seconds
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}: in the clone, pip install '.[app]'") from error
    launch(registry)


def edit_picture(options: argparse.Namespace) -> None:
    """Writes the edited picture. A PNG holds its recipe, so that the page opens it with its edits. If OUT is
    a zip, edits many pictures."""
    from lwgan import many
    from lwgan.files import atomic
    from lwgan.hub.registry import models
    from lwgan.images import open_picture
    from lwgan.pipeline import EditingPipeline
    from lwgan.sources import files_in, opened

    several = options.output.suffix.lower() == ".zip"
    if several and (options.whole or options.animate):
        raise ValueError("--whole and --animate are for one picture, a zip is for many")
    if options.picture.is_dir() and not several:
        raise ValueError(f"{options.picture} is a folder: many pictures are written as a zip, -o OUT.zip")
    given = list(opened(files_in(options.picture), many.MOST)) if several else open_picture(options.picture)
    entries = models(options.registry, whole=False)
    domains = {entry.name: entry.domain for entry in entries}
    named = {name: domains[name] for name, _ in options.edits if name in domains}
    if len(set(named.values())) > 1:
        raise ValueError(f"these edits are for different kinds of pictures: {named}")
    domain = options.domain or next(iter(named.values()), None)
    pipe = EditingPipeline.from_entries(entries, domain, device=options.device)
    for name, _ in options.edits:
        pipe.check_name(name)
    alphas = {name: pipe.scales[name].alpha(1.0) if alpha is None else alpha for name, alpha in options.edits}
    if several:
        batch = many.encode(pipe, given)
        made = many.archive(pipe, batch, many.edit(pipe, batch, alphas), alphas)
    else:
        made = _edited(pipe, given, alphas, options)
    with atomic(options.output) as partial:
        partial.write_bytes(made)


def _edited(pipe, picture, alphas: dict[str, float], options: argparse.Namespace) -> bytes:
    """The bytes that `lwgan edit` writes for one picture."""
    from lwgan import animation, recipe, whole

    kind = animation.kind_of(options.output.name) if options.animate else None
    shares = animation.SHARES if options.animate else (1.0,)
    if options.whole:
        photograph = whole.find(pipe, picture, 1 if options.face is None else options.face)
        pictures = whole.edit(pipe, photograph, alphas, options.residual or 0.0, shares)
        name = options.output.name
        return animation.animation(pictures, kind) if kind else whole.encoded(pictures[0], name)
    if options.face is not None or options.residual is not None:
        raise ValueError("--face and --residual go with --whole")
    if not kind and options.output.suffix.lower() != ".png":
        raise ValueError(f"{options.output.name!r} does not end in .png: the picture is written as a PNG")
    framed = pipe.frame(picture)
    if not kind:
        return recipe.render(pipe, recipe.of_picture(framed), alphas)
    return animation.animation(pipe.along(pipe.encode(framed), alphas, shares), kind)


def teach_edit(options: argparse.Namespace) -> None:
    """Teaches an edit, writes its model folder, and prints how good it is."""
    from lwgan import taught
    from lwgan.pipeline import EditingPipeline
    from lwgan.sources import files_in, frame_each, opened
    from lwgan.teach import MOST

    pipe = EditingPipeline.from_pretrained(options.registry, options.domain, device=options.device)
    change = taught.check_name(pipe, options.name).name
    named = {}
    for side, place in (("without", options.pile_without), ("with", options.pile_with)):
        named[side], refused = frame_each(pipe.frame, opened(files_in(place), MOST))
        for name, why in refused:
            print(f"--{side}: {name} is left out: {why}")
    piles = [taught.look(pipe, [picture for _, picture in pile]) for pile in named.values()]
    edit, report = taught.learn(pipe, *piles, options.name, options.kind)
    for side, pile, rows in zip(named, piles, report.left_out, strict=True):
        for at, why in taught.left_out(pipe, pile, rows).items():
            print(f"--{side}: {named[side][at][0]} is left out: {why}")
    folder = options.output or Path(taught.folder_name(pipe, change))
    taught.save(pipe, edit, folder, *piles)
    print(*(f"{report.light}: {reason}" for reason in report.reasons or ["nothing to object to"]), sep="\n")
    print(folder)


def list_edits(options: argparse.Namespace) -> None:
    """Prints a line for each edit: its name, domain, change, method and the alpha of strength 1."""
    from lwgan.hub import registry
    from lwgan.strength import scale_of

    rows = [("name", "domain", "change", "method", "alpha")]
    for entry in registry.list_edits(options.registry):
        if entry.refused:
            print(f"lwgan: {entry.name} is refused: {entry.refused}", file=sys.stderr)
            continue
        change = entry.config.get("change")
        words = f"{change['before']} → {change['after']}" if change else ""
        facts = (entry.domain or "", words, entry.config.get("method") or "")
        rows.append((entry.name, *facts, f"{scale_of(entry.config).unit:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


def pull_models(options: argparse.Namespace) -> None:
    """Downloads one model, or all models of a namespace or a collection, and prints where each lies."""
    from lwgan.files import atomic
    from lwgan.hub.client import COLLECTION, REPO_ID
    from lwgan.hub.registry import models, pull

    single = REPO_ID.fullmatch(options.source) and not COLLECTION.fullmatch(options.source)
    for source in [options.source] if single else [entry.source for entry in models(options.source)]:
        folder = pull(source).folder
        if options.output:
            target = options.output / source.split("/")[-1]
            for path in filter(Path.is_file, folder.iterdir()):
                with atomic(target / path.name) as partial:
                    shutil.copyfile(path, partial)  # follows the cache's links
            folder = target
        print(f"{source}  {folder}")


def _edit(text: str) -> tuple[str, float | None]:
    """The name and the alpha, if given, of NAME[=ALPHA]."""
    name, given, alpha = text.partition("=")
    try:
        return name, float(alpha) if given else None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"alpha must be a number, not {alpha!r}") from error
