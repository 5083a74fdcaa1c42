"""Many pictures edited alike: a batch of codes, the edited pictures, a sheet and an archive of them."""

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lwgan.images import sheet
from lwgan.pipeline import EditingPipeline
from lwgan.recipe import png
from lwgan.sources import frame_each

MOST = 100  # pictures of a batch on the page, by the endpoint and on the command line
PART = 50  # pictures that are encoded or generated at once
FINER = 4  # outlines are drawn at so many times the picture's size
TOLERANCE = 0.6  # of such a finer pixel: the largest deviation of an outline


class Batch(NamedTuple):
    """Pictures of one domain. names: N texts.  codes: [N, num_ws, w_dim].  refused: (name, reason) of each
    picture that cannot be framed."""

    names: list[str]
    codes: Tensor
    refused: list[tuple[str, str]]


def encode(pipe: EditingPipeline, pictures: Sequence[tuple[str, Image.Image]]) -> Batch:
    """Frames and encodes named pictures. ValueError if none can be framed."""
    named, refused = frame_each(pipe.frame, pictures)
    if not named:
        raise ValueError(f"{refused[0][0]}: {refused[0][1]}" if refused else "no picture was given")
    names, framed = map(list, zip(*named, strict=True))
    codes = [pipe.encode(framed[at : at + PART]) for at in range(0, len(framed), PART)]
    return Batch(names, torch.cat(codes), refused)


def edit(pipe: EditingPipeline, batch: Batch, alphas: Mapping[str, float]) -> list[Image.Image]:
    """The pictures of a batch, edited alike. Errors as `EditingPipeline.edit`."""
    return [picture for part in pipe.edit(batch.codes, alphas).split(PART) for picture in pipe.generate(part)]


def side_by_side(pipe: EditingPipeline, pictures: Sequence[Image.Image]) -> Image.Image:
    """All pictures in one sheet, as near to a square as rows allow."""
    return sheet(pipe.as_generated(pictures), math.ceil(math.sqrt(len(pictures))))


def archive(
    pipe: EditingPipeline, batch: Batch, pictures: Sequence[Image.Image], alphas: Mapping[str, float]
) -> bytes:
    """A zip of the edited pictures as PNG, of those with one channel as SVG too, of the sheet, and of the
    edits in edits.json."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        said = {"domain": pipe.domain.name, "edits": dict(alphas), "left_out": dict(batch.refused)}
        packed.writestr("edits.json", json.dumps(said, indent=1))
        packed.writestr("sheet.png", png(side_by_side(pipe, pictures)))
        for i, (name, picture) in enumerate(zip(batch.names, pictures, strict=True), 1):
            stem = f"{i:03d}-{re.sub('[^A-Za-z0-9]+', '-', Path(name).stem)[:60].strip('-')}".strip("-")
            packed.writestr(f"{stem}.png", png(picture))
            if picture.mode == "L":
                packed.writestr(f"{stem}.svg", outlines(picture))
    return file.getvalue()


def outlines(picture: Image.Image) -> str:
    """The bright part of a grey picture as an SVG drawing of filled outlines, black on nothing.

    A unit of the drawing is a pixel. The outlines are OpenCV's, of the picture at FINER times its size."""
    width, height = picture.size
    fine = picture.resize((FINER * width, FINER * height), Image.Resampling.BICUBIC)
    bright = np.pad((np.asarray(fine) > 127).astype(np.uint8), 1)
    lines, _ = cv2.findContours(bright, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = [cv2.approxPolyDP(line, TOLERANCE, closed=True)[:, 0] for line in lines]
    # A contour runs through the middles of the outermost pixels; the padding has moved it by one.
    paths = ["M" + "L".join(f"{x:g},{y:g}" for x, y in (line - 0.5) / FINER) + "Z" for line in lines]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return f'{head}<path fill-rule="evenodd" d="{"".join(paths)}"/></svg>'
