"""Finds faces with their eyes, nose and mouth corners by MTCNN.

Zhang et al., 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks":
three small networks, of which each looks again at the boxes that the one before has passed.

mtcnn.safetensors holds the weights of the Python package `mtcnn` 1.0.0 (Ivan de Paz Centeno; MIT licence, in
mtcnn.LICENSE.txt).
"""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).parent / "mtcnn.safetensors"
CELL, STRIDE = 12, 2  # px: the window that P-Net sees, and the step between windows
PYRAMID_STEP = 0.709  # ratio of successive picture sizes: half the area
CONFIDENT = (0.6, 0.7, 0.8)  # the least probability of a face at which each network passes a box


class Faces(NamedTuple):
    """The faces of a W x H picture, in px from its upper left corner (0, 0) to (W, H), the largest box first.

    boxes: [N, 4], left, top, right, bottom.  scores: [N], probabilities.
    landmarks: [N, 5, 2], x, y of left eye, right eye, nose, left and right mouth corner as seen."""

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray


class CascadeNet(nn.Module):
    """Picture [N, 3, H, W] in (-1, 1) -> a tensor for each head.

    convs: (channels, kernel, pool) of each convolution; a PReLU follows, and max pooling over `pool` px with
    stride 2 unless pool is 0.  dense: (inputs, outputs) of a hidden layer, or None for a fully convolutional
    network.
    heads: the sizes of the outputs."""

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
        head = lambda size: nn.Linear(dense[1], size) if dense else nn.Conv2d(channels, size, 1)
        self.heads = nn.ModuleList(map(head, heads))

    def forward(self, x: Tensor) -> list[Tensor]:
        for conv, slope, pool in zip(self.convs, self.slopes, self.pools, strict=True):
            x = slope(conv(x))
            x = F.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
        if self.dense is not None:
            x = self.dense(x.permute(0, 3, 2, 1).flatten(1))  # the weights expect the order W, H, C
        return [head(x) for head in self.heads]


class Networks(nn.Module):
    """P-Net proposes (outputs box, face), R-Net rejects (box, face), O-Net decides (box, landmarks, face)."""

    def __init__(self):
        super().__init__()
        self.pnet = CascadeNet(((10, 3, 2), (16, 3, 0), (32, 3, 0)), None, (4, 2))
        self.rnet = CascadeNet(((28, 3, 3), (48, 3, 3), (64, 2, 0)), (576, 128), (4, 2))
        self.onet = CascadeNet(((32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0)), (1152, 256), (4, 10, 2))


@cache
def networks() -> Networks:
    """The three networks with their weights, in evaluation mode."""
    nets = Networks()
    nets.load_state_dict(safetensors.torch.load_file(WEIGHTS))
    return nets.eval().requires_grad_(False)


@torch.inference_mode()
def find_faces(picture: Image.Image, smallest: int = 24) -> Faces:
    """All upright faces of a picture that are at least `smallest` px wide; there may be none."""
    nets = networks()
    values = (torch.from_numpy(np.array(picture.convert("RGB"))).float().permute(2, 0, 1)[None] - 127.5) / 128
    boxes = _propose(nets.pnet, values, smallest)
    boxes, _, _ = _refine(nets.rnet, values, _square(boxes), 24, CONFIDENT[1])
    boxes, scores, marks = _refine(nets.onet, values, _square(boxes), 48, CONFIDENT[2])
    order = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argsort(descending=True)
    return Faces(boxes[order].numpy(), scores[order].numpy(), marks[order].numpy())


def _propose(pnet: CascadeNet, values: Tensor, smallest: int) -> Tensor:
    """Candidate boxes [N, 4]: P-Net slides over the picture [1, 3, H, W] at many sizes."""
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


def _refine(
    net: CascadeNet, values: Tensor, boxes: Tensor, side: int, confident: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes that a network accepts, corrected, probabilities [N] and landmarks [N, 5, 2] (R-Net: 0)."""
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(1).values >= 1]
    if not len(boxes):
        return boxes, torch.zeros(0), torch.zeros(0, 5, 2)
    offsets, *marks, face = net(torch.cat([_cut(values, box, side) for box in boxes]))
    scores = face.softmax(1)[:, 1]
    shares = torch.zeros(len(boxes), 5, 2)
    if marks:
        shares = marks[0].view(-1, 2, 5).transpose(1, 2)  # the output has five x, then five y
    marks = boxes[:, None, :2] + shares * (boxes[:, 2:] - boxes[:, :2])[:, None]
    moved = _moved(boxes, offsets)
    sure = torch.nonzero(scores > confident)[:, 0]
    kept = sure[_suppress(moved[sure], scores[sure], 0.7, within=side == 48)]
    return moved[kept], scores[kept], marks[kept]


def _cut(values: Tensor, box: Tensor, side: int) -> Tensor:
    """The content of a box [4], resized to side x side px; grey beyond the picture."""
    left, top, right, bottom = box.round().int().tolist()
    height, width = values.shape[2:]
    inside = values[:, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    outside = (-left, right - max(left, width), -top, bottom - max(top, height))
    return F.interpolate(F.pad(inside, [max(px, 0) for px in outside]), size=(side, side), mode="area")


def _moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Boxes [N, 4] with their edges moved by `offsets` [N, 4], in shares of width and height."""
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """Squares [N, 4] with the boxes' centres and longer sides."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], 1)


def _suppress(boxes: Tensor, scores: Tensor, overlap: float, within: bool = False) -> Tensor:
    """Non-maximum suppression: the indices of the boxes that are kept, the most probable first. Of boxes that
    share more than `overlap` of their union (within: the smaller box), drops the less probable."""
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    kept, left = [], scores.argsort(descending=True)
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        corner = torch.maximum(boxes[best, :2], boxes[left, :2])
        end = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (end - corner).clamp(min=0).prod(1)
        whole = torch.minimum(areas[best], areas[left]) if within else areas[best] + areas[left] - shared
        left = left[shared <= overlap * whole]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)
