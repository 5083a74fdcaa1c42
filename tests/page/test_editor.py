"""The work behind the page's events, on small random networks of digits and of faces."""

import base64
import copy
import dataclasses
import io
import json
import shutil
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from lwgan import AffineEdit, Encoder, Generator, recipe
from lwgan.domain import change_as_json
from lwgan.frames.ink import frame_ink
from lwgan.hub.catalog import Catalog
from lwgan.images import to_tensor
from lwgan.judges import AttributeJudge
from lwgan.page import axis, blocks, events, panel, views
from lwgan.page.editor import VIEWS, Editor
from lwgan.strength import MAX_ALPHA, scale_of, strength_of
from tests.live import pixels
from tests.nets import EDITS, SHIFT, W_DIM, make_domains, make_registry, save_nets, toy_domain
from tests.pictures import BAD, KINDS, draw, saved

ONE, TWO, THREE = EDITS


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mnist):
    return make_domains(tmp_path_factory.mktemp("registry"), mnist)


@pytest.fixture(scope="module")
def editor(folder):
    return Editor(Catalog(folder, device="cpu"))


@pytest.fixture
def digits(editor):
    return editor.start("multimnist")


@pytest.mark.parametrize("step", ["of_png", "from_link", "of_picture"])
def test_a_fault_of_the_machine_is_said_without_a_path(editor, digits, tmp_path, monkeypatch, step):
    """A full disk while a picture is uploaded, a link is opened or a picture is framed."""

    def full(*_):
        raise OSError(28, "No space left on device", "/somewhere/secret/x")

    monkeypatch.setattr(recipe, step, full)
    if step == "from_link":
        session, _ = editor.open_link("#edit=x", *digits)
    else:
        session, _ = editor.upload(
            upload_of(tmp_path / "a.png", saved(draw([("7", 30, 20, 100)], 12), "PNG")), *digits
        )
    said = session.get("problem") or session["note"]
    assert "No space left on device" in said and "/" not in said


def upload_of(path, data: bytes) -> dict:
    path.write_bytes(data)
    return {"path": str(path)}


# Sources and recipes


def test_a_lock_keeps_a_label_costs_something_and_travels_in_the_recipe(tmp_path, mnist):
    editor = Editor(Catalog(make_registry(tmp_path / "registry", calibrator=True), device="cpu"))
    session, sliders = editor.start()
    pipe = editor.pipe_of(session)
    label = pipe.lockable[0]
    assert editor.show(session, sliders, "Edit")["readings"]["cost"] == ""
    session = editor.set_lock(session, label, True)
    shown = editor.show(session, sliders, "Edit")
    locked = editor.pipe_of(session)
    w, alphas = session["before"].w, editor.alphas(session, sliders)
    read = pipe.reading_of([label])
    moves = [(read(each.edit(w, alphas)) - read(w)).abs().item() for each in (pipe, locked)]
    assert moves[1] < 0.05 * moves[0]
    assert [lock["name"] for lock in shown["readings"]["locks"] if lock["on"]] == [label]
    assert shown["readings"]["cost"].startswith("The locks cost ")
    assert json.loads(shown["edit"]["recipe"])["locks"] == [label]
    back, rows = editor.open_link(shown["edit"]["link"], *editor.start())
    assert editor.show(back, rows, "Edit")["edit"]["edited"] == shown["edit"]["edited"]
    made = editor.edit_image(None, alphas, session["source"]["seed"], None, None, [label])
    assert pixels(shown["edit"]["edited"]).tolist() == np.asarray(Image.open(io.BytesIO(made))).tolist()
    with pytest.raises(ValueError, match="'Nose' cannot be locked: choose of"):
        editor.edit_image(None, {}, 0, None, None, ["Nose"])
    assert (
        editor.set_lock(session, label, False)["locks"] == () == editor.set_lock(session, {}, 1)["locks"][1:]
    )


def test_the_first_picture_has_an_edit(editor, digits):
    session, sliders = digits
    assert sliders["rows"] == [
        {"name": ONE, "strength": 1.0},
        {"name": TWO, "strength": 0.0},
        {"name": THREE, "strength": 0.0},
    ]
    shown = editor.show(session, sliders, "Edit")
    assert (
        shown["edit"]["edited"] != shown["edit"]["reconstruction"]
        and "judge reads" in shown["status"]["line"]
    )
    assert "dB PSNR" in shown["readings"]["quality"]


def test_the_reconstruction_is_scored_as_defined(editor, digits):
    session, _ = digits
    original, made = np.asarray(session["framed"], float), np.asarray(session["before"].picture, float)
    expected = 10 * np.log10(255**2 / ((original - made) ** 2).mean())
    assert views.quality(session).startswith(f"{expected:.1f} dB PSNR")


def test_a_png_made_here_comes_back_with_its_edits_to_the_byte(editor, digits, tmp_path):
    session, sliders = digits
    sliders = {
        **sliders,
        "rows": [{"name": ONE, "strength": 0.35}, {"name": THREE, "strength": -0.6}],
        "current": 1,
    }
    made = editor.show(session, sliders, "Edit")["edit"]
    again, back = editor.upload(
        upload_of(tmp_path / "a.png", base64.b64decode(made["edited"].partition(",")[2])), {}, {}
    )
    assert editor.alphas(again, back) == {
        ONE: editor.alphas(session, sliders)[ONE],
        THREE: editor.alphas(session, sliders)[THREE],
        TWO: 0.0,
    }
    assert editor.show(again, back, "Edit")["edit"]["edited"] == made["edited"]
    by_link, rows = editor.open_link("http://host/?edit=" + made["link"], {}, {})
    assert editor.show(by_link, rows, "Edit")["edit"]["edited"] == made["edited"]
    by_json, rows = editor.open_link(made["recipe"], {}, {})
    assert editor.show(by_json, rows, "Edit")["edit"]["edited"] == made["edited"]


def test_a_drawing_lives_on_in_its_recipe(editor, tmp_path):
    drawing = saved(draw([("7", 30, 20, 100)], 12), "PNG")
    session = editor.draw(
        "data:image/png;base64," + base64.b64encode(drawing).decode(), {"domain": "multimnist"}
    )
    assert "problem" not in session and "png" in session["source"]
    made = editor.show(session, {"rows": [{"name": TWO, "strength": 1}]}, "Edit")["edit"]
    again, rows = editor.open_link(made["link"], {}, {})
    assert np.array_equal(np.asarray(again["framed"]), np.asarray(session["framed"]))
    assert editor.show(again, rows, "Edit")["edit"]["edited"] == made["edited"]


def test_a_recipe_names_its_weights_and_others_are_refused(editor, digits):
    session, sliders = digits
    made = json.loads(editor.show(session, sliders, "Edit")["edit"]["recipe"])
    pipe = editor.pipe("multimnist")
    assert made["base"] == {role: pipe.revisions[role] for role in ("generator", "encoder")}
    assert made["edits"] == [
        {"name": ONE, "alpha": 1.5, "sha256": pipe.edits[ONE].config["weights"]["sha256"]}
    ]
    for change, words in (
        ({"base": {**made["base"], "encoder": "0" * 64}}, "another encoder"),
        ({"edits": [{**made["edits"][0], "sha256": "0" * 64}]}, f"another edit {ONE}"),
        ({"edits": [{"name": "nothing", "alpha": 1}]}, "'nothing' is unknown"),
        ({"edits": [{"name": ONE, "alpha": 99}]}, "alpha is 99"),
        ({"source": {"seed": 0, "pictures": "0" * 64}}, "another sample pictures"),
        ({"source": {"png": "%%%"}}, "source is no picture"),
        ({"recipe": 2}, "version 2"),
    ):
        after, rows = editor.open_link(json.dumps({**made, **change}), session, sliders)
        assert words in after["problem"] and after["before"] is session["before"] and rows is sliders
    renamed = {**made, "edits": [{**made["edits"][0], "name": "its-old-name"}]}
    assert editor.open_link(json.dumps(renamed), {}, {})[1]["rows"][0]["name"] == ONE


def test_a_recipe_without_a_source_is_refused_wherever_it_comes_from(editor, digits):
    assert "names no source" in editor.open_link('{"recipe": 1, "edits": []}', *digits)[0]["problem"]
    with pytest.raises(ValueError, match="names no source"):
        editor.edit_image(None, {}, None, None, {"recipe": 1, "edits": []})


def test_a_strip_of_the_api_holds_the_recipe_of_its_picture(editor, digits, tmp_path):
    strip = editor.sweep(ONE, [0, 1], None, 6, None)
    session, sliders = editor.upload(upload_of(tmp_path / "strip.png", strip), *digits)
    assert session["source"]["seed"] == 6 and not any(editor.alphas(session, sliders).values())


def test_a_picture_of_the_api_comes_back_to_the_byte(editor, digits, tmp_path):
    """Also if alpha has more decimals than a slider."""
    made = editor.edit_image(None, {ONE: 1 / 3}, 6, None, None)
    session, sliders = editor.upload(upload_of(tmp_path / "made.png", made), *digits)
    assert base64.b64decode(editor.show(session, sliders, "Edit")["edit"]["edited"].partition(",")[2]) == made


def test_callers_need_not_name_the_domain_of_the_edits_they_name(editor):
    name = next(iter(editor.pipe("synthfaces").edits))
    faces = editor.edit_image(None, {name: 1.0}, 1, "synthfaces", None)
    assert (
        editor.edit_image(None, {name: 1.0}, 1, None, None)
        == faces
        != editor.edit_image(None, {}, 1, None, None)
    )
    assert editor.sweep(name, [0], None, 1, None) == editor.sweep(name, [0], None, 1, "synthfaces")
    with pytest.raises(ValueError, match="unknown"):
        editor.edit_image(None, {name: 1.0}, 1, "multimnist", None)


def test_a_huge_png_is_refused_before_its_text_is_sought(tmp_path, monkeypatch):
    """Its text comes after its pixels: 169 million of them, in 0.7 MB."""
    Image.new("1", (13_000, 13_000)).save(tmp_path / "huge.png")
    monkeypatch.setattr(
        PngImagePlugin.PngImageFile, "text", property(lambda picture: pytest.fail("its pixels were decoded"))
    )
    assert recipe.of_png(tmp_path / "huge.png") is None


@pytest.mark.parametrize(
    "link", ["", None, "?edit=", "nonsense", "?edit=AAAA", "{", "[1]", '{"edits": [1]}', '{"source": 3}',
             "{" * 100_000, "{}", '{"source": {"seed": 0}, "base": {"generator": 5}}',
             '{"source": {"seed": 0, "pictures": 5}}', '{"source": {"seed": Infinity}}',
             '{"source": {"seed": 0}, "domain": ["a"]}', '{"source": {"png": 5}}',
             '{"source": {"seed": "6"}}',
             f'{{"source": {{"seed": 0}}, "edits": [{{"name": "{ONE}", "alpha": 1{"0" * 400}}}]}}',
             f'{{"source": {{"seed": 0}}, "edits": [{{"name": "{ONE}", "sha256": 5}}]}}'],
)  # fmt: skip
def test_a_link_that_is_none_is_a_problem_in_words(editor, digits, link):
    session, _ = editor.open_link(link, digits[0], digits[1])
    assert session["problem"].endswith(".") and session["before"] is digits[0]["before"]


def test_a_png_whose_recipe_is_of_other_nets_is_taken_as_a_picture(editor, digits, tmp_path):
    made = json.loads(editor.show(*digits, "Edit")["edit"]["recipe"])
    made["base"] = {"generator": "0" * 64}
    file = upload_of(tmp_path / "other.png", recipe.png(digits[0]["framed"], made))
    session, _ = editor.upload(file, digits[0], digits[1])
    assert "problem" not in session and "cannot be replayed" in session["note"]


@pytest.mark.parametrize(
    "drawing", [None, "", "data:image/png;base64,AAAA", "data:text/html,<b>", "data:image/png;base64,%%%"]
)
def test_what_the_pad_never_sends_is_a_problem_and_the_picture_stays(editor, digits, drawing):
    after = editor.draw(drawing, digits[0])
    shown = editor.show(after, digits[1], "Edit")
    assert shown["status"]["problem"] and shown["status"]["line"] and after["framed"] is digits[0]["framed"]
    assert not editor.show(editor.sample(1, after), digits[1], "Edit")["status"]["problem"]


@pytest.mark.parametrize("seed", [None, -1, 2**31, 1.5, "3", True, float("nan")])
def test_a_seed_out_of_range_is_a_problem(editor, digits, seed):
    assert "whole number" in editor.sample(seed, digits[0])["problem"]


# Uploads of every kind


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_of_every_kind_becomes_the_source(editor, digits, tmp_path, kind):
    drawing = draw([("7", 30, 20, 100), ("0", 170, 150, 100)], 12)
    session, sliders = editor.upload(upload_of(tmp_path / "upload", KINDS[kind](drawing)), *digits)
    assert "problem" not in session and sliders is digits[1]
    difference = np.abs(np.asarray(session["framed"], float) - np.asarray(frame_ink(drawing), float))
    assert difference.mean() <= (1.0 if "JPEG" in kind else 0.0)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_gets_words_and_the_session_goes_on(editor, digits, tmp_path, name):
    data, words = BAD[name]
    session, sliders = editor.upload(upload_of(tmp_path / "secret.png", data), *digits)
    line = editor.show(session, sliders, "Edit")["status"]["line"]
    assert (
        words in line
        and line[0].isupper()
        and not any(leak in line for leak in ("secret", "/", "Error", "Traceback"))
    )
    assert session["framed"] is digits[0]["framed"]
    after, _ = editor.upload(
        upload_of(tmp_path / "good.png", saved(draw([("7", 30, 20, 100)], 12), "PNG")), session, sliders
    )
    assert not editor.show(after, sliders, "Edit")["status"]["problem"]


# Sliders


@pytest.mark.parametrize(
    "junk",
    [
        None,
        {},
        {"rows": 3},
        {"rows": [3, {}, {"name": 3}, {"name": "no-such"}, {"name": ONE, "strength": "x"}]},
        {"rows": [{"name": ONE, "strength": float("nan")}]},
    ],
)
def test_what_no_slider_sends_is_no_edit(editor, digits, junk):
    assert not any(editor.alphas(digits[0], junk).values())


def test_a_huge_number_is_the_end_of_what_edits_take(editor, digits):
    assert editor.alphas(digits[0], {"rows": [{"name": ONE, "strength": 1e9}]}) == {ONE: MAX_ALPHA}
    assert editor.alphas(digits[0], {"rows": [{"name": ONE, "strength": -1e9}]}) == {ONE: -MAX_ALPHA}


def test_each_method_of_a_change_is_one_choice_of_its_slider(editor):
    described = {edit["name"]: edit for edit in panel.edits_of(editor.pipe("multimnist"))}
    assert [described[name]["method"] for name in (ONE, SHIFT)] == ["LW", "mean shift"]
    assert described[ONE]["label"] == described[SHIFT]["label"] == "1 digit → 2 digits" and list(described)[
        :2
    ] == [ONE, SHIFT]
    assert (
        described[ONE]["unit"] == 1.5
        and "never measured" in described[ONE]["note"]
        and described[ONE]["high"] * 1.5 <= 5
    )


# Views


@pytest.mark.parametrize("domain", ["multimnist", "synthfaces"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_every_domain_can_be_sent(editor, domain, view):
    session, sliders = editor.start(domain)
    shown = editor.show(session, sliders, view)
    parts = {"status", "readings", view.lower()} | ({"whole"} if view == "Edit" else set())
    assert set(shown) == parts
    assert json.loads(json.dumps(shown, allow_nan=False))


@pytest.mark.parametrize("stale", [False, True])
def test_about_says_where_an_edit_is_from_and_whether_the_hub_answered(editor, monkeypatch, stale):
    pipe = editor.pipe("multimnist")
    entry = dataclasses.replace(pipe.sources[ONE], source=f"org/{ONE}", revision="a" * 40, stale=stale)
    monkeypatch.setitem(pipe.sources, ONE, entry)
    said = dict(views.about(pipe, ONE)["rows"])["Source"]
    assert dict(views.about(pipe, ONE)["rows"])["Generator"].startswith("lwgan-multimnist-generator, sha256 ")
    assert said.startswith(f"org/{ONE} at {'a' * 12}") and ("the Hub did not answer" in said) == stale


def test_scrubbing_shows_what_sliding_would(editor, digits):
    session, sliders = digits
    shown = editor.show(session, sliders, "Scrub")["scrub"]
    assert len(shown["frames"]) == 21 and shown["strengths"][shown["at"]] == 1.0
    slid = editor.show(session, {"rows": [{"name": ONE, "strength": shown["strengths"][0]}]}, "Edit")["edit"][
        "edited"
    ]
    assert (
        np.abs(pixels(shown["frames"][0]).astype(int) - pixels(slid)).max() <= 1
    )  # a batch of 21 may round differently


def test_a_sweep_can_be_kept(editor, digits):
    shown = editor.show(*digits, "Sweep")["sweep"]
    assert pixels(shown["png"]).shape == (128, 11 * 130 - 2)
    for kind in ("webp", "gif"):
        film = Image.open(io.BytesIO(base64.b64decode(shown[kind].partition(",")[2])))
        assert film.format == kind.upper() and film.n_frames > 8 and film.size == (128, 128)
        film.seek(0)  # without the edit
        assert (
            np.abs(
                np.asarray(film.convert("L"), int)
                - pixels(shown["cells"][2]["src"]).repeat(2, 0).repeat(2, 1)
            ).mean()
            < 4
        )


def test_methods_are_compared_where_the_same_is_expected_of_them(editor):
    session, sliders = editor.start("synthfaces")
    shown = editor.show(session, sliders, "Compare", {"effect": 0.6})["compare"]
    assert [row["label"] for row in shown["rows"]] == ["LW", "InterFaceGAN"]
    for row in shown["rows"]:
        assert row["alpha"] == pytest.approx(1.2) and (row["target"], row["kept"]) == ("60%", "86%")
        assert [cell["alpha"] for cell in row["cells"]] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    one = editor.show(session, sliders, "Compare", {"methods": ["lwgan-synthfaces-interfacegan-eyeglasses"]})[
        "compare"
    ]
    assert [row["label"] for row in one["rows"]] == ["InterFaceGAN"]
    none = editor.show(session, sliders, "Compare", {"methods": [], "effect": 0.4})["compare"]
    assert (
        none["rows"] == []
        and [method["on"] for method in none["methods"]] == [False, False]
        and none["effect"] == 0.4
    )
    other = editor.show(session, sliders, "Compare", {"methods": ["of-another-change"]})["compare"]
    assert [row["label"] for row in other["rows"]] == ["LW", "InterFaceGAN"]


@pytest.mark.parametrize(
    ("most", "effect"),
    [((0.9, 0.85, 0.1), 0.8), ((0.9, 0.5, 0.3), 0.4), ((0.9, 0.1), 0.8), ((0.3, 0.3), 0.2)],
)
def test_methods_are_first_compared_where_two_of_them_have_something_to_show(most, effect):
    curves = {
        str(i): [{"alpha": 0.0, "target_change": 0.0}, {"alpha": 1.0, "target_change": share}]
        for i, share in enumerate(most)
    }
    pipe = SimpleNamespace(
        scales={name: scale_of({"strength": strength_of(curve, 1.0)}) for name, curve in curves.items()}
    )
    assert axis._comparable(pipe, list(curves)) == effect


def test_faces_are_read_by_their_attributes(editor):
    session, sliders = editor.start("synthfaces")
    assert np.asarray(session["framed"]).shape == (64, 64, 3)
    rows = {row[0]: row[1:] for row in editor.show(session, sliders, "Edit")["readings"]["rows"]}
    pipe = editor.pipe("synthfaces")
    before, after = (
        to_tensor(sight.picture)
        for sight in (session["before"], editor.render(pipe, session, editor.alphas(session, sliders)))
    )
    was, now = pipe.judge(before)[0].sigmoid(), pipe.judge(after)[0].sigmoid()
    said = ("eyeglasses", "not eyeglasses")
    assert rows["Picture judge"] == tuple(
        f"{said[p < 0.5]} {100 * max(p, 1 - p):.0f}%" for p in (was[0].item(), now[0].item())
    )
    assert "eyeglasses" in rows["Code classifier"][0]
    same = ((was > 0.5) == (now > 0.5))[1:].sum().item()
    assert rows["Other labels read the same"][1] == f"{same} of 2"
    assert rows["Off-target drift, points"][1].startswith(f"{100 * (now - was)[1:].abs().mean().item():.1f}")
    cosine = torch.nn.functional.cosine_similarity(pipe.identity(before), pipe.identity(after)).item()
    assert rows["Identity kept, cosine"][1] == f"{cosine:.3f}" and cosine < 1


def test_the_line_names_the_attributes_that_edits_in_use_change(editor):
    session, sliders = editor.start("synthfaces")
    assert [row["strength"] for row in sliders["rows"]] == [1.0, 0.0]  # eyeglasses, smiling
    line = lambda: editor.show(session, sliders, "Edit")["status"]["line"]
    assert "eyeglasses" in line() and "smiling" not in line()
    sliders["rows"][0]["strength"] = 0.0
    assert "eyeglasses" in line() and "smiling" in line()  # no edit is in use


def test_no_edit_changes_nothing_and_a_far_one_is_warned_of(editor, digits):
    session, _ = digits
    same = editor.show(session, {"rows": [{"name": ONE, "strength": 0}]}, "Edit")
    rows = {row[0]: row[1:] for row in same["readings"]["rows"]}
    limit = editor.pipe("multimnist").cloud.limit
    distance = rows[f"Distance from the mean code (99% of known codes: within {limit:.2f})"]
    assert rows["Identity kept, cosine"][1] == "1.000" and distance[0] == distance[1]
    assert same["readings"]["warnings"] == [] and same["edit"]["edited"] != same["edit"]["original"]
    assert np.array_equal(pixels(same["edit"]["edited"]), pixels(same["edit"]["reconstruction"]))
    far = editor.show(session, {"rows": [{"name": ONE, "strength": 3.3}]}, "Edit")["readings"]["warnings"]
    assert any("extrapolate" in words for words in far)


def test_an_edit_without_a_method_or_labels_has_its_place(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / SHIFT / "config.json").read_text())
    for key in ("method", "change"):
        del config[key]
    (copy / SHIFT / "config.json").write_text(json.dumps(config))
    editor = Editor(Catalog(copy, device="cpu"))
    session, sliders = editor.start()
    named = {edit["name"]: edit for edit in sliders["edits"]}
    assert named[SHIFT]["label"] == SHIFT and named[SHIFT]["method"] == "other"
    for view in VIEWS:
        editor.show(session, {"rows": [{"name": SHIFT, "strength": 1}]}, view)


def test_a_forgotten_visitor_of_the_second_domain_stays_there_and_cannot_draw_a_face(editor):
    demo = blocks.build(editor.catalog)
    lost = copy.deepcopy(next(block.value for block in demo.blocks.values() if isinstance(block, gr.State)))
    named = {block.elem_id: block._id for block in demo.blocks.values() if getattr(block, "elem_id", None)}
    event = lambda *target: next(fn.fn for fn in demo.fns.values() if target in fn.targets)
    shown = lambda answer: next(value for value in answer if isinstance(value, dict) and "line" in value)
    _, sliders = editor.start("synthfaces")
    moved = {
        "rows": [{"name": "lwgan-synthfaces-lw-smiling", "strength": 0.5}],
        "current": 0,
        "domain": "synthfaces",
        "made": sliders["made"],
    }
    assert events.FORGOTTEN in shown(event(named["sliders"], "input")(True, lost, moved, "Edit"))["line"]
    assert lost.session["domain"] == "synthfaces" and lost.sliders == moved
    drawing = (
        "data:image/png;base64," + base64.b64encode(saved(draw([("7", 30, 20, 100)], 12), "PNG")).decode()
    )
    answer = shown(event(named["pad"], "input")(drawing, True, lost, moved, "Edit"))
    assert answer["problem"] and "cannot be drawn" in answer["line"] and "png" not in lost.session["source"]


def test_a_move_of_a_slider_shows_all_that_the_view_shows(editor, digits):
    demo = blocks.build(editor.catalog)
    outputs = next(fn.outputs for fn in demo.fns.values() if any(name == "move" for _, name in fn.targets))
    shown = {block.elem_id.removeprefix("view-") for block in outputs if block.elem_id}
    assert shown == editor.show(*digits, "Edit").keys()


def test_a_panel_that_says_nothing_is_pending_holds_everything(editor, monkeypatch):
    """The last edits may arrive while the panel is made."""
    monkeypatch.setattr(editor.catalog, "pending", True)
    monkeypatch.setattr(panel, "edits_of", lambda pipe: setattr(editor.catalog, "pending", False))
    assert editor.sliders("multimnist", [])["pending"]


def test_a_refusal_names_what_it_refuses_once():
    refused = {
        "someone": "someone: the Hub is away ([Errno -2] Name or service not known)",
        "lwgan-a": "org/lwgan-a: no JSON",
        "b": "damaged",
    }
    assert panel.refusals(refused) == [
        ("b", "damaged"),
        ("lwgan-a", "no JSON"),
        ("someone", "the Hub is away (Name or service not known)"),
    ]


def test_any_domain_has_a_page(tmp_path):
    """Shoes at 32 px, without sample pictures: all words come from the Domain."""
    labels = ("Laces", "High_Heel", "Red")
    sizes = {"resolution": 32, "img_channels": 3, "w_dim": W_DIM}
    nets = {
        "generator": Generator(**sizes, channels=(16, 16, 8, 8), z_dim=16, mapping_layers=2),
        "encoder": Encoder(**sizes, num_ws=8, widths=(8, 8, 16), pyramid=16, head=8),
        "judge": AttributeJudge(names=labels, widths=(8, 8, 8), features=16),
    }
    domain = dataclasses.replace(toy_domain("shoes", labels), title="Shoes", subject="a shoe", draw=True)
    base = save_nets(tmp_path, domain, nets)
    config = {"domain": "shoes", "change": change_as_json(domain.changes[1]), "base_revision": base}
    AffineEdit(None, torch.randn(8, W_DIM), config).save_pretrained(tmp_path / "heels")
    catalog = Catalog(tmp_path, device="cpu")
    editor = Editor(catalog)
    session, sliders = editor.start()
    for view in VIEWS:
        assert json.dumps(editor.show(session, sliders, view), allow_nan=False)
    assert [edit["label"] for edit in sliders["edits"]] == ["not high heel → high heel"]
    assert pixels(editor.examples("shoes")["items"][0]["src"]).shape == (32, 32, 3)
    drawing = base64.b64encode(saved(draw([("7", 30, 20, 100)], 12), "PNG")).decode()
    assert "png" in editor.draw(f"data:image/png;base64,{drawing}", session)["source"]
    values = [getattr(block, "value", None) for block in blocks.build(catalog).blocks.values()]
    assert any("# Shoes" in value for value in values if isinstance(value, str))
    assert {"subject": "a shoe"} in values
