"""pSp (Richardson et al., 2021): a picture becomes a W+ code in one pass, with a head for each style.

One class, two backbones: a small one that trains on a CPU, and pSp's own. The checkpoints of pSp and of e4e
(Tov et al., 2021) are converted by `python -m trainers convert`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan.encoder import ir_se

# The default sizes of each backbone. Of the widths of "small", from 512 px down to 4 px, a picture of H px
# takes those from H/2 px on.
BACKBONES = {
    "small": {"widths": (8, 16, 16, 24, 32, 96, 192, 256), "pyramid": 128, "head": 48, "middle": 3},
    "ir_se50": {"widths": (64, 128, 256, 512), "pyramid": 512, "head": 512, "middle": 4},
}
# From the outputs h_l of the heads to what is added to the mean code: [N, num_ws, w_dim] each.
SPACES = {
    "W+": lambda h: h,
    "W": lambda h: h.sum(1, keepdim=True).expand_as(h),
    "W+ deltas": lambda h: torch.cat([h[:, :1], h[:, :1] + h[:, 1:]], 1),
}


class Encoder(nn.Module):
    """x [N, C, H, W] in [-1, 1] -> w [N, num_ws, w_dim].

    A residual backbone, a feature pyramid on three of its levels, and a head for each style: the first
    `coarse` styles read the coarsest level, the next `middle` the one between, the rest the finest.

    backbone: "small", from H/2 px down to 4 px; or "ir_se50", pSp's IR-SE50 (`lwgan.encoder.ir_se`), for
    256 px.
    space: "W+", a code for each style; "W", one code for all styles, the sum of the heads; "W+ deltas",
    e4e's: the first head gives a code, the others what their styles add to it.
    widths: of the backbone at H/2, H/4, ... px.  pyramid: width of the pyramid.  head: width within a head.
    None: the backbone's default (`BACKBONES`).  bands: rows at the top and as many at the bottom that the
    backbone does not see, such as the black bands of frame "wide"."""

    def __init__(
        self, *, resolution: int, img_channels: int, num_ws: int, w_dim: int,
        widths: tuple[int, ...] | None = None, pyramid: int | None = None, head: int | None = None,
        coarse: int = 3, middle: int | None = None, space: str = "W+", backbone: str = "small",
        bands: int = 0,
    ):  # fmt: skip
        super().__init__()
        for name, value, known in (("space", space, SPACES), ("backbone", backbone, BACKBONES)):
            if value not in known:
                raise ValueError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}")
        given = {"widths": widths, "pyramid": pyramid, "head": head, "middle": middle}
        sizes = dict(BACKBONES[backbone])
        if backbone == "small":
            sizes["widths"] = sizes["widths"][-(resolution // 8).bit_length() :]
        sizes |= {name: value for name, value in given.items() if value is not None}
        self.config = {
            "resolution": resolution, "img_channels": img_channels, "num_ws": num_ws, "w_dim": w_dim,
            "widths": list(sizes["widths"]), "pyramid": sizes["pyramid"], "head": sizes["head"],
            "coarse": coarse, "middle": sizes["middle"], "space": space, "backbone": backbone,
        }  # fmt: skip
        self.config |= {"bands": bands} if bands else {}
        self.shape, self.bands = (img_channels, resolution, resolution), bands
        self.combine, self.small = SPACES[space], backbone == "small"
        levels = ([0] * coarse + [1] * sizes["middle"] + [2] * num_ws)[:num_ws]
        build = self._build_small if self.small else self._build_ir_se50
        build(resolution, img_channels, w_dim, sizes["widths"], sizes["pyramid"], sizes["head"], levels)
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.to(memory_format=torch.channels_last)  # the weights, as `forward` orders the pictures

    def _build_small(self, resolution, img_channels, w_dim, widths, pyramid, head, levels) -> None:
        if resolution != 4 * 2 ** len(widths) or len(widths) < 3:
            raise ValueError(f"widths gives {len(widths)} levels (H/2..4 px), which fit resolution "
                             f"{4 * 2 ** len(widths)}, not {resolution}; at least 3 are needed")  # fmt: skip
        self.stem = nn.Conv2d(4 * img_channels, widths[0], 3, padding=1)
        before = (widths[0], *widths)
        blocks = (ResidualBlock(before[i], width, 2 if i else 1) for i, width in enumerate(widths))
        self.backbone = nn.ModuleList(blocks)
        self.taps = tuple(range(len(widths)))[-3:]
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in reversed(widths[-3:]))
        self.heads = nn.ModuleList(StyleHead(pyramid, head, w_dim, level) for level in levels)

    def _build_ir_se50(self, resolution, img_channels, w_dim, widths, pyramid, head, levels) -> None:
        if len(widths) != len(ir_se.UNITS):
            raise ValueError(f"widths gives {len(widths)} levels, ir_se50 has {len(ir_se.UNITS)}")
        if pyramid != widths[-1]:
            raise ValueError(f"pyramid is {pyramid}, the backbone ir_se50 needs its last width, {widths[-1]}")
        if resolution % 16 or not 16 <= resolution <= 256:
            raise ValueError(f"resolution {resolution}: the backbone ir_se50 takes multiples of 16 up to 256")
        self.stem, self.backbone = ir_se.stem(img_channels, widths[0]), ir_se.units(widths)
        self.taps = ir_se.TAPS
        # The coarsest level of the pyramid is the backbone's output itself.
        lateral = [nn.Conv2d(width, pyramid, 1) for width in (widths[2], widths[1])]
        self.lateral = nn.ModuleList([nn.Identity(), *lateral])
        self.heads = nn.ModuleList(ir_se.GradualHead(pyramid, head, w_dim, level) for level in levels)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"pictures have shape {tuple(x.shape)}, expected [N, {expected}]")
        x = x[:, :, self.bands : x.shape[2] - self.bands]
        x = F.pixel_unshuffle(x, 2) if self.small else x
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        features = []
        for i, block in enumerate(self.backbone):
            x = block(x)
            if i in self.taps:
                features.append(x)
        pyramid = [self.lateral[0](features[2])]
        for lateral, feature in zip(self.lateral[1:], (features[1], features[0]), strict=True):
            pyramid.append(self._enlarge(pyramid[-1]) + lateral(feature))
        h = torch.stack([head(pyramid[head.level]).float() for head in self.heads], 1)
        return self.w_avg + self.combine(h)

    def _enlarge(self, x: Tensor) -> Tensor:
        """A level of the pyramid at the next one's side: [N, C, H, W] -> [N, C, 2H, 2W]."""
        if self.small:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    @classmethod
    def from_pretrained(cls, source, revision: str | None = None, token: str | None = None) -> "Encoder":
        """The encoder of a folder or a Hub repo, frozen. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "encoder", source, revision, token)


def hold_half(encoder: Encoder, dtype: torch.dtype = torch.bfloat16) -> Encoder:
    """The encoder with its convolutions' weights in bfloat16 or float16, for use within torch.autocast of
    that dtype. Autocast computes the same but converts pSp's 267 million weights each time."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)
    return encoder


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
    """pSp's map2style: strided convolutions down to 4 px, then one linear layer over all places."""

    def __init__(self, pyramid: int, width: int, w_dim: int, level: int):
        super().__init__()
        self.level = level
        convs = [nn.Conv2d(pyramid, width, 3, stride=2 if level else 1, padding=1)]
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
