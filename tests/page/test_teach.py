"""The tab Teach, from two piles to a slider: in words and codes, then in a browser."""

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from selenium.webdriver import ActionChains, Keys

from lwgan import AffineEdit, EditingPipeline, recipe, taught
from lwgan.hub.catalog import Catalog
from lwgan.images import mark_framed
from lwgan.page import pictures
from lwgan.page.editor import Editor, words
from lwgan.page.events import Events
from lwgan.page.lesson import Lesson
from lwgan.page.visit import Visit
from lwgan.teach import MOST
from tests.browser import PHONE
from tests.live import SEVEN, Page
from tests.nets import EDITS, make_domains

NAME = "lwgan-multimnist-taught-more-digits"


# Without a browser, on toy nets


@pytest.fixture(scope="module")
def editor(tmp_path_factory, mnist):
    return Editor(Catalog(make_domains(tmp_path_factory.mktemp("registry"), mnist), device="cpu"))


@pytest.fixture
def visit(editor):
    visit = Visit({})
    visit.take(*editor.start("multimnist"))
    return visit


@pytest.fixture
def lesson(visit):
    return visit.lesson_of("multimnist")


def fill(lesson, pipe, shown, without, with_) -> None:
    for step, seeds in ((1, without), (2, with_)):
        for seed in seeds:
            lesson.hear(pipe, {"act": "sample", "step": step, "value": seed}, shown)


def test_a_taught_edit_is_a_slider_of_its_visitor_alone(editor, visit, lesson):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    fill(lesson, pipe, framed, range(4), range(4, 8))
    assert lesson.light and lesson.light[0] == "red"  # four pictures are too few to trust
    made = lesson.hear(pipe, {"act": "learn", "step": 3, "name": "More digits"}, framed)
    visit.take(*editor.add_taught(visit.session, visit.sliders, made))
    assert visit.sliders["rows"][0] == {"name": NAME, "strength": 1.0}
    assert NAME in {edit["name"] for edit in visit.sliders["edits"]}
    shown = editor.show(visit.session, visit.sliders, "Edit")["edit"]
    assert shown["edited"] != shown["reconstruction"]
    for view in ("Scrub", "Sweep", "Compare", "About"):
        assert json.dumps(editor.show(visit.session, visit.sliders, view), allow_nan=False)
    # It survives another picture and another domain and comes back in a recipe; no other visitor has it.
    visit.take(editor.sample(3, visit.session))
    link = editor.show(visit.session, visit.sliders, "Edit")["edit"]["link"]
    visit.take(*editor.start("synthfaces", visit.session["taught"]))
    assert NAME not in {edit["name"] for edit in visit.sliders["edits"]}
    back, rows = editor.open_link(link, visit.session, visit.sliders)
    assert "problem" not in back and rows["rows"][0]["name"] == NAME
    other, _ = editor.open_link(link, *editor.start("multimnist"))
    assert other["problem"].startswith("The edit 'More digits', which was taught elsewhere, is missing")
    assert NAME not in pipe.edits and NAME not in {edit["name"] for edit in editor.list_edits()}


@pytest.fixture(scope="module")
def made(editor):
    """A taught edit of the toy nets."""
    pipe = editor.pipe("multimnist")
    piles = [taught.look(pipe, [pipe.sample(seed) for seed in seeds]) for seeds in (range(4), range(4, 8))]
    return taught.make(pipe, *piles, "More digits")


def test_the_weights_of_a_taught_edit_travel_in_the_png(editor, visit, made, tmp_path):
    visit.take(*editor.add_taught(visit.session, visit.sliders, made))
    href = editor.show(visit.session, visit.sliders, "Edit")["edit"]["edited"]
    (tmp_path / "made.png").write_bytes(base64.b64decode(href.partition(",")[2]))
    other = editor.start("multimnist")
    session, sliders = editor.upload({"path": str(tmp_path / "made.png")}, *other)
    assert "problem" not in session and sliders["rows"][0] == {"name": NAME, "strength": 1.0}
    assert editor.show(session, sliders, "Edit")["edit"]["edited"] == href
    found = recipe.of_png(tmp_path / "made.png")
    assert editor.edit_image(None, {}, None, None, found) == (tmp_path / "made.png").read_bytes()
    assert NAME not in editor.pipe("multimnist").edits


def test_a_taught_shift_can_be_locked_and_travels_though_it_is_not_used(editor, visit, made):
    visit.take(*editor.add_taught(visit.session, visit.sliders, made))
    visit.session = editor.set_lock(visit.session, NAME, True)
    pipe, w, b = editor.pipe_of(visit.session), visit.session["before"].w, made.edit.bias
    other = next(name for name in pipe.edits if name not in pipe.added)
    step = pipe.edit(w, {other: 2.0}) - w
    assert abs((step * b).sum()) < 1e-3 * abs(((pipe.edits[other](w, 2.0) - w) * b).sum())
    rows = [{"name": other, "strength": 1.0}]
    shown = editor.show(visit.session, {**visit.sliders, "rows": rows}, "Edit")["edit"]
    back, sliders = editor.open_link(shown["recipe"], *editor.start("multimnist"))
    assert back["locks"] == (NAME,)
    assert editor.show(back, sliders, "Edit")["edit"]["edited"] == shown["edited"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("weights", "AAAA", "model.safetensors has 3 bytes"), ("weights", "<b>", "base64"),
     ("weights", "A" * 5_000_000, "5000000 characters of weights, at most 4000000"),
     ("config", None, "holds a"),
     ("weights", 5, "is no string"), ("name", "lwgan-multimnist-lw-1to2", "another one here has that name"),
     ("name", "../up", "'../up'")],
)  # fmt: skip
def test_damaged_weights_in_a_recipe_are_refused(editor, visit, made, key, value, said):
    pipe = editor.pipe("multimnist").plus({NAME: made.edit})
    found = recipe.make(pipe, recipe.of_seed(pipe, 0), {NAME: 1.0})
    found["edits"][0] = {**found["edits"][0], key: value}
    session, _ = editor.open_link(json.dumps(found), visit.session, visit.sliders)
    assert said in session["problem"] and "/tmp" not in session["problem"]


def test_a_taught_edit_is_compared_with_the_mean_shift_at_equal_strengths(editor, visit, made):
    visit.take(*editor.add_taught(visit.session, visit.sliders, made))
    shown = editor.show(visit.session, visit.sliders, "Compare")["compare"]
    assert [row["label"] for row in shown["rows"]] == ["taught from two piles", "mean shift"]
    assert shown["effects"] == [0.5, 1.0, 1.5, 2.0] and not shown["measured"]
    assert [[cell["alpha"] for cell in row["cells"]] for row in shown["rows"]] == [shown["effects"]] * 2


def test_the_slider_of_a_forgotten_edit_goes(editor, visit):
    unknown = {**visit.sliders, "rows": [{"name": NAME, "strength": 1.0}, *visit.sliders["rows"]]}
    assert editor.has_unknown(visit.session, unknown) and not editor.has_unknown(*editor.start("multimnist"))
    assert editor.arrivals(visit.session, unknown)["rows"] == visit.sliders["rows"]


def test_pictures_are_on_one_pile_and_once(editor, visit, lesson):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    lesson.hear(pipe, {"act": "mine", "step": 1}, framed)
    for step in (1, 2):
        lesson.hear(pipe, {"act": "mine", "step": step}, framed)
        assert lesson.said == "That picture is on a pile already."
    assert [len(lesson.piles[side]) for side in ("without", "with")] == [1, 0]
    fill(lesson, pipe, framed, [7, 8, 7], [])  # the second click takes 7 away
    assert [item.seed for item in lesson.piles["without"]] == [None, 8]
    mark = lesson.piles["without"][0].look.mark
    lesson.hear(pipe, {"act": "remove", "step": 1, "value": mark}, framed)
    assert [item.seed for item in lesson.piles["without"]] == [8]
    lesson.hear(pipe, {"act": "clear", "step": 1}, framed)
    assert not lesson.piles["without"]


@pytest.mark.parametrize(
    "message", [None, 5, [], {"act": "sample", "value": -1}, {"act": "sample", "value": 10**9},
                {"act": "sample", "value": "1"}, {"act": "fly"}, {"act": "sample", "step": 9, "value": None},
                {"act": "remove", "value": {}}],
)  # fmt: skip
def test_messages_that_are_none_change_nothing(editor, visit, lesson, message):
    assert lesson.hear(editor.pipe("multimnist"), message, visit.session["framed"]) is None
    assert not any(lesson.piles.values()) and lesson.step == 1


def test_what_cannot_be_learned_is_said(editor, visit, lesson, tmp_path):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    fill(lesson, pipe, framed, range(2), range(4, 8))
    for name, said in (("ok", "pile 'without' has 2 usable"), ("<i>", "the name is '<i>'"), (None, "None")):
        with pytest.raises(ValueError, match=said):
            lesson.hear(pipe, {"act": "learn", "step": 3, "name": name}, framed)
    lesson.step = 1
    Image.new("L", (64, 64), 9).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match="that would be 503 pictures: a pile may have 500"):
        lesson.add(pipe, [framed] * (MOST + 1))
    (tmp_path / "notes.png").write_text("none")
    with pytest.raises(ValueError) as error:
        lesson.drop(pipe, [tmp_path / "one.png", tmp_path / "notes.png"])
    assert "notes.png" in words(error.value) and str(tmp_path) not in words(error.value)
    assert len(lesson.piles["without"]) == 2  # all or nothing


def test_piles_of_two_sources_are_said_to_teach_the_source(editor, visit, lesson):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    fill(lesson, pipe, framed, range(4), [])
    lesson.step = 2
    noise = np.random.default_rng(0).integers(0, 2, (3, 64, 64), np.uint8) * 255
    lesson.add(pipe, [mark_framed(Image.fromarray(each)) for each in noise])
    assert lesson._mixed().startswith("One pile holds samples and the other your own pictures")
    lesson.add(pipe, [pipe.sample(9)], 9)
    assert lesson._mixed() is None


def test_frames_of_the_webcam_join_the_pile(editor, visit, lesson):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    urls = [pictures.data_url(pipe.sample(seed)) for seed in range(3)]
    lesson.hear(pipe, {"act": "frames", "step": 2, "value": [*urls, urls[0]]}, framed)
    assert len(lesson.piles["with"]) == 3 and lesson.said == "One was there already."
    for bad, said in ((["data:text/html;base64,PGI+"], "the page sent no picture"), ([5], "sent no picture")):
        with pytest.raises(ValueError, match=said):
            lesson.hear(pipe, {"act": "frames", "step": 2, "value": bad}, framed)
    lesson.hear(pipe, {"act": "frames", "step": 2, "value": "x"}, framed)
    assert len(lesson.piles["with"]) == 3


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_names_in_an_archive_lead_nowhere(editor, lesson, tmp_path):
    one = recipe.png(editor.pipe("multimnist").sample(1))
    archive = zipped(tmp_path / "good.zip", {"../../up/one.png": one, "/etc/two.png": one})
    lesson.drop(editor.pipe("multimnist"), [archive])
    assert len(lesson.piles["without"]) == 1 and lesson.said == "One was there already."
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [({"0.png": b""}, "0.png'"), ({"bomb.png": bytes(70_000_000)}, "these files are too large: 500 pictures"),
     ({"a/b/<b>x.png": b"<script>alert(1)</script>"}, "'<b>x.png': that file does not open as a picture"),
     ({"page.html": b"<html>"}, "'page.html'"), ({"../../up.png": b"none"}, "'up.png'")],
)  # fmt: skip
def test_a_bad_file_ends_in_words_and_leaves_the_piles(editor, lesson, tmp_path, files, said):
    with pytest.raises(ValueError) as error:
        lesson.drop(editor.pipe("multimnist"), [zipped(tmp_path / "bad.zip", files)])
    assert said in str(error.value) and str(tmp_path) not in words(error.value)
    assert not any(lesson.piles.values())


def test_600_pictures_are_too_many(editor, lesson, tmp_path):
    one = recipe.png(editor.pipe("multimnist").sample(1))
    many = zipped(tmp_path / "600.zip", {f"{i}.png": one for i in range(600)})
    with pytest.raises(ValueError, match="too many pictures: 500 pictures and 64 MB are the most at a time"):
        lesson.drop(editor.pipe("multimnist"), [many])


def test_pictures_of_another_domain_get_a_red_light():
    """On the bundled nets: faces, of which the frame of ink makes strokes that the encoder can often
    reconstruct, and digits, which the encoder of faces cannot."""
    pipes = {name: EditingPipeline.from_pretrained("bundled", name) for name in ("multimnist", "synthfaces")}
    for name, other, said in (("multimnist", "synthfaces", ""), ("synthfaces", "multimnist", "reconstruct")):
        lesson, pipe = Lesson(name), pipes[name]
        for step, seeds in ((1, range(12)), (2, range(12, 24))):
            lesson.step = step
            strangers = [pipes[other].sample(seed).convert("RGB").resize((300, 300)) for seed in seeds]
            lesson._take(pipe, zip(map(str, seeds), strangers, strict=True))
        lesson._judge(pipe)
        assert lesson.light[0] == "red" and said in lesson.light[1][0]
    with pytest.raises(ValueError, match=r"'without' has 0 usable .*encoder cannot reconstruct 12"):
        lesson.hear(pipe, {"act": "learn", "step": 3, "name": "Thick"}, pipe.sample(0))


def test_all_visitors_piles_have_a_bound(editor, visit, lesson, monkeypatch):
    pipe, framed = editor.pipe("multimnist"), visit.session["framed"]
    idle = Lesson("multimnist")
    fill(idle, pipe, framed, range(4), range(4, 8))
    fill(lesson, pipe, framed, range(3), [])
    assert len(idle.piles["with"]) == 4
    monkeypatch.setattr("lwgan.page.lesson.ROOM", lesson.size() + 10)
    fill(lesson, pipe, framed, [3], [])
    assert not any(idle.piles.values()) and "very many visitors" in idle.said and idle.light is None
    assert len(lesson.piles["without"]) == 4  # the visitor who is here keeps the piles


def test_one_message_teaches_one_edit(editor, visit, monkeypatch):
    learned = []
    monkeypatch.setattr(Lesson, "hear", lambda self, pipe, act, shown: learned.append(act["act"]))
    acts = [{"act": "learn"}, {"act": "step"}, {"act": "learn"}]
    events = object.__new__(Events)  # without a page
    events.editor = editor
    events.teach({"acts": acts}, visit)
    assert learned == ["learn", "step"]


def test_a_lesson_keeps_no_pictures_but_small_ones(editor, visit, lesson):
    fill(lesson, editor.pipe("multimnist"), visit.session["framed"], range(3), [])
    assert all(item.look.picture is None and len(item.src) < 20_000 for item in lesson.piles["without"])
    assert visit.lesson_of("multimnist") is lesson and visit.lesson_of("synthfaces") is not lesson
    assert isinstance(Lesson("x").value(editor.pipe("multimnist")), dict)


# In a browser, on the bundled digits


@pytest.fixture(scope="module")
def seeds():
    """Of samples of one digit and of two, on the first sheet."""
    pipe = EditingPipeline.from_pretrained("bundled", "multimnist")
    found = [pipe.seeds_of(pipe.domain.change(name)) for name in ("1to2", "2to3")]
    return [[seed for seed in each if seed < 40][:4] for each in found]


class Teach(Page):
    """The page with the tab Teach open."""

    def __init__(self, chrome, address: str, **options):
        super().__init__(chrome, address, **options)
        self.view("Teach", ".sheet button")

    def step(self, number: int) -> None:
        self.press(f"#view-teach .steps button[data-key='{number}']")
        current = "#view-teach .steps [aria-current]"
        self.until(lambda: self.attribute(current, "textContent").startswith(str(number)), "the step")

    def count(self, n: int) -> None:
        said = lambda: self.attribute("#view-teach .counts", "textContent")
        self.until(lambda: said().startswith(f"{n} usable"), f"{n} pictures on the pile, not {said()}")

    def samples(self, seeds) -> None:
        for seed in seeds:
            self.press(f"#view-teach .sheet [data-key='{seed}']")
        self.count(len(seeds))

    def give(self, *paths: Path) -> None:
        self.keys("#teach-files input[type=file]", "\n".join(map(str, paths)))

    def archive(self) -> bytes:
        href = self.until(lambda: self.attribute("#view-teach .zip", "href"), "the edit to download")
        return base64.b64decode(href.partition(",")[2])


def test_samples_become_a_slider_and_a_folder(chrome, space, seeds, tmp_path):
    page = Teach(chrome, space)
    for step, chosen in enumerate(seeds, 1):
        page.step(step)
        page.samples(chosen)
    page.step(3)
    page.until(lambda: page.shown("#view-teach .light"), "the light")
    assert page.attribute("#view-teach .light strong", "textContent").startswith("Red")
    page.keys("#view-teach .name", "More digits")
    page.press("#view-teach .go")
    with zipfile.ZipFile(io.BytesIO(page.archive())) as archive:
        archive.extractall(tmp_path)
    assert AffineEdit.from_pretrained(tmp_path / NAME).config["report"]["n"] == [4, 4]
    assert page.has(page.row(NAME)) and page.strength(NAME) == "1"
    assert not page.violations()
    page.view("Compare", "tbody td")
    methods = [cells[0] for cells in page.table("#view-compare .numbers")]
    assert methods == ["taught from two piles", "mean shift"]
    shown = page.attributes("#view-compare tbody td img", "src")  # before and four strengths, of each
    assert len(shown) == 10 and len(set(shown)) == 9
    page.view("Edit", "img.main")
    page.changes("edited", lambda: page.type(page.number(NAME), "0.3"), "moving the taught slider")
    other = Teach(chrome, space)  # another visit
    assert not other.has(other.row(NAME))
    other.count(0)


def test_files_and_drawings_fill_a_pile_and_bad_ones_are_marked(chrome, space, tmp_path):
    page = Teach(chrome, space)
    blank = Image.new("L", (280, 280), 255)
    for i in range(3):
        picture = blank.copy()
        ImageDraw.Draw(picture).line((60, 40, 60 + 30 * i, 180), 0, 14)
        picture.save(tmp_path / f"one{i}.png")
    for x, y in ((70, 70), (210, 70), (70, 210), (210, 210)):
        for dx, dy in ((50, 0), (35, 35), (0, 50), (-35, 35)):
            ImageDraw.Draw(blank).line((x - dx, y - dy, x + dx, y + dy), 0, 8)
    blank.save(tmp_path / "stars.png")  # framed, but no digits
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "one2.png", "one2.png")
    page.give(tmp_path / "stars.png", tmp_path / "one0.png", tmp_path / "one1.png", tmp_path / "more.zip")
    pile = lambda: len(page.attributes("#view-teach .pile button"))
    page.until(lambda: pile() == 4, "four pictures")
    assert "1 cannot be reconstructed" in page.attribute("#view-teach .counts", "textContent")
    assert len(page.attributes("#view-teach .pile .bad")) == 1
    (tmp_path / "notes.png").write_text("none")
    page.give(tmp_path / "notes.png")
    said = lambda: page.attribute("#view-teach .said", "textContent")
    page.until(lambda: "does not open as a picture" in said(), "words on a bad file")
    Image.new("L", (64, 64), 255).save(tmp_path / "blank.png")
    page.give(tmp_path / "blank.png")
    page.until(lambda: said().startswith("1 left out, the first because the picture is blank"), "words")
    page.tab("#source", "Draw")
    page.draw(SEVEN)
    page.until(lambda: page.press("#view-teach .mine") is None and pile() == 5, "the drawing on the pile")


def test_many_pictures_are_edited_alike(chrome, space, tmp_path):
    pipe = EditingPipeline.from_pretrained("bundled")
    for seed in range(3):
        pipe.sample(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "notes.png").write_text("none")
    page = Page(chrome, space)
    page.view("Many", ".ask")
    paths = lambda names: "\n".join(str(tmp_path / name) for name in names)
    give = lambda *names: page.keys("#many-files input[type=file]", paths(names))
    give("notes.png")
    said = lambda: page.attribute("#view-many .said", "textContent")
    page.until(lambda: "'notes.png': that file does not open" in said(), "words on a bad file")
    give("0.png", "1.png", "2.png")
    sheet = lambda: page.attribute("#view-many img", "src")
    before = page.until(sheet, "the sheet")
    page.type(page.number(next(iter(EDITS))), "0.2")
    page.until(lambda: sheet() != before, "another sheet after a slider has moved")
    page.press("#view-many .pack")
    href = page.until(lambda: page.attribute("#view-many .zip", "href"), "the zip")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(href.partition(",")[2]))) as packed:
        assert {"001-0.png", "002-1.svg", "003-2.png", "sheet.png"} <= set(packed.namelist())
    assert not page.violations()


def test_by_keyboard_on_a_phone(chrome, space, seeds):
    page = Teach(chrome, space, size=PHONE)
    assert page.chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    for step, chosen in enumerate(seeds, 1):
        for seed in chosen[:3]:
            page.keys(f"#view-teach .sheet [data-key='{seed}']", Keys.SPACE)
        page.count(3)
        focused = "return document.activeElement.dataset.key"
        assert page.chrome.execute_script(focused) == str(chosen[2])  # the focus stays where it was
        page.keys("#view-teach .next", Keys.ENTER)
        at = "#view-teach .steps [aria-current]"
        page.until(
            lambda at=at, to=step + 1: page.attribute(at, "textContent").startswith(str(to)), "the next step"
        )
    page.keys("#view-teach .name", "More digits", Keys.ENTER)
    assert page.archive()
    assert page.chrome.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert not page.violations()


def test_holding_the_button_or_the_space_bar_takes_pictures_by_the_webcam(chrome, space):
    page = Teach(chrome, space)
    button = page.find("#view-teach .record")
    page.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    ActionChains(chrome).click_and_hold(button).pause(1.5).release().perform()
    page.count(1)  # the film stands still: its pictures are one
    page.press("#view-teach .clear")
    page.count(0)
    page.chrome.execute_script("arguments[0].focus()", button)
    ActionChains(chrome).key_down(Keys.SPACE).pause(1.2).key_up(Keys.SPACE).perform()
    page.count(1)
    assert not page.violations()


def test_a_padlock_keeps_a_label_and_says_what_it_costs(chrome, space):
    page = Page(chrome, space)
    page.press("#readings .locks summary")
    lock = "#readings [data-lock='3-or-more']"
    page.changes("edited", lambda: page.keys(lock, Keys.SPACE), "the lock")
    assert page.attribute(lock, "ariaPressed") == "true" and page.recipe()["locks"] == ["3-or-more"]
    assert page.attribute("#readings .cost", "textContent").startswith("The locks cost ")
    assert page.attribute("#readings .locks", "open")
    assert not page.violations()
