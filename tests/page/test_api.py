"""The endpoints of a running app on the bundled models, by gradio_client, HTTP and MCP."""

import asyncio
import base64
import copy
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from lwgan import AffineEdit, EditingPipeline, cli, recipe
from lwgan.hub.catalog import Catalog
from lwgan.page import build
from lwgan.page.events import FORGOTTEN
from tests import live
from tests.live import PATIENCE, ROOT
from tests.nets import EDITS, make_registry
from tests.pictures import BAD, draw, saved

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def pipe():
    return EditingPipeline.from_pretrained("bundled", "multimnist")


@pytest.fixture(scope="module")
def client(space, tmp_path_factory):
    return live.client(space, tmp_path_factory.mktemp("client"))


@pytest.fixture
def drawing(tmp_path):
    path = tmp_path / "drawing.png"
    draw([("7", 30, 20, 100), ("0", 170, 150, 100)], 12).save(path)
    return path


def near(picture, expected) -> bool:
    """Equal to one grey level: the server may use another number of threads, which changes rounding."""
    return np.abs(np.asarray(picture).astype(int) - np.asarray(expected)).max() <= 1


# gradio_client


@pytest.fixture
def piles(pipe, tmp_path):
    """Files of 8 drawings of one digit and of 8 of two: samples, dark on white."""
    found = []
    for change in ("1to2", "2to3"):
        paths = [tmp_path / f"{change}-{i}.png" for i in range(8)]
        for path, seed in zip(paths, pipe.seeds_of(pipe.domain.change(change)), strict=False):
            Image.eval(pipe.sample(seed), lambda value: 255 - value).save(path)
        found.append([handle_file(path) for path in paths])
    return found


def test_teach_edit_gives_a_folder_that_serves(client, pipe, piles, tmp_path):
    path = client.predict(
        without=piles[0], with_=piles[1], name="more digits", kind="choice", api_name="/teach_edit"
    )
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    name = "lwgan-multimnist-taught-more-digits"
    served = pipe.plus({name: AffineEdit.from_pretrained(tmp_path / name)})
    assert served.changes[name].after == "more digits" and served.changes[name].kind == "choice"
    assert name not in {edit["name"] for edit in client.predict(api_name="/list_edits")}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "<b>bold</b>"}, "The name is '<b>bold</b>', expected 1 to 60 of A-Z"),
        ({"without": []}, "the pile 'without' has 0 usable pictures"),
        ({"with_": None}, "A pile was not given"),
        ({"kind": "map"}, "Kind is 'map', expected one of place, choice"),
        ({"domain": "cats"}, "Domain 'cats' is unknown"),
    ],
)
def test_what_cannot_be_taught_is_answered_in_words(client, piles, given, words):
    usual = {"without": piles[0], "with_": piles[1], "name": "more", "kind": "place", "domain": None}
    with pytest.raises(AppError) as error:
        client.predict(**{**usual, **given}, api_name="/teach_edit")
    assert words.lower() in str(error.value).lower() and "/tmp" not in str(error.value)


def test_a_pile_that_is_no_pile_is_answered_in_words(client, piles, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    Image.new("L", (64, 64), 255).save(tmp_path / "white.png")
    bad, white = (
        {"without": [handle_file(tmp_path / name)], "with_": piles[1]} for name in ("notes.png", "white.png")
    )
    for given, words in (
        (bad, "notes.png"),
        (white, "(?i)white.png': the picture is blank"),
        ({"without": piles[0], "with_": piles[0]}, "are in the pile"),
    ):
        with pytest.raises(AppError, match=words):
            client.predict(**given, name="more", kind=None, domain=None, api_name="/teach_edit")


def test_edit_many_gives_a_zip_of_all_pictures(client, pipe, piles):
    path = client.predict(files=piles[0], edits={ONE: 0.6}, domain=None, api_name="/edit_many")
    with zipfile.ZipFile(path) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".png") and name != "sheet.png")
        pictures = [Image.open(io.BytesIO(packed.read(name))) for name in names]
    assert len(pictures) == 8
    given = [Image.open(file["path"]) for file in piles[0]]
    expected = pipe.generate(pipe.edit(pipe.encode(given), {ONE: 0.6}))
    assert all(near(*pair) for pair in zip(pictures, expected, strict=True))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"files": []}, "no picture was given"),
        ({"edits": {"none": 1}}, "edit 'none' is unknown"),
        ({"domain": "cats"}, "domain 'cats' is unknown"),
    ],
)
def test_what_cannot_be_edited_alike_is_answered_in_words(client, piles, given, words):
    usual = {"files": piles[0], "edits": {ONE: 1}, "domain": None}
    with pytest.raises(AppError) as error:
        client.predict(**{**usual, **given}, api_name="/edit_many")
    assert words in str(error.value).lower() and "/tmp" not in str(error.value)


ENDPOINTS = {"list_edits", "edit_image", "edit_many", "edit_photograph", "sweep", "teach_edit"}


def test_there_are_these_endpoints_and_no_more(client):
    found = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(found) == {f"/{name}" for name in ENDPOINTS}
    assert all(len(endpoint["returns"]) == 1 for endpoint in found.values())


def test_list_edits_tells_of_each_edit(client, pipe):
    edits = {
        edit["name"]: edit
        for edit in client.predict(api_name="/list_edits")
        if edit["domain"] == "multimnist"
    }
    assert (
        set(edits) == set(pipe.edits)
        and edits[ONE]["method"] == "lw"
        and (edits[ONE]["from"], edits[ONE]["to"]) == ("1 digit", "2 digits")
    )
    assert edits[ONE]["unit"] == pipe.scales[ONE].unit and edits[ONE]["expected_change_at_unit"] == 0.8


@pytest.mark.parametrize("edits", [{}, {ONE: 1.5}, {THREE: -0.5, ONE: 2}, f'{{"{TWO}": 1}}'])
def test_edit_image_gives_the_pipelines_picture(client, pipe, drawing, edits):
    path = client.predict(picture=handle_file(drawing), edits=edits, api_name="/edit_image")
    expected = pipe.generate(
        pipe.edit(pipe.encode(Image.open(drawing)), edits if isinstance(edits, dict) else {TWO: 1})
    )[0]
    result = Image.open(path)
    assert result.format == "PNG" and result.mode == "L" and near(result, expected)


def test_a_result_holds_its_recipe_which_gives_the_same_bytes(client, drawing):
    path = client.predict(picture=handle_file(drawing), edits={TWO: 0.7}, api_name="/edit_image")
    made = recipe.of_png(path)
    assert [(edit["name"], edit["alpha"]) for edit in made["edits"]] == [(TWO, 0.7)] and made[
        "lwgan"
    ] == recipe.VERSION
    again = client.predict(recipe=made, api_name="/edit_image")
    with open(path, "rb") as one, open(again, "rb") as other:
        assert one.read() == other.read()


def test_sweep_gives_a_strip(client, pipe):
    strip = Image.open(client.predict(edit=ONE, alphas=[0, 0.5, 1], seed=6, api_name="/sweep"))
    w = pipe.encode(pipe.sample(6))
    parts = [
        strip.crop((130 * i, 0, 130 * i + 128, 128)).resize((64, 64), Image.Resampling.NEAREST)
        for i in range(3)
    ]
    assert strip.size == (3 * 130 - 2, 128)
    assert all(
        near(part, pipe.generate(pipe.edit(w, {ONE: alpha}))[0])
        for part, alpha in zip(parts, (0, 0.5, 1), strict=True)
    )
    path = client.predict(edit=ONE, seed=6, api_name="/sweep")
    assert Image.open(path).width == 11 * 130 - 2 and recipe.of_png(path)["source"]["seed"] == 6


FIVE = [("0", 10, 20, 80), ("7", 80, 20, 80), ("1", 150, 20, 80), ("5", 20, 150, 80), ("7", 120, 150, 80)]
BAD_PICTURES = {
    "text": BAD["text"],
    "41 megapixels": BAD["41 megapixels"],
    "five digits": (saved(draw(FIVE, 8), "PNG"), "5 digits were found"),
}  # tests/page/test_editor.py has all kinds


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_answered_in_words_and_the_session_goes_on(client, tmp_path, name):
    data, words = BAD_PICTURES[name]
    path = tmp_path / "secret-name.png"
    path.write_bytes(data)
    with pytest.raises(AppError, match=words) as refusal:
        client.predict(picture=handle_file(path), edits={}, api_name="/edit_image")
    assert not any(leak in str(refusal.value) for leak in ("secret", "/", "\\", "Traceback", "Error"))
    assert client.predict(seed=3, edits={ONE: 1}, api_name="/edit_image")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"edits": {"lwgan-multimnist-1to2": 1}}, f"did you mean '{ONE}'"),
        ({"edits": {ONE: 90}}, "alpha is 90, expected a number from -40 to 40"),
        ({"edits": {ONE: "strong"}}, "alpha is 'strong'"), ({"edits": {ONE: None}}, "alpha is None"),
        ({"edits": [ONE]}, "name -> alpha"), ({"edits": "not JSON"}, "not JSON"),
        ({"edits": f'{{"{ONE}": NaN}}'}, "alpha is nan"), ({"edits": "3"}, "name -> alpha"),
        ({"seed": None}, "No picture was given"), ({"seed": -1}, "whole number"),
        ({"domain": "cats"}, "omain 'cats' is unknown: choose one of multimnist"),
        ({"recipe": {"recipe": 7}}, "version 7"), ({"recipe": {"recipe": 1, "edits": []}}, "names no source"),
        ({"recipe": {"source": {"seed": 1}, "edits": [{"name": "x", "alpha": 1}]}}, "'x' is unknown"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_answered_in_words(client, given, words):
    with pytest.raises(AppError, match=words):
        client.predict(**{"seed": 1, "edits": {}, **given}, api_name="/edit_image")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"edit": "x"}, r"'x' is unknown: there are .* such as [a-z0-9, -]*\.$"),
        ({"edit": f"{ONE}x"}, "did you mean '[a-z0-9-]*'.$"),
        ({"alphas": []}, "1 to 32"),
        ({"alphas": [99]}, "alpha is 99"),
        ({"alphas": [0] * 33}, "a list of 33, expected a list of 1 to 32"),
        ({"seed": None}, "No picture"),
        ({"edit": None}, "Edit is None"),
    ],
)
def test_a_sweep_that_will_not_do_is_answered_in_words(client, given, words):
    with pytest.raises(AppError, match=words):
        client.predict(**{"edit": ONE, "seed": 1, **given}, api_name="/sweep")


# Forgotten visitors


def test_a_visitor_whose_picture_was_forgotten_is_told():
    """Gradio drops unused sessions after an hour: the next event finds the visit of a new page."""
    demo = build(Catalog("bundled", device="cpu"))
    assert demo.delete_cache == (60, 3600) and demo.config["analytics_enabled"] is False
    first = next(block.value for block in demo.blocks.values() if isinstance(block, gr.State))
    named = {block.elem_id: block._id for block in demo.blocks.values() if getattr(block, "elem_id", None)}
    event = lambda *target: next(fn.fn for fn in demo.fns.values() if target in fn.targets)
    moved, load = (
        event(named["sliders"], "input"),
        next(fn.fn for fn in demo.fns.values() if getattr(fn.fn, "__name__", "") == "load"),
    )
    rows = {"rows": [{"name": ONE, "strength": 0.5}], "current": 0, "domain": "multimnist"}
    lines = lambda views: " ".join(
        view["line"] for view in views if isinstance(view, dict) and "line" in view
    )

    slide = next(fn for fn in demo.fns.values() if (named["sliders"], "move") in fn.targets)
    slid = slide.fn  # a move of a slider in the view Edit
    used, fresh, early = (copy.deepcopy(first) for _ in range(3))
    opened = load(False, used, {}, "Edit", SimpleNamespace(query_params={}))[0]
    assert opened and FORGOTTEN not in lines(moved(opened, used, rows, "Edit"))
    assert FORGOTTEN not in lines(moved(False, early, rows, "Edit")), (
        "whoever is quicker than the page's own first call"
    )
    said = lines(slid(opened, used, rows, "Edit"))
    assert "The judge reads" in said and FORGOTTEN not in said
    with pytest.raises(gr.Error) as refused:  # it shows too little, so the next event shows all
        slid(opened, fresh, rows, "Edit")
    assert not refused.value.visible and not refused.value.print_exception
    after = [fn for fn in demo.fns.values() if fn.trigger_after == slide._id and fn.trigger_only_on_failure]
    assert slid.__self__.everything in [fn.outputs for fn in after]
    assert FORGOTTEN in lines(moved(opened, fresh, rows, "Edit")) and FORGOTTEN not in lines(
        moved(opened, fresh, rows, "Edit")
    ), "once"
    assert fresh.session["source"] == first.session["source"] and not first.used


# The examples of docs/app.md, as they stand there


@pytest.fixture
def docs(space):
    """The section on the API in docs/app.md, with the address of this server."""
    section = (ROOT / "docs" / "app.md").read_text("utf-8").split("## The API\n")[1].split("\n## ")[0]
    assert "http://127.0.0.1:7860" in section
    return section.replace("http://127.0.0.1:7860", space)


def block(text: str, language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def test_the_docs_python_client(docs, pipe, drawing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    patient = functools.partial(
        Client, verbose=False, download_files=str(tmp_path), httpx_kwargs={"timeout": PATIENCE}
    )
    monkeypatch.setattr("gradio_client.Client", patient)  # the machine may be busy
    drawing.rename("digits.png")
    names = {}
    exec(block(docs, "python"), names)
    expected = pipe.generate(pipe.edit(pipe.encode(Image.open("digits.png")), {ONE: 0.6}))[0]
    assert near(Image.open(names["path"]), expected) and Image.open(names["strip"]).size == (3 * 130 - 2, 128)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="there is no curl here")
def test_the_docs_curl(docs, pipe):
    commands = "\n".join(line[4:] for line in docs.splitlines() if line.startswith("    "))
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    said = subprocess.run(
        ["bash", "-c", commands],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "event: complete" in said.stdout, said.stderr
    (file,) = json.loads(next(line for line in said.stdout.splitlines() if line.startswith("data: "))[6:])
    picture = Image.open(io.BytesIO(urllib.request.urlopen(file["url"], timeout=PATIENCE).read()))
    assert near(picture, pipe.generate(pipe.edit(pipe.encode(pipe.sample(6)), {ONE: 0.6}))[0])


def test_the_docs_mcp_server(docs, pipe):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    address = json.loads(block(docs, "json"))["mcpServers"]["lwgan"]["url"]

    async def talk():
        async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            edited = await session.call_tool("edit_image", {"seed": 6, "edits": {ONE: 0.82}})
            return tools, edited, await session.call_tool("list_edits", {})

    tools, edited, listed = asyncio.run(asyncio.wait_for(talk(), PATIENCE))
    assert {tool.name for tool in tools} == ENDPOINTS
    assert all(tool.description for tool in tools)
    picture = next(part for part in edited.content if part.type == "image")
    found = Image.open(io.BytesIO(base64.b64decode(picture.data)))
    assert near(found.convert("L"), pipe.generate(pipe.edit(pipe.encode(pipe.sample(6)), {ONE: 0.82}))[0])
    assert ONE in listed.content[0].text


# Starting


def test_a_registry_without_models_ends_the_app_with_words(tmp_path):
    with pytest.raises(SystemExit, match="lwgan: the registry has no generator"):
        cli.main(["app", "--registry", str(tmp_path)])


def test_spaces_comes_before_torch():
    """`spaces` replaces parts of torch, so it has to be imported first."""
    imported = re.findall(r"^ *(?:import|from) ([a-z_]+)", (ROOT / "app.py").read_text(), re.MULTILINE)
    assert imported.index("spaces") < imported.index("lwgan")


def test_on_zero_gpu_the_app_is_built_with_the_nets_lent_to_the_gpu(tmp_path):
    """As far as possible without ZeroGPU: all loads, the first picture and the examples are made (there are
    no sample pictures here), then the functions are wrapped.

    The app's process never uses CUDA there. A torch without CUDA lacks only three names that `spaces` reads.
    """
    dressed = "torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = '12.8', print, bool"
    code = (
        f"import torch; {'pass' if torch.version.cuda else dressed};"
        "import app; from lwgan.hub.catalog import Catalog; from lwgan.page import blocks;"
        "catalog = Catalog(device='cpu'); demo = blocks.build(catalog); pipe = catalog.pipes['multimnist'];"
        "assert blocks.ZERO_GPU and pipe.device.type == 'cuda' and hasattr(pipe._encode, 'zerogpu');"
        "print('built')"
    )
    environment = {
        **os.environ,
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": "http://x",
        "LWGAN_REGISTRY": str(make_registry(tmp_path)),
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
    )
    assert "built" in ended.stdout, ended.stderr[-2000:]
