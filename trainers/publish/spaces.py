"""The Space: app.py, lwgan and requirements.txt of this repository, and a README whose head pins the models that it shows."""

import re
from pathlib import Path

import jinja2
import yaml
from huggingface_hub import HfApi

from lwgan.files import CONFIG, WEIGHTS
from lwgan.hub import client as hub
from lwgan.hub import pushing as hub_push
from trainers.publish.cards import TEMPLATES

ROOT = Path(__file__).parents[2]
LEFT_OUT = re.compile(r"(^|/)(bundled|__pycache__|\.)")


def push(api: HfApi, repo_id: str, pins: dict[str, str], source: str, private: bool) -> hub_push.Pushed:
    """Makes the Space hold the demo, in one commit, and lets it take its models from `source` (what LWGAN_REGISTRY may be).

    pins: repo -> commit of the models that are fetched when the Space is built.
    """
    repo = hub_push.Repo(repo_id, "space", private, owned=("lwgan/",))
    pushed = hub_push.push_files(api, repo, files(repo_id, pins, source), message="Push the demo")
    hub.within(hub.PATIENCE, lambda: api.add_space_variable(repo_id, "LWGAN_REGISTRY", source))
    return pushed


def files(repo_id: str, pins: dict[str, str], source: str) -> dict[str, bytes]:
    """What the Space holds: path -> bytes."""
    paths = [
        ROOT / "app.py",
        ROOT / "requirements.txt",
        ROOT / "LICENSE",
        *sorted((ROOT / "lwgan").rglob("*")),
    ]
    names = {path.relative_to(ROOT).as_posix(): path for path in paths if path.is_file()}
    held = {name: path.read_bytes() for name, path in names.items() if not LEFT_OUT.search(name)}
    return {"README.md": readme(repo_id, pins, source).encode(), **held}


def readme(repo_id: str, pins: dict[str, str], source: str) -> str:
    """The README of the repository's head, with the models that the Space shows, at the commits that it fetches; and a page about it."""
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])
    head |= {
        "models": list(pins),
        "preload_from_hub": [f"{name} {CONFIG},{WEIGHTS} {commit}" for name, commit in pins.items()],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    body = environment.get_template("space.md").render(
        name=repo_id.split("/")[1], models=list(pins), source=source
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{body}"
