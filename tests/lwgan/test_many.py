"""Batches of pictures: the same as one by one; archives and outlines as other libraries read them."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from lwgan import many
from lwgan.pipeline import EditingPipeline


@pytest.fixture(scope="module")
def pipe():
    return EditingPipeline.from_pretrained("bundled")


def test_a_batch_is_edited_like_each_picture(pipe):
    name = next(iter(pipe.edits))
    pictures = [(f"{seed}.png", pipe.sample(seed)) for seed in range(5)]
    batch = many.encode(pipe, [*pictures, ("blank.png", Image.new("L", (90, 90)))])
    assert batch.names == [name for name, _ in pictures]
    assert batch.refused[0][0] == "blank.png"
    edited = many.edit(pipe, batch, {name: 0.7})
    for (_, picture), many_at_once in zip(pictures, edited, strict=True):
        alone = pipe.generate(pipe.edit(pipe.encode(picture), {name: 0.7}))[0]
        difference = np.asarray(alone).astype(int) - np.asarray(many_at_once)
        assert abs(difference).max() <= 1


def test_nothing_to_edit_is_refused(pipe):
    with pytest.raises(ValueError, match="no picture was given"):
        many.encode(pipe, [])
    with pytest.raises(ValueError, match=r"blank\.png: "):
        many.encode(pipe, [("blank.png", Image.new("L", (90, 90)))])


def test_the_archive_holds_pictures_outlines_sheet_and_edits(pipe):
    batch = many.encode(pipe, [("../a b/é.png", pipe.sample(0)), ("x.png", pipe.sample(1))])
    edited = many.edit(pipe, batch, {})
    with zipfile.ZipFile(io.BytesIO(many.archive(pipe, batch, edited, {"x": 0.5}))) as packed:
        pictures = {"001.png", "001.svg", "002-x.png", "002-x.svg"}
        assert set(packed.namelist()) == pictures | {"edits.json", "sheet.png"}
        said = json.loads(packed.read("edits.json"))
        assert said["edits"] == {"x": 0.5}
        picture = Image.open(io.BytesIO(packed.read("002-x.png")))
        assert picture.tobytes() == edited[1].tobytes()
        assert Image.open(io.BytesIO(packed.read("sheet.png"))).width == 2 * 64 + 1


def area(svg: str) -> float:
    """The area of an SVG's only path, whose holes run within their outline, by the shoelace formula."""
    areas = []
    for line in re.search(' d="(.*?)"', svg)[1].split("Z")[:-1]:
        points = torch.tensor([[float(v) for v in pair.split(",")] for pair in line[1:].split("L")])
        x, y = points.T
        areas.append(float((x * y.roll(-1) - x.roll(-1) * y).sum() / 2))
    return abs(sum(areas))  # OpenCV turns the other way round for holes


def test_outlines_have_the_area_of_the_ink():
    ring = Image.new("L", (640, 640))
    ImageDraw.Draw(ring).ellipse((100, 100, 540, 540), 255)
    ImageDraw.Draw(ring).ellipse((220, 220, 420, 420), 0)
    picture = ring.resize((64, 64), Image.Resampling.BOX)
    svg = many.outlines(picture)
    assert svg.count("Z") == 2
    assert 'viewBox="0 0 64 64"' in svg
    assert area(svg) == pytest.approx(np.pi * (22**2 - 10**2), rel=0.02)


def test_a_blank_picture_has_no_outline():
    assert many.outlines(Image.new("L", (64, 64))).count("Z") == 0
