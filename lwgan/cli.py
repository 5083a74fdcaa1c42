"""The command `lwgan`: serves the page, edits a picture, lists edits, pulls models from the Hub."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import lwgan
from lwgan.files import atomic
from lwgan.hub import registry as models
from lwgan.hub.client import COLLECTION, REPO_ID

REGISTRY_HELP = (
    "bundled, a folder of models, a namespace or a collection of the Hub (default: LWGAN_REGISTRY or bundled)"
)


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command line. Errors of the user end it with one line and status 1."""
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
    registry.add_argument("--registry", metavar="REGISTRY", help=REGISTRY_HELP)

    def command(name: str, run, about: str, parents=(registry,)) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=parents, help=about, description=about)
        added.set_defaults(run=run)
        return added

    command("app", lambda options: serve(options.registry), "Serve the page on this machine.")
    edit = command("edit", edit_picture, "Edit one picture and write it as a PNG.")
    edit.add_argument("picture", type=Path, help="any picture that Pillow opens")
    named = "an edit of `lwgan list`, by default at strength 1; may be repeated"
    form = {"action": "append", "required": True, "dest": "edits", "type": _edit, "metavar": "NAME[=ALPHA]"}
    edit.add_argument("--edit", help=named, **form)
    edit.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="the PNG to write")
    edit.add_argument("--domain", help="the kind of picture (default: that of the first edit)")
    edit.add_argument("--device", default="auto", help="cpu, cuda, cuda:N or auto (default)")
    command("list", list_edits, "List the edits of a registry.")
    pull = command("pull", pull_models, "Download models from the Hub into the cache.", parents=())
    pull.add_argument("source", metavar="SOURCE", help="a model (org/name), a namespace or a collection")
    pull.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="also copy the models here: FOLDER is then a registry",
    )
    return top


def serve(registry: str | None = None) -> None:
    """Serves the page until it is interrupted. ValueError if gradio is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from lwgan.page import launch  # imports gradio, which takes seconds
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}: pip install 'lwgan[app]'") from error
    launch(registry)


def edit_picture(options: argparse.Namespace) -> None:
    """Edits one picture. The PNG holds its recipe, so that the page opens it with its edits."""
    from lwgan import recipe
    from lwgan.images import open_picture
    from lwgan.pipeline import EditingPipeline

    picture = open_picture(options.picture)
    entries = models.models(options.registry, whole=False)
    named = [entry.domain for entry in entries if entry.name == options.edits[0][0]]
    domain = options.domain or next(iter(named), None)
    pipe = EditingPipeline.from_pretrained(options.registry, domain, device=options.device)
    for name, _ in options.edits:
        pipe.check_name(name)
    alphas = {name: pipe.scales[name].alpha(1.0) if alpha is None else alpha for name, alpha in options.edits}
    framed = pipe.frame(picture)
    result = pipe.generate(pipe.edit(pipe.encode(framed), alphas))[0]
    made = recipe.make(pipe, recipe.of_picture(framed), alphas)
    with atomic(options.output) as partial:
        partial.write_bytes(recipe.png(result, made))


def list_edits(options: argparse.Namespace) -> None:
    """Prints a line for each edit: its name, domain, change, method and the alpha of strength 1."""
    rows = [("name", "domain", "change", "method", "alpha")]
    for entry in models.list_edits(options.registry):
        if entry.refused:
            print(f"lwgan: {entry.name} is refused: {entry.refused}", file=sys.stderr)
            continue
        change, strength = entry.config.get("change") or {}, entry.config.get("strength") or {}
        words = f"{change['before']} → {change['after']}" if change else ""
        alpha = strength.get("unit") or entry.config.get("alpha") or 1
        rows.append((entry.name, entry.domain or "", words, entry.config.get("method") or "", f"{alpha:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


def pull_models(options: argparse.Namespace) -> None:
    """Downloads one model, or all models of a namespace or a collection, and prints where each lies."""
    if REPO_ID.fullmatch(options.source) and not COLLECTION.fullmatch(options.source):
        sources = [options.source]
    else:
        sources = [entry.source for entry in models.models(options.source)]
    for source in sources:
        folder = models.pull(source).folder
        if options.output:
            target = options.output / source.split("/")[-1]
            shutil.copytree(folder, target, dirs_exist_ok=True)  # follows the cache's links
            folder = target
        print(f"{source}  {folder}")


def _edit(text: str) -> tuple[str, float | None]:
    """ "NAME" or "NAME=ALPHA" as a pair."""
    name, given, alpha = text.partition("=")
    return name, float(alpha) if given else None
