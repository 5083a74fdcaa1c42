"""Where models come from while the page already serves: what is bundled, what a Hub adds later, what is refused; and a lent GPU."""

import json
import shutil

import numpy as np
import pytest

from lwgan import EditingPipeline
from lwgan.hub.catalog import Catalog
from lwgan.page import views
from lwgan.page.editor import Editor
from tests.hub_server import MiniHub
from tests.live import pixels
from tests.nets import EDITS, SHIFT, files_of, make_domains, put

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


def test_a_judge_that_does_not_fit_is_refused_and_the_rest_serves(folder, tmp_path):
    copy, name = shutil.copytree(folder, tmp_path / "copy"), "lwgan-synthfaces-attribute-judge"
    config = json.loads((copy / name / "config.json").read_text())
    config["architecture"]["features"] = 17
    (copy / name / "config.json").write_text(json.dumps(config))
    catalog = Catalog(copy, device="cpu")
    assert list(catalog.pipes) == ["multimnist", "synthfaces"] and not catalog.pending
    assert (
        "does not fit AttributeJudge" in catalog.refused[name] and catalog.pipes["synthfaces"].judge is None
    )
    session, sliders = Editor(catalog).start("synthfaces")
    shown = Editor(catalog).show(session, sliders, "Edit")
    rows = {row[0]: row[1:] for row in shown["readings"]["rows"]}
    assert (
        sliders["refused"]
        and shown["edit"]["edited"]
        and "Picture judge" not in rows
        and rows["Code classifier"][0].startswith("Eyeglasses")
    )


def test_what_comes_from_the_hub_joins_the_bundled_models(folder, late):
    put(late, f"someone/{THREE}", files_of(folder / THREE))
    put(late, f"someone/{ONE}", files_of(folder / ONE))  # the same one that is here already
    broken = files_of(folder / TWO)
    put(late, "someone/lwgan-broken", {**broken, "config.json": b"{"})
    catalog = Catalog("someone", device="cpu")
    assert list(catalog.pipes["multimnist"].edits) == sorted([SHIFT, ONE, TWO])  # at once
    catalog._thread.join(60)
    assert not catalog.pending and THREE in catalog.pipes["multimnist"].edits
    assert (
        "someone-" + ONE not in catalog.pipes["multimnist"].edits
        and "no JSON" in catalog.refused["lwgan-broken"]
    )
    editor = Editor(catalog)
    session, _ = editor.start()
    about = views.about(editor.pipe_of(session), THREE)
    assert about["card"] == f"https://huggingface.co/someone/{THREE}"
    moved = {"rows": [{"name": ONE, "strength": 0.3}], "current": 0, "made": 5}
    arrived = editor.arrivals(session, moved)
    assert arrived["rows"] == moved["rows"] and (arrived["made"], arrived["keep"], arrived["pending"]) == (
        5,
        True,
        False,
    )


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
        if path.name.endswith("attribute-judge"):
            config = json.loads(files["config.json"])
            config["architecture"]["features"] = 17
            files["config.json"] = json.dumps(config).encode()
        put(late, f"someone/{path.name}", files)
    catalog = Catalog("someone", device="cpu")
    catalog._thread.join(60)
    assert catalog.pipes["synthfaces"].judge is None and len(catalog.pipes["synthfaces"].edits) == 4
    assert "does not fit AttributeJudge" in catalog.refused["lwgan-synthfaces-attribute-judge"]


def test_a_hub_that_never_answers_does_not_keep_the_page_waiting(late, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    catalog = Catalog("nobody", device="cpu")
    assert catalog.pipes["multimnist"].edits and Editor(catalog).start()[0]["before"]
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
    session, sliders = Editor(catalog).start()
    assert [row["name"] for row in sliders["rows"]] == [ONE, TWO, THREE] and Editor(catalog).show(
        session, sliders, "Edit"
    )["edit"]["edited"]
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
    Editor(catalog).start("multimnist")  # the first picture is made before
    catalog.lend(lend, "cpu")
    assert not seen
    session, sliders = Editor(catalog).start("multimnist")
    catalog.pipes["multimnist"]._map(np.zeros((1, 16), np.float32))
    shown = Editor(catalog).show(session, sliders, "Edit")["edit"]
    assert set(seen) == {"_encode_here", "_synthesize_here", "_map_here"}
    plain = EditingPipeline.from_pretrained(folder, domain="multimnist")
    assert np.array_equal(
        pixels(shown["reconstruction"]), np.asarray(plain.generate(plain.encode(session["framed"]))[0])
    )
