"""Stage: write the cards of models and push the models to the Hub, one commit each.

    python -m trainers publish registry/lwgan-shoes-lw-leather --namespace my-name
    python -m trainers publish registry --namespace my-name --collection "Shoes" --space shoes
    python -m trainers publish registry --namespace my-name --dry-run    # writes hub/my-name/NAME, no network

The files to push are made in a folder of their own; the source stays as it is. Pushing the same model
again makes no commit, so repeat the command to finish one that was stopped or that failed.
"""

import contextlib
import json
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars, httpx

from lwgan.domain import NAME, Domain, domain_from_json, plain_domain
from lwgan.files import CONFIG, EDIT_KINDS, METRICS, WEIGHTS, check_base, read_config, read_folder, write_json
from lwgan.frames import FRAMES
from lwgan.hub import client as hub
from lwgan.hub import pulling as hub_pull
from lwgan.hub import pushing as hub_push
from lwgan.hub import registry
from lwgan.pipeline import BASES
from trainers.publish import cards, spaces
from trainers.publish.pictures import save_curve
from trainers.register import copy_figures, replacing


@dataclass(frozen=True)
class Options:
    """Push models with their cards, figures and pictures to the Hub, one commit each."""

    folder: tyro.conf.Positional[Path]
    """A model's folder (a run or a part of a registry), or a folder of such folders."""
    namespace: str
    """Your user name on the Hub, or an organisation's."""
    name: str | None = None
    """The name of the repository, for one model. Default: the folder's, if it starts with "lwgan-"."""
    collection: str | None = None
    """The title of a collection of the namespace that lists the models. It is made if need be."""
    space: str | None = None
    """Also push the demo to a Space of this name, whose README pins the models published here."""
    licence: str | None = None
    """The licence of data and weights, an id such as "cc-by-4.0", for a domain that states none."""
    private: bool = False
    """Make the repositories private."""
    create_pr: bool = False
    """Propose the change to existing repositories by pull requests. This needs no right to write to them."""
    dry_run: bool = False
    """Write the files that would be pushed to TARGET/NAMESPACE/NAME. No network."""
    code: str | None = None
    """The address from which readers of the cards install lwgan, https://..."""
    target: Path = Path("hub")
    """Where a dry run writes."""


FETCHED = "{} is not published: it was fetched from {}, and its licence does not let others pass it on"
ORDER = list(cards.TASKS)  # bases before the models that are based on them


def main(options: Options) -> None:
    check(options)
    models = models_in(options)
    with contextlib.ExitStack() as stack:
        root = options.target if options.dry_run else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        staged = {}
        for folder, name in models.items():
            target = root / options.namespace / name
            stage(folder, target, options.namespace, options.code, options.licence)
            staged[f"{options.namespace}/{name}"] = target
        if options.dry_run:
            check_bases(staged)
            show(staged, options)
        else:
            push(staged, options)


def check(options: Options) -> None:
    """ValueError for options that cannot be."""
    if not hub.NAMESPACE.fullmatch(options.namespace):
        raise ValueError(f"--namespace {options.namespace!r} is not a name of a user or an organisation")
    for flag, name in (("--name", options.name), ("--space", options.space)):
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(f"{flag} {name!r} may have 1 to 64 of a-z, 0-9, _ and -")
    if options.code and not re.fullmatch(r"https://[\w.~/@:-]+", options.code):
        raise ValueError(f"--code {options.code!r} is not an address of the form https://...")
    if options.create_pr and (options.private or options.collection or options.space):
        raise ValueError("--create-pr does not go with --private, --collection or --space")


def models_in(options: Options) -> dict[Path, str]:
    """The folders to publish, bases first, and the names of their repositories. FileNotFoundError or
    ValueError for a missing or broken folder, or one without a kind that has a card."""
    if not options.folder.is_dir():
        raise FileNotFoundError(f"{options.folder}: there is no such folder")
    one = (options.folder / CONFIG).exists()
    paths = [options.folder / CONFIG] if one else sorted(options.folder.glob(f"*/{CONFIG}"))
    configs = {path.parent: read_config(path.parent, str(path.parent)) for path in paths}
    known = {folder: config for folder, config in configs.items() if config["kind"] in ORDER}
    for folder, config in configs.items():
        if folder not in known:
            print(f"{folder} is left out: its kind, {config['kind']!r}, has no card")
    for folder in [folder for folder, config in known.items() if (config.get("origin") or {}).get("fetched")]:
        reason = FETCHED.format(folder, known.pop(folder)["origin"]["fetched"])
        if not known:
            raise ValueError(reason)
        print(reason)
    if not known:
        raise ValueError(f"{options.folder} holds no model of a kind that has a card: {', '.join(ORDER)}")
    if options.name and len(known) > 1:
        raise ValueError(f"--name {options.name!r} is for one model, {options.folder} holds {len(known)}")
    names = {folder: options.name or name_of(folder, config) for folder, config in known.items()}
    for name in names.values():
        if (same := [str(folder) for folder in names if names[folder] == name])[1:]:
            raise ValueError(f"{' and '.join(same)} would both be called {name!r}: rename the folders")
    return dict(sorted(names.items(), key=lambda item: ORDER.index(known[item[0]]["kind"])))


def name_of(folder: Path, config: dict) -> str:
    """The folder's name if it starts with "lwgan-", else lwgan-DOMAIN-KIND or lwgan-DOMAIN-METHOD-CHANGE."""
    folder = folder.resolve()
    if folder.name.startswith("lwgan-"):
        return folder.name
    if config["kind"] not in EDIT_KINDS:
        return f"lwgan-{config.get('domain')}-{config['kind']}"
    change = re.sub("[^a-z0-9_]+", "-", str((config.get("change") or {}).get("name")).lower())
    return f"lwgan-{config.get('domain')}-{config.get('method')}-{change}"


def stage(
    folder: Path, target: Path, namespace: str, code: str | None = None, licence: str | None = None
) -> None:
    """Writes to `target` the files to push: config with the names of its bases, weights, figures, card.

    Whole or not at all: after an error `target` is as before. ValueError for a model that cannot be
    published, and if `target` holds `folder`."""
    if folder.resolve().is_relative_to(target.resolve()):
        raise ValueError(f"{folder} lies in {target}, which would be replaced: choose another --target")
    config, _, weights = read_folder(folder, str(folder))
    for key in ("domain", "method", "change") if config["kind"] in EDIT_KINDS else ("domain",):
        if not config.get(key):
            raise ValueError(f"{folder}: {CONFIG} has no {key}, which the card must state")
    domain = domain_of(folder, config, licence)
    config |= bases(config, namespace)
    metrics = figures(folder, config)
    with replacing(target) as new:
        (new / WEIGHTS).write_bytes(weights)
        write_json(new / CONFIG, config)
        copy_figures(folder, new)
        save_curve(new / "images" / "curve.png", metrics.get("curve") or [])
        text = cards.card(config, metrics, domain, f"{namespace}/{target.name}", new / "images", code)
        (new / "README.md").write_text(text, "utf-8")
        hub_push.files_of(new)  # the same checks as for a model that is pulled


def domain_of(folder: Path, config: dict, licence: str | None = None) -> Domain:
    """The Domain of a model: its own, or that of a generator of the same domain in the folder beside it.

    licence: of a domain that states none.  ValueError if the licence is not known, and one is never guessed.
    """
    beside = registry.models(folder.resolve().parent, whole=False)
    configs = [config, *(entry.config for entry in beside if not entry.refused)]
    specs = [found.get("domain_spec") for found in configs if found.get("domain") == config["domain"]]
    spec = next(filter(None, specs), None) or plain_domain(config["domain"]).as_json()
    domain = domain_from_json(spec, str(folder), tuple(FRAMES))
    name, text = cards.licence(domain)
    stated = bool(text) if name == "other" else bool(re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name))
    if stated == bool(licence) and licence != name:
        reason = f"states its licence already: {name}" if stated else "states no licence: give --licence"
        raise ValueError(f"{folder}: the domain {domain.name!r} {reason}")
    return domain if stated else replace(domain, licence=licence)


def bases(config: dict, namespace: str) -> dict[str, str]:
    """The names in this namespace of the generator and the encoder that a model was made for."""
    wanted = [kind for kind in BASES if kind in (config.get("base_revision") or {})]
    default = {kind: f"lwgan-{config['domain']}-{kind}" for kind in wanted}
    names = {BASES[kind]: config.get(BASES[kind]) or default[kind] for kind in wanted}
    return {key: f"{namespace}/{name.split('/')[-1]}" for key, name in names.items()}


def figures(folder: Path, config: dict) -> dict:
    """The content of metrics.json, else the config's `metrics`. ValueError for figures of other weights."""
    path = folder / METRICS
    if not path.is_file():
        metrics = {key: value for key, value in (config.get("metrics") or {}).items() if key != "read_by"}
        return {"chosen": metrics} if config["kind"] in EDIT_KINDS else metrics
    try:
        metrics = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    weights, measured = config["weights"]["sha256"], (metrics.get("of") or {}).get("edit")
    if measured not in (None, weights):
        raise ValueError(f"{path} is of weights {measured}, {CONFIG} says {weights}: evaluate the edit again")
    return metrics


def check_bases(staged: dict[str, Path], token: str | None = None) -> None:
    """ValueError for a model that was made for other weights than those that go under the name of its base.

    token: with which bases that are not published here are looked up on the Hub. None: they are not checked.
    """
    configs: dict[str, dict | None] = {name: read_config(path, str(path)) for name, path in staged.items()}
    for repo_id in staged:
        for base in filter(None, map(configs[repo_id].get, BASES.values())):
            if base not in configs and token:
                configs[base] = config_on_hub(base, token)
                if configs[base] is None:
                    print(f"note: {repo_id} is based on {base}, which is not on the Hub yet: publish it too")
            if configs.get(base):
                check_base(configs[repo_id], repo_id, configs[base], base)


def show(staged: dict[str, Path], options: Options) -> None:
    """Prints what a dry run wrote."""
    for repo_id, folder in staged.items():
        for path, data in registry.files_of(folder).items():
            print(f"{folder / path}  {len(data):,} bytes")
        print(f"dry run: nothing was pushed to {repo_id}")
    if options.space:
        print(f"dry run: nothing was pushed to the Space {options.namespace}/{options.space}")


def push(staged: dict[str, Path], options: Options) -> None:
    """Pushes all models, bases first. ValueError that names the model that failed."""
    repo_id, pins = next(iter(staged)), {}
    try:
        if not sys.stderr.isatty():
            disable_progress_bars()
        api = hub_push.writer(None, None if options.create_pr else options.namespace)
        check_bases(staged, api.token)
        for number, (repo_id, folder) in enumerate(staged.items(), 1):
            repo, files = hub_push.Repo(repo_id, private=options.private), registry.files_of(folder)
            how = {"create_pr": options.create_pr, "collection": options.collection}
            pushed = hub_push.push_files(api, repo, files, **how)
            pins[repo_id] = pushed.commit
            print(f"{number} of {len(staged)}: {report(pushed)}", flush=True)
        if options.space:
            repo_id = f"{options.namespace}/{options.space}"
            source = pushed.collection or options.namespace
            print(report(spaces.push(api, repo_id, pins, source, options.private)))
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        done = f" ({len(pins)} of {len(staged)} were pushed; repeat the command)" if len(staged) > 1 else ""
        said = f"was not pushed to {repo_id}{done}: {hub.reason(error)}"
        raise ValueError(f"{options.folder} {said}") from error


def report(pushed: hub_push.Pushed) -> str:
    """One line about a push."""
    if pushed.pull_request:
        return f"{pushed.pull_request}  proposes {pushed.commit}"
    place = f", in {pushed.collection}" if pushed.collection else ""
    return f"{pushed.url}  {'pushed as' if pushed.changed else 'is already at'} {pushed.commit}{place}"


def config_on_hub(repo_id: str, token: str) -> dict | None:
    """The config of a model on the Hub, or None if there is no such model."""
    try:
        return read_config(hub_pull.pull_config(repo_id, token, hub.deadline()).folder, repo_id)
    except HfHubHTTPError as error:
        if hub.status(error) in (401, 403, 404):
            return None
        raise
