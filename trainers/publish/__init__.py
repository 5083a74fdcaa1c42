"""Stage 7: models get their cards and go to the Hub, each in one commit.

    python -m trainers publish lwgan/bundled/lwgan-multimnist-lw-1to2 --namespace my-name
    python -m trainers publish lwgan/bundled --namespace my-name --collection "Digits" --space digits
    python -m trainers publish FOLDER --namespace my-name --dry-run      # writes hub/my-name/NAME, asks nobody

What is pushed is made in a folder of its own; the run stays as it is. Pushing the same again makes no commit, so that a command which
was stopped, or failed at one of many models, is finished by repeating it.
"""

import contextlib
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars, httpx

from lwgan.files import CONFIG, EDIT_KINDS, METRICS, NAME, WEIGHTS, check_base, read_config, read_folder
from lwgan.hub import client as hub
from lwgan.hub import pulling as hub_pull
from lwgan.hub import pushing as hub_push
from lwgan.hub import registry
from trainers import run
from trainers.publish import cards, spaces
from trainers.publish.pictures import save_curve


@dataclass(frozen=True)
class Options:
    """Write the cards of models and push each with card, figures and pictures to the Hub in one commit."""

    folder: tyro.conf.Positional[Path]
    """A run or model folder (config.json, model.safetensors, pictures in images/), or a folder of such folders."""
    namespace: str
    """Your user name on the Hub, or an organisation's."""
    name: str | None = None
    """The repo's name, of one model; by default the folder's if it starts with "lwgan-", else made from the config."""
    collection: str | None = None
    """The title of a collection of the namespace that shall list the models; made if it is not there."""
    space: str | None = None
    """Also push the demo to a Space of this name: app.py, lwgan, and a README that pins the models published here."""
    private: bool = False
    """Make the repos private."""
    create_pr: bool = False
    """Propose the change to repos that are there, by pull requests. Needs no right to write to them."""
    dry_run: bool = False
    """Write what would be pushed to TARGET/NAMESPACE/NAME, to look at; no network."""
    code: str | None = None
    """Where readers of the cards get lwgan from: an address for `git clone`."""
    target: Path = Path("hub")
    """Where a dry run writes."""


JUDGES = ("judge", "attribute-judge", "identity")  # they read pictures, whoever made them
ORDER = (
    "generator",
    "encoder",
    *JUDGES,
    "latent-classifier",
    *EDIT_KINDS,
)  # bases before what is based on them
# Kinds that get no repo of their own, and why.
UNPUBLISHED = {
    "pictures": "they are pictures to try, no model; a page without them shows samples of the generator"
}


def main(options: Options) -> None:
    check(options)
    models = found(options)
    with contextlib.ExitStack() as stack:
        root = options.target if options.dry_run else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        staged = {}
        for folder, name in models.items():
            staged[f"{options.namespace}/{name}"] = stage(
                folder, root / options.namespace / name, options.namespace, options.code
            )
        check_bases(list(staged.values()))
        if options.dry_run:
            show(staged, options)
        else:
            push(staged, options)


def check(options: Options) -> None:
    if not hub.NAMESPACE.fullmatch(options.namespace):
        raise ValueError(f"--namespace {options.namespace!r} is no name of a user or an organisation")
    for flag, name in (("--name", options.name), ("--space", options.space)):
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(f"{flag} {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
    if options.code and not re.fullmatch(r"https://[\w.~/@:-]+", options.code):
        raise ValueError(f"--code {options.code!r} is no address of the form https://...")
    if options.create_pr and (options.private or options.collection or options.space):
        raise ValueError(
            "--create-pr proposes to repos of others: it goes with none of --private, --collection, --space"
        )


def found(options: Options) -> dict[Path, str]:
    """The folders to publish, bases first, and the names of their repos. ValueError or FileNotFoundError for a broken one."""
    if not options.folder.is_dir():
        raise FileNotFoundError(f"{options.folder}: there is no such folder")
    if (options.folder / CONFIG).exists():
        folders = [options.folder]
    else:
        folders = sorted(path.parent for path in options.folder.glob(f"*/{CONFIG}"))
    configs = {folder: read_config(folder, str(folder)) for folder in folders}
    known = {folder: config for folder, config in configs.items() if config["kind"] in cards.TEMPLATE}
    left = {
        folder: UNPUBLISHED.get(config["kind"], "there is no card for it")
        for folder, config in configs.items()
        if folder not in known
    }
    for folder, reason in left.items():
        print(f"{folder} is left out: of kind {configs[folder]['kind']!r}, {reason}")
    if not known:
        reasons = "".join(f"; {configs[folder]['kind']!r}: {reason}" for folder, reason in left.items())
        raise ValueError(
            f"{options.folder} holds nothing to publish: cards exist for {', '.join(cards.TEMPLATE)}{reasons}"
        )
    if options.name and len(known) > 1:
        raise ValueError(f"--name {options.name!r} is for one model, {options.folder} holds {len(known)}")
    names = {folder: options.name or name_of(folder, known[folder]) for folder in known}
    for name in names.values():
        if (same := [str(folder) for folder in names if names[folder] == name])[1:]:
            raise ValueError(f"{' and '.join(same)} would both be called {name!r}: rename the folders")
    return dict(sorted(names.items(), key=lambda item: ORDER.index(known[item[0]]["kind"])))


def name_of(folder: Path, config: dict) -> str:
    """lwgan-<domain>-<kind>, for edits lwgan-<domain>-<method>-<what>, unless the folder itself has such a name."""
    folder = folder.resolve()
    if folder.name.startswith("lwgan-"):
        return folder.name
    if config["kind"] not in EDIT_KINDS:
        return f"lwgan-{config.get('domain')}-{config['kind']}"
    counts = [re.match(r"(\d+) ", str(config.get(end))) for end in ("from", "to")]
    what = f"{counts[0][1]}to{counts[1][1]}" if all(counts) else config.get("attribute")
    return f"lwgan-{config.get('domain')}-{config.get('method')}-{what}"


def stage(folder: Path, target: Path, namespace: str, code: str | None = None) -> Path:
    """Writes just what is pushed to `target`: config with the bases' names, weights, figures, pictures, card.
    Whole or not at all: what an error or a stop breaks off leaves a `target` of before as it was. ValueError if that holds the source."""
    if folder.resolve().is_relative_to(target.resolve()):
        raise ValueError(
            f"{folder} would be replaced by what is made of it in {target}: choose another --target"
        )
    config, _, weights = read_folder(folder, str(folder))
    for key in ("domain", "method", "attribute") if config["kind"] in EDIT_KINDS else ("domain",):
        if config.get(key) is None:
            raise ValueError(f"{folder}: {CONFIG} has no {key}, which the card must say")
    config |= bases(config, namespace)
    metrics = figures(folder, config)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as work:
        new = Path(work) / "new"
        (new / "images").mkdir(parents=True)
        (new / WEIGHTS).write_bytes(weights)
        run.write_text(new / CONFIG, json.dumps(config, indent=1, allow_nan=False))
        if metrics:
            run.write_text(new / METRICS, json.dumps(metrics, indent=1, allow_nan=False))
        for path in (folder / "images").glob("*.png"):
            shutil.copy(path, new / "images")
        save_curve(new / "images" / "curve.png", metrics.get("curve") or [])
        run.write_text(
            new / "README.md", cards.card(config, metrics, f"{namespace}/{target.name}", new / "images", code)
        )
        hub_push.files_of(new)  # as checked as what is pulled
        replace_folder(target, new, Path(work) / "old")
    return target


def replace_folder(target: Path, new: Path, old: Path) -> None:
    """Puts `new` in the place of `target`, whose content, if there is any, goes to `old`; it comes back if that fails."""
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise


def bases(config: dict, namespace: str) -> dict:
    """Where an edit's generator and encoder lie in this namespace, an encoder's generator: what else the config must say."""
    parts = {"base_model": "generator", "base_encoder": "encoder"}
    wanted = {"generator": [], "encoder": ["base_model"]}.get(
        config["kind"], [] if config["kind"] in JUDGES else list(parts)
    )
    last = {
        key: str(config.get(key) or f"lwgan-{config['domain']}-{parts[key]}").split("/")[-1] for key in wanted
    }
    return {key: f"{namespace}/{name}" for key, name in last.items()}


def figures(folder: Path, config: dict) -> dict:
    """What metrics.json is to hold: the folder's own or the config's, and the curve by which an edit's strength was chosen.
    ValueError for figures of other weights."""
    path = folder / METRICS
    try:
        held = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error})") from error
    measured = (held.get("of") or {}).get("edit", config["weights"]["sha256"])
    if measured != config["weights"]["sha256"]:
        raise ValueError(
            f"{path} is of weights {measured}, {CONFIG} says {config['weights']['sha256']}: evaluate the edit again"
        )
    chosen = {"validation_curve": config["curve"]} if config.get("curve") else {}
    return (held or config.get("metrics") or {}) | chosen


def check_bases(folders: list[Path]) -> None:
    """ValueError for a model that was made for another generator or encoder than that which goes under its name."""
    configs = {f"{folder.parent.name}/{folder.name}": read_config(folder, str(folder)) for folder in folders}
    for name, config in configs.items():
        for key in ("base_model", "base_encoder"):
            if (base := config.get(key)) in configs:
                check_base(config, name, configs[base], base)


def show(staged: dict[str, Path], options: Options) -> None:
    for repo_id, folder in staged.items():
        print(
            "\n".join(
                f"{folder / path}  {len(data):,} bytes" for path, data in registry.files_of(folder).items()
            )
        )
        print(f"dry run: nothing was pushed to {repo_id}")
    if options.space:
        print(
            f"dry run: the Space {options.namespace}/{options.space} is written when its models have their commits"
        )


# The Hub


def push(staged: dict[str, Path], options: Options) -> None:
    """Pushes all, bases first. ValueError that says what failed, and what is there by then."""
    repo_id, pins = next(iter(staged)), {}
    try:
        if not sys.stderr.isatty():
            disable_progress_bars()  # of each file; a log has our lines
        api = hub_push.writer(None, None if options.create_pr else options.namespace)
        check_bases_of_hub(staged, api.token)
        for number, (repo_id, folder) in enumerate(staged.items(), 1):
            repo = hub_push.Repo(repo_id, private=options.private)
            pushed = hub_push.push_files(
                api,
                repo,
                registry.files_of(folder),
                create_pr=options.create_pr,
                collection=options.collection,
            )
            pins[repo_id] = pushed.commit
            print(f"{number} of {len(staged)}: {told(pushed)}", flush=True)
        if options.space:
            repo_id = f"{options.namespace}/{options.space}"
            print(
                told(spaces.push(api, repo_id, pins, pushed.collection or options.namespace, options.private))
            )
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        done = (
            f" ({len(pins)} of {len(staged)} are there; the same command goes on)" if len(staged) > 1 else ""
        )
        raise ValueError(
            f"{options.folder} was not pushed to {repo_id}{done}: {hub.reason(error)}"
        ) from error


def told(pushed: hub_push.Pushed) -> str:
    if pushed.pull_request:
        return f"{pushed.pull_request}  proposes {pushed.commit}"
    place = f", in {pushed.collection}" if pushed.collection else ""
    return f"{pushed.url}  {'pushed as' if pushed.changed else 'holds this already:'} {pushed.commit}{place}"


def check_bases_of_hub(staged: dict[str, Path], token: str) -> None:
    """As `check_bases`, against the bases that are on the Hub already and not published here."""
    seen: dict[str, dict | None] = {}
    for repo_id, folder in staged.items():
        config = read_config(folder, repo_id)
        for key in ("base_model", "base_encoder"):
            if (base := config.get(key)) is None or base in staged:
                continue
            if base not in seen:
                seen[base] = config_of(base, token)
                if seen[base] is None:
                    print(f"note: {base}, on which {repo_id} is based, is not on the Hub yet: publish it too")
            if seen[base]:
                check_base(config, repo_id, seen[base], base)


def config_of(repo_id: str, token: str) -> dict | None:
    """The config of a model on the Hub, or None if there is none."""
    try:
        return read_config(hub_pull.pull_config(repo_id, token, hub.deadline()).folder, repo_id)
    except HfHubHTTPError as error:
        if hub.status(error) in (401, 403, 404):
            return None
        raise
