"""Frames: how a picture is brought into the training frame of a generator, (picture, side in px) -> picture.

A Domain names its frame. `EditingPipeline.frame` marks the result, so that each picture is framed once.
"""

from collections.abc import Callable
from typing import NamedTuple

from lwgan.frames.face import cut_quad, find_quads, frame_face
from lwgan.frames.square import frame_square, frame_wide


def frame_ink(picture, side: int):
    """As `lwgan.frames.ink.frame_ink`: OpenCV is loaded when it is first needed."""
    from lwgan.frames import ink

    return ink.frame_ink(picture, side)


def frame_mark(picture, side: int):
    """As `lwgan.frames.mark.frame_mark`, likewise."""
    from lwgan.frames import mark

    return mark.frame_mark(picture, side)


FRAMES = {
    "square": frame_square,
    "wide": frame_wide,
    "face": frame_face,
    "ink": frame_ink,
    "mark": frame_mark,
}
GREY = {"ink", "mark"}  # frames whose pictures are grey; those of the others are in colour


class Places(NamedTuple):
    """How a frame's places in a photograph are found and cut out: picture -> corners [4, 2] of each place;
    (picture, corners, side in px) -> framed picture."""

    find: Callable
    cut: Callable


PLACES = {"face": Places(find_quads, cut_quad)}
"""The frames that are cut out of photographs, into which an edited picture can be put back."""
