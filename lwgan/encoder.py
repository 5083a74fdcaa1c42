"""pSp (Richardson et al., 2021): a picture becomes a W+ code in one pass; one head a style, codes around the mean code."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPACES = ("W+", "W")


class Encoder(nn.Module):
    """x [N, C, H, W] in [-1, 1] -> w [N, num_ws, w_dim].

    A residual backbone from H/2 px down to 4 px, a feature pyramid on its last three levels, and a head for each
    style: the first `coarse` styles read the 4-px level, the next `middle` the 8-px level, the rest the 16-px level.
    space: "W+", a code for each style, or "W": the sum of the heads is one code, given to all styles (pSp's learn_in_w).
    widths: of the backbone at H/2, H/4, ... 4 px.  pyramid: width of the pyramid.  head: width within a head.
    """

    def __init__(
        self, *, resolution: int, img_channels: int, num_ws: int, w_dim: int, widths: tuple[int, ...] = (32, 96, 192, 256),
        pyramid: int = 128, head: int = 48, coarse: int = 3, middle: int = 3, space: str = "W+",
    ):  # fmt: skip
        super().__init__()
        if len(widths) != round(math.log2(resolution)) - 2 or len(widths) < 3:
            raise ValueError(
                f"widths gives {len(widths)} levels, resolution {resolution} has {round(math.log2(resolution)) - 2} (H/2..4 px), at least 3"
            )
        if space not in SPACES:
            raise ValueError(f"space {space!r} is unknown: choose one of {', '.join(SPACES)}")
        self.config = {
            "resolution": resolution, "img_channels": img_channels, "num_ws": num_ws, "w_dim": w_dim, "widths": list(widths),
            "pyramid": pyramid, "head": head, "coarse": coarse, "middle": middle, "space": space,
        }  # fmt: skip
        self.shape = (img_channels, resolution, resolution)
        self.stem = nn.Conv2d(4 * img_channels, widths[0], 3, padding=1)
        self.backbone = nn.ModuleList(
            ResidualBlock(a, b, a_stride) for a, b, a_stride in zip((widths[0], *widths), widths, (1, 2, 2, 2, 2, 2, 2, 2), strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in reversed(widths[-3:]))
        levels = [0] * coarse + [1] * middle + [2] * (num_ws - coarse - middle)
        self.heads = nn.ModuleList(StyleHead(pyramid, head, w_dim, level) for level in levels)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != self.shape:
            raise ValueError(f"pictures have shape {tuple(x.shape)}, expected [N, {', '.join(map(str, self.shape))}]")
        x = self.stem(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        features = []
        for block in self.backbone:
            x = block(x)
            features.append(x)
        pyramid = [self.lateral[0](features[-1])]
        for lateral, feature in zip(self.lateral[1:], features[-2:-4:-1], strict=True):
            pyramid.append(F.interpolate(pyramid[-1], scale_factor=2, mode="nearest") + lateral(feature))
        w = torch.stack([head(pyramid[head.level]).float() for head in self.heads], 1)
        return self.w_avg + (w if self.config["space"] == "W+" else w.sum(1, keepdim=True).expand_as(w))

    @classmethod
    def from_pretrained(cls, source, revision: str | None = None, token: str | None = None) -> "Encoder":
        """The encoder of a folder or a Hub repo, in evaluation mode. Errors as `lwgan.registry.load_model`."""
        from lwgan.registry import load_module

        return load_module(cls, "encoder", source, revision, token)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with group normalisation, added to a shortcut; the first may halve the side."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv0 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.shortcut(x) + self.conv1(F.leaky_relu(self.norm(self.conv0(x)), 0.2)), 0.2)


class StyleHead(nn.Module):
    """pSp's map2style: strided convolutions down to 4 px, then one linear layer over all places, which keeps where things are."""

    def __init__(self, pyramid: int, width: int, w_dim: int, level: int):
        super().__init__()
        self.level = level
        convs = [nn.Conv2d(pyramid, width, 3, padding=1)] if level == 0 else [nn.Conv2d(pyramid, width, 3, stride=2, padding=1)]
        convs += [nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(level - 1)]
        self.convs = nn.ModuleList(convs)
        self.linear = nn.Linear(16 * width, w_dim)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.weight.mul_(0.1)  # training starts near the mean code

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.linear(x.flatten(1))
