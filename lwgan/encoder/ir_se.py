"""The parts of pSp's encoder: a 50-layer residual network with squeeze and excitation, and its style heads.

The layers compute what eladrich/pixel2style2pixel does (models/encoders/helpers.py, psp_encoders.py), so that
its and omertov/encoder4editing's checkpoints can be converted. Parameters within a unit keep their names.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lwgan.generator import Linear

UNITS = (3, 4, 14, 3)  # residual units of each of the four widths; the first of each halves the side
TAPS = (6, 20, 23)  # the units that the feature pyramid reads: 1/4, 1/8 and 1/16 of the picture's side
CONVS = (4, 5, 6)  # convolutions of a head by the pyramid level it reads: from 16, 32, 64 px (of 256) to 1
REDUCTION = 16  # of the channels inside squeeze and excitation


def stem(img_channels: int, width: int) -> nn.Sequential:
    """[N, C, H, W] -> [N, width, H, W]."""
    conv = nn.Conv2d(img_channels, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.PReLU(width))


def units(widths: tuple[int, ...]) -> nn.ModuleList:
    """The residual units of all four widths, in the order in which a picture passes them."""
    made, before = [], widths[0]
    for width, count in zip(widths, UNITS, strict=True):
        made += [Unit(before if i == 0 else width, width, stride=2 if i == 0 else 1) for i in range(count)]
        before = width
    return nn.ModuleList(made)


def embedder(width: int, side: int, embedding: int) -> nn.Sequential:
    """The last unit's [N, width, side/16, side/16] -> [N, embedding]: the head of the identity network."""
    places = width * (side // 16) ** 2
    # Identity stands for the dropout of training, so that parameters keep their numbers.
    layers = nn.BatchNorm2d(width), nn.Identity(), nn.Flatten(), nn.Linear(places, embedding)
    return nn.Sequential(*layers, nn.BatchNorm1d(embedding))


class Unit(nn.Module):
    """Normalisation, two 3 x 3 convolutions, squeeze and excitation, added to a shortcut. If the width
    stays, the shortcut is the input (every other pixel of it if the side is halved)."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.stride = stride
        if in_channels != channels:
            conv = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.shortcut_layer = nn.Sequential(conv, nn.BatchNorm2d(channels))
        self.res_layer = nn.Sequential(nn.BatchNorm2d(in_channels),
                                       nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
                                       nn.PReLU(channels),
                                       nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False),
                                       nn.BatchNorm2d(channels), SqueezeExcite(channels))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        same = not hasattr(self, "shortcut_layer")
        shortcut = x[:, :, :: self.stride, :: self.stride] if same else self.shortcut_layer(x)
        return self.res_layer(x) + shortcut


class SqueezeExcite(nn.Module):
    """Scales every channel by a factor in (0, 1) that depends on the means of all channels."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // REDUCTION, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class GradualHead(nn.Module):
    """pSp's map2style: convolutions halve the side to 1 px, then a linear layer. Level 0 is the coarsest."""

    def __init__(self, pyramid: int, width: int, w_dim: int, level: int):
        super().__init__()
        self.level = level
        sizes = [pyramid] + [width] * (CONVS[level] - 1)
        convs = (nn.Conv2d(size, width, 3, stride=2, padding=1) for size in sizes)
        self.convs = nn.ModuleList(convs)
        self.linear = Linear(width, w_dim)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.01)
        return self.linear(x.flatten(1))
