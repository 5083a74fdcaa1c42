"""The models of the page: what is bundled, what the Hub adds later, what is refused; and a lent GPU."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lwgan import EditingPipeline
from lwgan.hub.catalog import Catalog
from lwgan.pipeline import domains_of
from lwgan.readings import CODES, look
from tests.hub_server import MiniHub
from tests.nets import EDITS, SHIFT, W_DIM, files_of, make_domains, put

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mnist):
    return make_domains(tmp_path_factory.mktemp("registry"), mnist)


@pytest.fixture
def late(folder, monkeypatch, tmp_path):
    """A Hub, and what the app has bundled: the digits without THREE."""
    kept = shutil.copytree(
        folder,
        tmp_path / "bundled",
        ignore=lambda _, names: [name for name in names if "synthfaces" in name or name == THREE],
    )
    monkeypatch.setattr("lwgan.hub.registry.bundled", lambda: kept)
    with MiniHub() as hub:
        hub.serve(monkeypatch, tmp_path / "home")
        yield hub


def test_the_first_domain_is_the_first_of_the_registry(folder):
    catalog = Catalog(folder, device="cpu")
    assert list(catalog.pipes) == ["multimnist", "synthfaces"] and not catalog.refused and not catalog.pending


def test_domains_come_by_their_order_and_then_by_name():
    entry = lambda name, spec: SimpleNamespace(kind="generator", domain=name, refused=None, config=spec)
    specs = {"a": {"order": 1}, "b": {}, "c": {"order": -5}, "d": {"order": "first"}, "e": None}
    entries = [entry(name, {"domain_spec": spec}) for name, spec in specs.items()]
    assert domains_of(entries) == ["c", "b", "d", "e", "a"]


def test_a_judge_that_does_not_fit_is_refused_and_the_rest_serves(folder, tmp_path):
    copy, name = shutil.copytree(folder, tmp_path / "copy"), "lwgan-synthfaces-judge"
    config = json.loads((copy / name / "config.json").read_text())
    config["architecture"]["features"] = 17
    (copy / name / "config.json").write_text(json.dumps(config))
    catalog = Catalog(copy, device="cpu")
    pipe = catalog.pipes["synthfaces"]
    assert "does not fit a judge" in catalog.refused[name] and pipe.judge is None and len(pipe.edits) == 4
    sight = look(pipe, pipe.sample(0), torch.zeros(1, 10, W_DIM))
    assert [opinion.judge for opinion in sight.opinions] == [CODES]


def test_what_comes_from_the_hub_joins_the_bundled_models(folder, late):
    put(late, f"someone/{THREE}", files_of(folder / THREE))
    put(late, f"someone/{ONE}", files_of(folder / ONE))  # the same one that is here already
    put(late, f"someone/{TWO}", files_of(folder / THREE))  # another one of the same name
    broken = files_of(folder / TWO)
    put(late, "someone/lwgan-broken", {**broken, "config.json": b"{"})
    catalog = Catalog("someone", device="cpu")
    assert list(catalog.pipes["multimnist"].edits) == sorted([SHIFT, ONE, TWO])  # at once
    catalog._thread.join(60)
    pipe = catalog.pipes["multimnist"]
    assert not catalog.pending and list(pipe.edits) == sorted([SHIFT, ONE, TWO, THREE, f"someone-{TWO}"])
    assert pipe.sources[THREE].source == f"someone/{THREE}" and "no JSON" in catalog.refused["lwgan-broken"]


def test_a_collection_joins_the_bundled_models(folder, late):
    put(late, f"lab/{THREE}", files_of(folder / THREE))
    late.collections["org/edits-0123456789abcdef01234567"] = {
        "title": "edits",
        "items": [f"lab/{THREE}", "lab/gone"],
    }
    catalog = Catalog("org/edits-0123456789abcdef01234567", device="cpu")
    assert THREE not in catalog.pipes["multimnist"].edits and "multimnist" in catalog.pipes
    catalog._thread.join(60)
    pipe = catalog.pipes["multimnist"]
    assert (
        THREE in pipe.edits
        and pipe.sources[THREE].source == f"lab/{THREE}"
        and list(catalog.refused) == ["gone"]
    )


def test_what_a_domain_of_the_hub_does_without_is_listed(folder, late):
    for path in folder.glob("lwgan-synthfaces-*"):
        files = files_of(path)
        if path.name.endswith("-judge"):
            config = json.loads(files["config.json"])
            config["architecture"]["features"] = 17
            files["config.json"] = json.dumps(config).encode()
        put(late, f"someone/{path.name}", files)
    catalog = Catalog("someone", device="cpu")
    catalog._thread.join(60)
    assert catalog.pipes["synthfaces"].judge is None and len(catalog.pipes["synthfaces"].edits) == 4
    assert "does not fit a judge" in catalog.refused["lwgan-synthfaces-judge"]


def test_a_hub_that_never_answers_does_not_keep_the_page_waiting(late, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    catalog = Catalog("nobody", device="cpu")
    assert catalog.pipes["multimnist"].edits
    catalog._thread.join(60)
    assert not catalog.pending and "the Hub is away" in catalog.refused["nobody"]


def test_where_nothing_is_bundled_the_hub_is_waited_for(folder, late, monkeypatch, tmp_path):
    """As in a Space that `python -m trainers publish --space` made."""
    for path in folder.iterdir():
        if "multimnist" in path.name and "samples" not in path.name:
            put(late, f"someone/{path.name}", files_of(path))
    monkeypatch.setattr("lwgan.hub.registry.bundled", lambda: tmp_path / "nothing")
    catalog = Catalog("someone", device="cpu")
    assert not catalog.pending and list(catalog.pipes) == ["multimnist"] and not catalog.refused
    assert list(catalog.pipes["multimnist"].edits) == sorted([SHIFT, ONE, TWO, THREE])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="the Hub is away"):
        Catalog("nobody", device="cpu")


def test_edits_of_other_nets_are_refused_with_their_hash(folder, late):
    config = json.loads((folder / THREE / "config.json").read_text())
    config["base_revision"]["generator"] = "f" * 64
    put(late, f"someone/{THREE}", {**files_of(folder / THREE), "config.json": json.dumps(config).encode()})
    catalog = Catalog("someone", device="cpu")
    catalog._thread.join(60)
    assert "f" * 64 in catalog.refused[THREE] and THREE not in catalog.pipes["multimnist"].edits


def test_where_a_gpu_is_lent_its_functions_take_and_give_arrays(folder):
    seen = []

    def lend(function):
        def lent(array):
            assert isinstance(array, np.ndarray)
            seen.append(function.__name__)
            result = function(array)
            assert isinstance(result, np.ndarray)
            return result

        return lent

    catalog = Catalog(folder, device="cpu")
    catalog.lend(lend, "cpu")
    assert not seen  # the cloud was computed before
    pipe, plain = catalog.pipes["multimnist"], EditingPipeline.from_pretrained(folder, domain="multimnist")
    w = pipe.encode(pipe.sample(1))
    assert pipe.generate(w)[0].tobytes() == plain.generate(plain.encode(plain.sample(1)))[0].tobytes()
    pipe.images = None
    pipe.sample(1)
    assert set(seen) == {"_encode_here", "_synthesize_here", "_map_here"}
