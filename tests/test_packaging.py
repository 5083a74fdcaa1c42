"""pyproject.toml and the requirements files name the same packages, and the package data exist."""

import re
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")  # of Python 3.11
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def required(name: str) -> set[str]:
    """The packages of a requirements file, without those of the files that it includes."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return {line for line in lines if re.match(r"[A-Za-z]", line)}


def test_pyproject_and_requirements_name_the_same_packages():
    project, extras = PROJECT["project"], PROJECT["project"]["optional-dependencies"]
    assert required("requirements.txt") == {*project["dependencies"], *extras["app"]}
    assert required("requirements-train.txt") == set(extras["train"])
    assert required("requirements-dev.txt") >= set(extras["ray"])


def test_package_data_exist():
    for pattern in PROJECT["tool"]["setuptools"]["package-data"]["lwgan"]:
        assert any((ROOT / "lwgan").glob(pattern)), pattern
