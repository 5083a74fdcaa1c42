"""The Space: app.py, lwgan and requirements of this repository, and a README that pins its models."""

import re
from pathlib import Path

import jinja2
import yaml
from huggingface_hub import HfApi

from lwgan.files import CONFIG, WEIGHTS
from lwgan.hub import client as hub
from lwgan.hub import pushing as hub_push
from trainers.publish.tables import TEMPLATES

ROOT = Path(__file__).parents[2]
FILES = ("app.py", "LICENSE")
TORCH = "torch>=2.8,<=2.11.0"  # ZeroGPU takes no newer one
SIGN_IN = {"hf_oauth": True, "hf_oauth_scopes": ["contribute-repos"]}  # writes to repos that it made alone
LEFT_OUT = re.compile(r"(^|/)(bundled|__pycache__|\.)")


def push(api: HfApi, repo_id: str, pins: dict[str, str], source: str, private: bool) -> hub_push.Pushed:
    """Pushes the demo to a Space in one commit and sets its variable LWGAN_REGISTRY to `source`.

    pins: repository -> commit of the models that the Space fetches when it is built."""
    repo = hub_push.Repo(repo_id, "space", private, owned=("lwgan/",))
    pushed = hub_push.push_files(api, repo, files(repo_id, pins, source), message="Push the demo")
    hub.within(hub.PATIENCE, lambda: api.add_space_variable(repo_id, "LWGAN_REGISTRY", source))
    return pushed


def files(repo_id: str, pins: dict[str, str], source: str) -> dict[str, bytes]:
    """The files of the Space: path -> bytes."""
    paths = [*(ROOT / name for name in FILES), *sorted((ROOT / "lwgan").rglob("*"))]
    names = {path.relative_to(ROOT).as_posix(): path for path in paths if path.is_file()}
    code = {name: path.read_bytes() for name, path in names.items() if not LEFT_OUT.search(name)}
    return {"README.md": readme(repo_id, pins, source).encode(), "requirements.txt": requirements(), **code}


def requirements() -> bytes:
    """The repository's requirements.txt with ZeroGPU's torch."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return "\n".join([*(TORCH if line.startswith("torch") else line for line in lines), ""]).encode()


def readme(repo_id: str, pins: dict[str, str], source: str) -> str:
    """The Space's README: the head of the repository's README with the models pinned, and a short text."""
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])
    head |= SIGN_IN | {"models": list(pins)}
    head["preload_from_hub"] = [f"{name} {CONFIG},{WEIGHTS} {commit}" for name, commit in pins.items()]
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True)
    values = {"name": repo_id.split("/")[1], "models": list(pins), "source": source}
    body = environment.get_template("space.md").render(values)
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{body}"
