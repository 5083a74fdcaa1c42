"""Classifiers: judges that read pictures, and F_l (Eq. 5) that reads codes.

They are kept apart by what they may be used for: F_l trains edits; one judge ("selector") may choose settings and
alphas; another ("judge") is seen by no training loss, early stopping or choice, and gives the published figures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_DIGITS = 4
FACE_PLACES = 8  # a side of the grid of places that judges of faces tell apart: at 64 px all that is left after three halvings


class Reading(NamedTuple):
    """What a judge sees: `count` [N] digits in 0..4, `numbers` [N, 10] how many of each; `count_confidence` and
    `confidence` [N] in [0, 1], the probability it gives to that count, and to those numbers in all ten classes."""

    count: Tensor
    numbers: Tensor
    count_confidence: Tensor
    confidence: Tensor


class DigitJudge(nn.Module):
    """How many digits a picture holds, and how many of each: x [N, 1, H, W] in [-1, 1] -> logits [N, 11, 5] over 0..4.

    Rows 0..9 are the digits, row 10 is the count: a digit that could be a 4 or a 9 is still one digit.
    Residual convolutions down to H/8, features summed over places, so that the answer does not depend on the layout.
    """

    def __init__(self, *, widths: tuple[int, ...] = (32, 64, 128), features: int = 128):
        super().__init__()
        self.config = {"widths": list(widths), "features": features}
        blocks, channels = [], 4
        for width in widths:
            blocks += [ConvBlock(channels, width), ConvBlock(width, width)]
            channels = width
            blocks.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(
            *blocks[:-1], ConvBlock(channels, 2 * channels), ConvBlock(2 * channels, features)
        )
        self.hidden = nn.Linear(features, features)
        self.head = nn.Linear(features, 11 * (MAX_DIGITS + 1))

    def features(self, x: Tensor) -> Tensor:
        """x [N, 1, H, W] in [-1, 1] -> [N, features], the space of the Frechet distance."""
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        return F.relu(self.hidden(self.body(x).float().sum((2, 3)) / 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).view(-1, 11, MAX_DIGITS + 1)

    @torch.no_grad()
    def read(self, x: Tensor) -> Reading:
        """x [N, 1, H, W] in [-1, 1] -> the likeliest reading of each picture."""
        best, answer = torch.cat([self(part).softmax(2) for part in x.split(50)]).max(
            2
        )  # more would leave a CPU's caches
        return Reading(answer[:, 10], answer[:, :10], best[:, 10], best[:, :10].prod(1))

    @classmethod
    def from_pretrained(cls, source, revision: str | None = None, token: str | None = None) -> "DigitJudge":
        """The judge of a folder or a Hub repo, in evaluation mode. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "judge", source, revision, token)


class ConvBlock(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU; with a shortcut where the widths allow it."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv, self.norm = (
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.relu(x + y if self.shortcut else y)


class FaceFeatures(nn.Module):
    """Aligned faces x [N, 3, H, W] in [-1, 1] -> features [N, features], not negative.

    Residual convolutions from H/2 to H/8, as the digits' judge, then one hidden layer that knows places: what is at the ears is no nose.
    The first convolution sees every pixel (rims and earrings are 1 to 2 px wide), of blocks of 2 x 2, and nothing is thrown away there.
    """

    def __init__(self, widths: tuple[int, ...], features: int):
        super().__init__()
        blocks, channels = [], 12
        for width in widths:
            blocks += [ConvBlock(channels, width), ConvBlock(width, width), nn.MaxPool2d(2)]
            channels = width
        self.body = nn.Sequential(*blocks[:-1], ConvBlock(channels, channels))
        self.narrow = nn.Conv2d(channels, channels // 4, 1)
        self.hidden = nn.Linear(channels // 4 * FACE_PLACES**2, features)

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[-1]

    def levels(self, x: Tensor) -> list[Tensor]:
        """What is seen on the way: a map [N, width, H/2, W/2] of the first of `widths`, of each further one at half the size of the one
        before, and last the features [N, features]."""
        x, maps = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last), []
        for layer in self.body:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x, F.relu(self.hidden(F.adaptive_avg_pool2d(self.narrow(x), FACE_PLACES).flatten(1)))]


class AttributeJudge(nn.Module):
    """Which of the named attributes a face has: x [N, 3, H, W] in [-1, 1] -> logits [N, K], K = len(names)."""

    def __init__(self, *, names: Sequence[str], widths: tuple[int, ...] = (32, 64, 128), features: int = 128):
        super().__init__()
        self.config = {"names": list(names), "widths": list(widths), "features": features}
        self.names = tuple(names)
        self.features = FaceFeatures(widths, features)
        self.head = nn.Linear(features, len(self.names))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    @classmethod
    def from_pretrained(
        cls, source, revision: str | None = None, token: str | None = None
    ) -> "AttributeJudge":
        """The judge of a folder or a Hub repo, in evaluation mode. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "attribute-judge", source, revision, token)


class IdentityNetwork(nn.Module):
    """Who it is: x [N, 3, H, W] in [-1, 1] -> embedding [N, embedding] of length 1; cosines tell whether two are one person."""

    def __init__(self, *, widths: tuple[int, ...] = (32, 64, 128), features: int = 192, embedding: int = 64):
        super().__init__()
        self.config = {"widths": list(widths), "features": features, "embedding": embedding}
        self.features = FaceFeatures(widths, features)
        self.head = nn.Linear(features, embedding)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.head(self.features(x)).float(), dim=1)

    @classmethod
    def from_pretrained(
        cls, source, revision: str | None = None, token: str | None = None
    ) -> "IdentityNetwork":
        """The network of a folder or a Hub repo, in evaluation mode. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "identity", source, revision, token)


class LatentClassifier(nn.Module):
    """F_l of Eq. 5: codes w [N, num_ws, w_dim] -> logits [N, outputs].

    Shape of Latent Transformer's classifier as its paper gives it (Yao et al., 2021): two hidden layers on the flattened code.
    """

    def __init__(self, *, num_ws: int, w_dim: int, outputs: int, hidden: tuple[int, int] = (1024, 256)):
        super().__init__()
        self.config = {"num_ws": num_ws, "w_dim": w_dim, "outputs": outputs, "hidden": list(hidden)}
        sizes = (num_ws * w_dim, *hidden)
        layers = [
            layer
            for a, b in zip(sizes, sizes[1:], strict=False)
            for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))
        ]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

    def forward(self, w: Tensor) -> Tensor:
        return self.layers(w.flatten(1))

    @classmethod
    def from_pretrained(
        cls, source, revision: str | None = None, token: str | None = None
    ) -> "LatentClassifier":
        """The classifier of a folder or a Hub repo, in evaluation mode. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "latent-classifier", source, revision, token)
