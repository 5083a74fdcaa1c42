"""Where faces are, and their eyes, nose and mouth corners: MTCNN (Zhang et al., 2016, "Joint Face Detection and Alignment
using Multi-task Cascaded Convolutional Networks"), three small networks, each of which looks again at what the one before let pass.

The weights are those inside the wheel of `mtcnn` 1.0.0 (Ivan de Paz Centeno, MIT licence; requirements-faces.txt), of which
nothing but three files is read: none of its code is imported, and TensorFlow is not needed.
"""

import importlib.util
import io
import math
import pickle
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

INSTALL = "pip install -r requirements-faces.txt"
CELL, STRIDE = 12, 2  # px: what P-Net looks at in one place, and the step between places
PYRAMID_STEP = 0.709  # from one size of the picture to the next: half the area
CONFIDENT = (0.6, 0.7, 0.8)  # the probability of being a face from which each network lets a box pass


class Faces(NamedTuple):
    """Boxes [N, 4] as left, top, right, bottom in px; probabilities [N]; landmarks [N, 5, 2] as x, y in px, of the left eye,
    the right eye, the nose, the left and the right mouth corner, left being left in the picture, which reaches from 0, 0 to W, H. The largest box first."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


class CascadeNet(nn.Module):
    """Convolutions (with PReLU and, where given, a maximum over `pool` px every 2), perhaps a dense layer, then one output each.

    convs: (channels, kernel, pool or 0) in turn.  dense: (inputs, outputs) or None for a network that is convolution throughout.
    heads: sizes of the outputs.  Picture [N, 3, H, W] in (-1, 1) -> a tensor for each head.
    """

    def __init__(
        self, convs: tuple[tuple[int, int, int], ...], dense: tuple[int, int] | None, heads: tuple[int, ...]
    ):
        super().__init__()
        self.convs, self.slopes, channels = nn.ModuleList(), nn.ModuleList(), 3
        for width, kernel, _ in convs:
            self.convs.append(nn.Conv2d(channels, width, kernel))
            self.slopes.append(nn.PReLU(width))
            channels = width
        self.pools = [pool for *_, pool in convs]
        self.dense = nn.Sequential(nn.Linear(*dense), nn.PReLU(dense[1])) if dense else None
        self.heads = nn.ModuleList(
            nn.Linear(dense[1], size) if dense else nn.Conv2d(channels, size, 1) for size in heads
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        for conv, slope, pool in zip(self.convs, self.slopes, self.pools, strict=True):
            x = slope(conv(x))
            x = F.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
        if self.dense is not None:
            x = self.dense(
                x.permute(0, 3, 2, 1).flatten(1)
            )  # the weights count column by column, channels innermost
        return [head(x) for head in self.heads]

    def load(self, arrays: list[np.ndarray]) -> "CascadeNet":
        """Takes the arrays of a weight file, which follow the layers. ValueError if they are not of this network."""
        own = list(self.parameters_in_order())
        if len(own) != len(arrays):
            raise ValueError(
                f"the weight file holds {len(arrays)} arrays, the network has {len(own)}: is this mtcnn 1.0.0?"
            )
        for parameter, array in zip(own, arrays, strict=True):
            value = (
                array.transpose(3, 2, 0, 1)
                if array.ndim == 4
                else array.T
                if array.ndim == 2
                else array.reshape(-1)
            )
            if value.shape != tuple(parameter.shape):
                raise ValueError(
                    f"a layer of the weight file has shape {value.shape}, the network's {tuple(parameter.shape)}: is this mtcnn 1.0.0?"
                )
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.array(value, np.float32)))
        return self.eval().requires_grad_(False)

    def parameters_in_order(self):
        """As the files have them: weight, bias and slopes of each layer, then the heads."""
        for conv, slope in zip(self.convs, self.slopes, strict=True):
            yield from (*conv.parameters(), *slope.parameters())
        yield from self.dense.parameters() if self.dense is not None else ()
        for head in self.heads:
            yield from head.parameters()


class Networks(NamedTuple):
    """P-Net proposes (outputs: box, face), R-Net refuses (box, face), O-Net decides (box, landmarks, face)."""

    pnet: CascadeNet
    rnet: CascadeNet
    onet: CascadeNet


@cache
def networks() -> Networks:
    """The three networks with the wheel's weights. ValueError, with the command that helps, if the wheel is not installed."""
    folder = _weights_folder()
    pnet = CascadeNet(((10, 3, 2), (16, 3, 0), (32, 3, 0)), None, (4, 2))
    rnet = CascadeNet(((28, 3, 3), (48, 3, 3), (64, 2, 0)), (576, 128), (4, 2))
    onet = CascadeNet(((32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)), (1152, 256), (4, 10, 2))
    nets = {"pnet": pnet, "rnet": rnet, "onet": onet}
    return Networks(*(net.load(read_arrays(folder / f"{name}.lz4")) for name, net in nets.items()))


def _weights_folder() -> Path:
    found = [name for name in ("mtcnn", "lz4") if importlib.util.find_spec(name) is None]
    if found:
        raise ValueError(
            f"faces cannot be looked for without {' and '.join(found)}: {INSTALL}, or give the landmarks"
        )
    return Path(importlib.util.find_spec("mtcnn").origin).parent / "assets" / "weights"


# Finding


@torch.inference_mode()
def find_faces(picture: Image.Image, smallest: int = 24) -> Faces:
    """All faces of a picture, upright, of at least `smallest` px; perhaps none. Errors as `networks`."""
    nets = networks()
    values = (torch.from_numpy(np.array(picture.convert("RGB"))).float().permute(2, 0, 1)[None] - 127.5) / 128
    boxes = _propose(nets.pnet, values, smallest)
    boxes, _, _ = _judge(nets.rnet, values, _square(boxes), 24, CONFIDENT[1])
    boxes, scores, marks = _judge(nets.onet, values, _square(boxes), 48, CONFIDENT[2])
    order = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argsort(descending=True)
    return Faces(*(held[order].numpy() for held in (boxes, scores, marks)))


def _propose(pnet: CascadeNet, values: Tensor, smallest: int) -> Tensor:
    """Boxes [N, 4] that P-Net, slid over the picture at many sizes, takes for faces."""
    sides, scale = values.shape[2:], CELL / smallest
    found, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    while min(sides) * scale >= CELL:
        resized = F.interpolate(values, size=[math.ceil(side * scale) for side in sides], mode="area")
        offsets, face = pnet(resized)
        face = face.softmax(1)[0, 1]
        rows, columns = torch.nonzero(face > CONFIDENT[0], as_tuple=True)
        corner = torch.stack([columns, rows], 1) * STRIDE
        boxes = torch.cat([corner, corner + CELL], 1) / scale
        boxes, probability = _moved(boxes, offsets[0, :, rows, columns].T), face[rows, columns]
        kept = _suppress(boxes, probability, 0.5)
        found.append(boxes[kept])
        scores.append(probability[kept])
        scale *= PYRAMID_STEP
    boxes, probability = torch.cat(found), torch.cat(scores)
    return boxes[_suppress(boxes, probability, 0.7)]


def _judge(
    net: CascadeNet, values: Tensor, boxes: Tensor, side: int, confident: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes that a network takes for faces, mended by it; their probabilities and landmarks [N, 5, 2] (zeros from R-Net)."""
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(1).values >= 1]
    if not len(boxes):
        return boxes, torch.zeros(0), torch.zeros(0, 5, 2)
    offsets, *marks, face = net(torch.cat([_cut(values, box, side) for box in boxes]))
    scores = face.softmax(1)[:, 1]
    sizes = boxes[:, 2:] - boxes[:, :2]
    shares = (
        marks[0].view(-1, 2, 5).transpose(1, 2) if marks else torch.zeros(len(boxes), 5, 2)
    )  # five x, then five y
    marks = boxes[:, None, :2] + shares * sizes[:, None]
    moved = _moved(boxes, offsets)
    sure = torch.nonzero(scores > confident)[:, 0]
    kept = sure[_suppress(moved[sure], scores[sure], 0.7, within=side == 48)]
    return moved[kept], scores[kept], marks[kept]


def _cut(values: Tensor, box: Tensor, side: int) -> Tensor:
    """What a box [4] shows, grey where it leaves the picture, at side x side px."""
    left, top, right, bottom = box.round().int().tolist()
    height, width = values.shape[2:]
    inside = values[:, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margin = [
        max(-left, 0),
        max(right - max(left, width), 0),
        max(-top, 0),
        max(bottom - max(top, height), 0),
    ]
    return F.interpolate(F.pad(inside, margin), size=(side, side), mode="area")


def _moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Boxes [N, 4] whose edges move by `offsets` [N, 4], shares of width and height."""
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """The squares [N, 4] around the boxes' middles, as wide as their longer side."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def _suppress(boxes: Tensor, scores: Tensor, overlap: float, within: bool = False) -> Tensor:
    """The indices of the boxes that stay when, of two that overlap by more than this share of their union (within: of the
    smaller one), the less probable goes."""
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    kept, left = [], scores.argsort(descending=True)
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        corner, end = (
            torch.maximum(boxes[best, :2], boxes[left, :2]),
            torch.minimum(boxes[best, 2:], boxes[left, 2:]),
        )
        shared = (end - corner).clamp(min=0).prod(1)
        whole = torch.minimum(areas[best], areas[left]) if within else areas[best] + areas[left] - shared
        left = left[shared <= overlap * whole]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)


# The weight files: a list of arrays as joblib writes it, compressed as lz4


def read_arrays(path: Path) -> list[np.ndarray]:
    """The arrays of a file. Nothing in it is executed: a name that is not an array's is refused. ValueError for what is no such file."""
    import lz4.frame

    try:
        arrays = _Reader(io.BytesIO(lz4.frame.decompress(path.read_bytes()))).load()
    except FileNotFoundError:
        raise ValueError(f"mtcnn is installed, but its {path.name} is missing: {INSTALL}") from None
    except (
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        ValueError,
        AttributeError,
        IndexError,
        TypeError,
    ) as error:
        raise ValueError(f"{path.name} is no file of weights ({error}): {INSTALL}") from error
    if not isinstance(arrays, list) or not all(isinstance(array, np.ndarray) for array in arrays):
        raise ValueError(f"{path.name} holds no list of arrays: {INSTALL}")
    return arrays


class _Wrapper:
    """Stands for joblib's NumpyArrayWrapper: what the pickle says of an array whose bytes follow it."""


class _Reader(pickle._Unpickler):  # the one written in Python, whose steps can be added to
    """Reads a pickle in which each array's description is followed by a byte n, n bytes to fill up, and the array itself."""

    ALLOWED = {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Wrapper,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self.ALLOWED[module, name]

    def load_build(self):
        super().load_build()
        held = self.stack[-1]
        if isinstance(held, _Wrapper):
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
            size = held.dtype.itemsize * math.prod(held.shape)
            self.stack[-1] = np.frombuffer(self.file.read(size), held.dtype).reshape(
                held.shape, order=held.order
            )

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012
