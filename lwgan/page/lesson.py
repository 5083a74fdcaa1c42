"""The tab Teach: a visitor's two piles of pictures, of which an edit is learned. A Lesson belongs to one
visit."""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from PIL import Image

from lwgan import taught
from lwgan.domain import KINDS
from lwgan.images import open_picture
from lwgan.page.pictures import decoded, thumb_url, url
from lwgan.pipeline import EditingPipeline
from lwgan.sources import frame_each, opened
from lwgan.teach import LEAST, MOST

SIDES = ("without", "with")
SHEET, GENERATED = 40, 400  # samples shown at once; samples where the generator draws them
NEWEST = 60  # pictures of a pile that are shown
SMALL = 96  # px of a picture of a pile
ROOM = (
    500_000_000  # bytes of the piles of all visitors together: beyond it the lesson idle longest is emptied
)
FRAMES = 100  # of the webcam, in one message
LEARN = 3  # the last step; the others are the piles'


class Item(NamedTuple):
    """A picture of a pile: its look (without the picture), a data URL, the seed if it is a sample."""

    look: taught.Look
    src: str
    seed: int | None


_LESSONS: WeakSet["Lesson"] = WeakSet()  # of all visitors


class Lesson:
    """piles: side -> items.  step: 1, 2 (the piles) or 3.  said: the answer to the last message.
    made: the edit that was learned last."""

    def __init__(self, domain: str):
        self.domain, self.step, self.sheet, self.said = domain, 1, 0, ""
        self.piles: dict[str, list[Item]] = {side: [] for side in SIDES}
        self.result: dict | None = None
        self.made: taught.Taught | None = None
        self.used = time.monotonic()
        _LESSONS.add(self)
        self.light: tuple[str, list[str]] | None = None

    # --- What a visitor does: ValueError or OSError for what is refused ---------------------------

    def hear(self, pipe: EditingPipeline, message: object, shown: Image.Image) -> taught.Taught | None:
        """Does what the page asks for; returns a new edit if it was "learn".

        message: {"act": ..., "step": ...} of parts/teach.js.  shown: the framed picture of the session."""
        message = message if isinstance(message, Mapping) else {}
        act, step, self.said = message.get("act"), message.get("step"), ""
        self.step = step if step in (1, 2, LEARN) else self.step
        if act == "learn":
            return self._learn(pipe, message.get("name"), message.get("kind"))
        if act == "more":
            self.sheet += 1
        elif act in ("sample", "mine", "remove", "clear", "frames") and self.step != LEARN:
            self._change(pipe, act, message.get("value"), shown)
        return None

    def _change(self, pipe: EditingPipeline, act: str, value: object, shown: Image.Image) -> None:
        pile = self.piles[SIDES[self.step - 1]]
        if act == "clear":
            pile.clear()
        elif act == "remove":
            pile[:] = [item for item in pile if item.look.mark != value]
        elif act == "mine":
            self.add(pipe, [shown])
        elif act == "frames":
            frames = value[:FRAMES] if isinstance(value, list) else []
            self._take(pipe, (("", open_picture(decoded(frame))) for frame in frames))
        elif isinstance(value, int) and 0 <= value < _samples(pipe):
            kept = [item for item in pile if item.seed != value]
            if len(kept) < len(pile):
                pile[:] = kept
            else:
                self.add(pipe, [pipe.sample(value)], value)
        self._judge(pipe)

    def drop(self, pipe: EditingPipeline, files: Sequence[Path]) -> None:
        """Adds files and zip archives to the pile of this step, but for pictures that cannot be framed."""
        self.said = ""
        if self.step != LEARN:
            self._take(pipe, opened(files, MOST))
            self._judge(pipe)

    def _take(self, pipe: EditingPipeline, named: Iterable[tuple[str, Image.Image]]) -> None:
        """Adds pictures to the pile of this step, but for those that cannot be framed."""
        framed, refused = frame_each(pipe.frame, named)
        if framed:
            self.add(pipe, [picture for _, picture in framed])
        if refused:
            self.said = f"{len(refused)} left out, the first because {refused[0][1]}. {self.said}"

    def add(self, pipe: EditingPipeline, pictures: Sequence[Image.Image], seed: int | None = None) -> None:
        """Adds pictures to the pile of this step, each once and not those of the other pile."""
        pile = self.piles[SIDES[self.step - 1]]
        if len(pile) + len(pictures) > MOST:
            raise ValueError(f"that would be {len(pile) + len(pictures)} pictures: a pile may have {MOST}")
        known = {item.look.mark: side for side in SIDES for item in self.piles[side]}
        new = {}
        for look in taught.look(pipe, pictures):
            if look.mark not in known:  # a copy: the code is a part of a batch, which would be kept whole
                small = replace(look, picture=None, code=look.code.clone())
                new[look.mark] = Item(small, _thumb(look.picture), seed)
        pile += new.values()
        if (again := len(pictures) - len(new)) == 1:
            self.said = (
                "That picture is on a pile already." if len(pictures) == 1 else "One was there already."
            )
        elif again:
            self.said = f"{again} pictures were on a pile already."
        self._make_room()

    def size(self) -> int:
        """Bytes that the piles hold."""
        items = [item for pile in self.piles.values() for item in pile]
        return sum(item.look.code.nbytes + len(item.src) for item in items)

    def _make_room(self) -> None:
        """Empties the lessons of other visitors that were idle longest until all are within ROOM."""
        self.used = time.monotonic()
        lessons = sorted(_LESSONS, key=lambda lesson: lesson.used)
        total = sum(lesson.size() for lesson in lessons)
        for lesson in lessons:
            if total > ROOM and lesson is not self:
                total -= lesson.size()
                lesson.piles = {
                    side: [] for side in SIDES
                }  # new lists: its visitor may be reading the old ones
                lesson.said, lesson.light = "Your piles were emptied: there are very many visitors.", None

    def _learn(self, pipe: EditingPipeline, name: object, kind: object) -> taught.Taught:
        if (mixed := self._mixed()) and pipe.images is None:
            raise ValueError(mixed)
        looks = [[item.look for item in self.piles[side]] for side in SIDES]
        made = self.made = taught.make(pipe, *looks, name, kind if kind in KINDS else None)
        archive = base64.b64encode(made.archive).decode()
        self.result = {
            "name": made.name, "label": made.edit.config["change"]["after"],
            "strip": url(made.strip, "image/png"), "zip": f"data:application/zip;base64,{archive}",
        }  # fmt: skip
        self.light = made.report.light, [*made.report.reasons, *[mixed] * bool(mixed)]
        self.said = "Learned. Its slider is the first, at strength 1."
        return made

    # --- What the page shows ----------------------------------------------------------------------

    def _mixed(self) -> str | None:
        """Words if one pile holds samples alone and the other none."""
        kinds = [{item.seed is None for item in self.piles[side]} for side in SIDES]
        one_each = all(len(kind) == 1 for kind in kinds) and kinds[0] != kinds[1]
        return (
            "One pile holds samples and the other your own pictures: the edit may learn that difference. Put "
            "both sorts on both piles." if one_each else None
        )  # fmt: skip

    def _judge(self, pipe: EditingPipeline) -> None:
        """Sets the light, as soon as both piles have LEAST pictures."""
        looks, self.light = [[item.look for item in self.piles[side]] for side in SIDES], None
        if min(map(len, looks)) < LEAST:
            return
        try:
            report = taught.learn(pipe, *looks, "preview", "place", draw=False)[1]
            mixed = self._mixed()
        except ValueError as error:
            self.light = "red", [str(error)]
        else:
            light = "amber" if mixed and report.light == "green" else report.light
            self.light = light, [*report.reasons, *[mixed] * bool(mixed)]

    def value(self, pipe: EditingPipeline) -> dict:
        """The value of the component."""
        worst = taught.worst_error(pipe)
        seeds = {item.seed: side for side in SIDES for item in self.piles[side] if item.seed is not None}
        first = self.sheet * SHEET % _samples(pipe)
        sheet = [
            {"seed": seed, "src": _thumb(pipe.sample(seed)), "side": seeds.get(seed)}
            for seed in range(first, min(first + SHEET, _samples(pipe)))
        ]
        return {
            "step": self.step, "said": self.said, "sheet": sheet, "limits": taught.LIMITS, "least": LEAST,
            "subject": pipe.domain.subject, "draw": pipe.domain.draw, "result": self.result,
            "light": self.light and {"light": self.light[0], "reasons": self.light[1]},
            "piles": {side: self._pile(side, worst) for side in SIDES},
        }  # fmt: skip

    def _pile(self, side: str, worst: float) -> dict:
        pile = self.piles[side]
        items = [
            {"src": item.src, "mark": item.look.mark, "bad": item.look.error > worst}
            for item in pile[-NEWEST:][::-1]
        ]
        bad = sum(item.look.error > worst for item in pile)
        return {"items": items, "good": len(pile) - bad, "bad": bad, "hidden": len(pile) - len(items)}


def _samples(pipe: EditingPipeline) -> int:
    return GENERATED if pipe.images is None else len(pipe.images)


def _thumb(picture: Image.Image) -> str:
    small = picture.copy()
    small.thumbnail((SMALL, SMALL))
    return thumb_url(small)
