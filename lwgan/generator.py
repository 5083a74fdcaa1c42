"""StyleGAN2 (Karras et al., 2020) in plain PyTorch: mapping z -> w, synthesis w -> picture.

Parameters are named and scaled as in NVlabs/stylegan2-ada-pytorch (training/networks.py), so that converted
checkpoints compute the same pictures. Plain PyTorch operators only, nothing to compile.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lwgan import winograd

NOISE_MODES = ("const", "random", "none")
OUTPUTS = {"linear": lambda picture: picture, "tanh": torch.tanh}
SQRT2 = math.sqrt(2)
ONE_BY_ONE = 128  # px from which a CPU renders pictures one by one: a batch would exceed its caches
Noise = str | Sequence[Tensor]  # one of NOISE_MODES, or a noise map for each styled convolution


class Generator(nn.Module):
    """`mapping(z)` gives W+ codes, `synthesis(w)` renders them.

    resolution: side of the picture, a power of two >= 8.  img_channels: 1 or 3.
    channels: widths of the feature maps at 4, 8, ... resolution px, one each.
    use_noise: whether layers add noise maps.  conv_clamp: bound on activations, or None.
    output: "linear" as published, or "tanh" for pictures whose background is exactly black."""

    def __init__(
        self, *, resolution: int, img_channels: int = 3, channels: tuple[int, ...] | None = None,
        z_dim: int = 512, w_dim: int = 512, mapping_layers: int = 8, use_noise: bool = True,
        conv_clamp: float | None = None, output: str = "linear",
    ):  # fmt: skip
        super().__init__()
        levels = round(math.log2(resolution)) - 1
        if resolution != 2 ** (levels + 1) or resolution < 8:
            raise ValueError(f"resolution {resolution} is not a power of two >= 8")
        channels = tuple(channels or (min(32768 // (4 * 2**level), 512) for level in range(levels)))
        if len(channels) != levels:
            wanted = f"resolution {resolution} has {levels} levels"
            raise ValueError(f"channels gives {len(channels)} widths, {wanted}")
        if output not in OUTPUTS:
            raise ValueError(f"output {output!r} is unknown: choose one of {', '.join(OUTPUTS)}")
        self.config = {
            "resolution": resolution, "img_channels": img_channels, "channels": list(channels),
            "z_dim": z_dim, "w_dim": w_dim, "mapping_layers": mapping_layers, "use_noise": use_noise,
            "conv_clamp": conv_clamp, "output": output,
        }  # fmt: skip
        self.resolution, self.z_dim, self.w_dim, self.num_ws = resolution, z_dim, w_dim, 2 * levels
        self.mapping = Mapping(z_dim, w_dim, self.num_ws, mapping_layers)
        self.synthesis = Synthesis(channels, w_dim, img_channels, use_noise, conv_clamp, output)

    def forward(self, z: Tensor, truncation_psi: float = 1.0, noise: Noise = "const") -> Tensor:
        """z [N, z_dim] -> picture [N, C, H, W], about [-1, 1]. noise: as `Synthesis` takes it."""
        return self.synthesis(self.mapping(z, truncation_psi), noise)

    @classmethod
    def from_pretrained(cls, source, revision: str | None = None, token: str | None = None) -> "Generator":
        """The generator of a folder or a Hub repo, frozen. Errors as `lwgan.hub.registry.load_model`."""
        from lwgan.hub.registry import load_module

        return load_module(cls, "generator", source, revision, token)


class Mapping(nn.Module):
    """z -> w: normalise, then `layers` fully connected layers; w is repeated for all num_ws styles."""

    def __init__(self, z_dim: int, w_dim: int, num_ws: int, layers: int):
        super().__init__()
        self.z_dim, self.num_ws, self.layers = z_dim, num_ws, layers
        for i in range(layers):
            layer = Linear(w_dim if i else z_dim, w_dim, lr_multiplier=0.01, activate=True)
            setattr(self, f"fc{i}", layer)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """z [N, z_dim], standard normal -> w [N, num_ws, w_dim]; truncation_psi < 1 moves it to w_avg."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z has shape {tuple(z.shape)}, expected [N, {self.z_dim}]")
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for i in range(self.layers):
            w = getattr(self, f"fc{i}")(w)
        w = self.w_avg.lerp(w, truncation_psi) if truncation_psi != 1 else w
        return w[:, None].repeat(1, self.num_ws, 1)


class Synthesis(nn.Module):
    """w -> picture: a learned constant, two modulated convolutions per level, skips to the picture."""

    def __init__(
        self, channels, w_dim: int, img_channels: int, use_noise: bool, conv_clamp: float | None, output: str
    ):
        super().__init__()
        self.resolutions = [4 * 2**level for level in range(len(channels))]
        self.num_ws, self.w_dim = 2 * len(channels), w_dim
        self.use_noise, self.output = use_noise, OUTPUTS[output]
        before = 0
        for resolution, width in zip(self.resolutions, channels, strict=True):
            block = Block(before, width, w_dim, resolution, img_channels, use_noise, conv_clamp)
            setattr(self, f"b{resolution}", block)
            before = width

    def forward(self, w: Tensor, noise: Noise = "const") -> Tensor:
        """w [N, num_ws, w_dim] -> picture [N, C, H, W], about [-1, 1].

        noise: "const" (the same maps for every picture), "random", "none", or a noise map for each of
        `noise_layers`: [r, r] or [1, 1, r, r] for all pictures, [N, 1, r, r] for each its own. ValueError
        for other numbers or shapes."""
        if w.ndim != 3 or w.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"w has shape {tuple(w.shape)}, expected [N, {self.num_ws}, {self.w_dim}]")
        maps = self._maps(noise, len(w))
        # In training a weight's gradient is best computed once a batch.
        training = torch.is_grad_enabled() and self.b4.const.requires_grad
        if len(w) <= 1 or training or w.device.type != "cpu" or self.resolutions[-1] < ONE_BY_ONE:
            return self._render(w, maps)
        own = [[m[i : i + 1] if isinstance(m, Tensor) and m.ndim == 4 and len(m) > 1 else m for m in maps]
               for i in range(len(w))]  # fmt: skip
        return torch.cat([self._render(*one) for one in zip(w.split(1), own, strict=True)])

    def _render(self, w: Tensor, maps: list) -> Tensor:
        x = picture = None
        for level, resolution in enumerate(self.resolutions):
            # The level's convolutions have a noise map and a style each; one more style is ToRGB's.
            first = max(2 * level - 1, 0)
            block, last = getattr(self, f"b{resolution}"), 2 * level + 1
            x, picture = block(x, picture, w[:, first : last + 1], maps[first:last])
        return self.output(picture)

    def _maps(self, noise: Noise, n: int) -> list:
        """The noise of each styled convolution: the mode, or its own noise map, checked."""
        layers = self.noise_layers
        if isinstance(noise, str):
            if noise not in NOISE_MODES:
                raise ValueError(f"noise {noise!r} is unknown: choose one of {', '.join(NOISE_MODES)}")
            return [noise] * len(layers)
        if not isinstance(noise, (list, tuple)) or not all(isinstance(m, Tensor) for m in noise):
            modes = ", ".join(NOISE_MODES)
            raise ValueError(f"noise is {type(noise).__name__}, expected one of {modes} or a list of maps")
        if not self.use_noise:
            raise ValueError("noise maps were given to a generator without noise (use_noise is off)")
        if len(noise) != len(layers):
            maps = [f"{name} [{r}, {r}]" for name, r in layers.items()]
            expected = f"{len(maps)}: from {maps[0]} to {maps[-1]}"
            raise ValueError(f"noise gives {len(noise)} maps, expected {expected}")
        for (name, r), m in zip(layers.items(), noise, strict=True):
            if tuple(m.shape) not in ((r, r), (1, 1, r, r), (n, 1, r, r)):
                expected = f"({r}, {r}) or ({n} or 1, 1, {r}, {r})"
                raise ValueError(f"noise map of {name} has shape {tuple(m.shape)}, expected {expected}")
        return list(noise)

    @property
    def noise_layers(self) -> dict[str, int]:
        """The styled convolutions in their order, and the side of their noise maps: {"b4.conv1": 4, ...}."""
        return {f"b{r}.conv{i}": r for r in self.resolutions for i in (0, 1) if r > 4 or i}


class Block(nn.Module):
    """One resolution: upsampling convolution (not at 4 px), convolution, the level's part of the picture."""

    def __init__(self, in_channels: int, channels: int, w_dim: int, resolution: int, img_channels: int,
                 use_noise: bool, conv_clamp: float | None):  # fmt: skip
        super().__init__()
        self.first = in_channels == 0
        if self.first:
            self.const = nn.Parameter(torch.randn(channels, resolution, resolution))
        else:
            self.conv0 = StyledConv(in_channels, channels, w_dim, resolution, use_noise, conv_clamp, up=True)
        self.conv1 = StyledConv(channels, channels, w_dim, resolution, use_noise, conv_clamp)
        self.torgb = ToRGB(channels, img_channels, w_dim, conv_clamp)

    def forward(
        self, x: Tensor | None, picture: Tensor | None, w: Tensor, maps: Sequence[str | Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Features x [N, I, r/2, r/2] and picture [N, C, r/2, r/2] of the level before (None at 4 px) ->
        those of this level, at r px.

        w: a style for each convolution, then one for ToRGB, which the next level's first convolution takes
        too: [N, 3, w_dim], at 4 px [N, 2, w_dim].  maps: noise for each convolution, a mode or a map."""
        if self.first:
            x = self.const.expand(len(w), -1, -1, -1).to(memory_format=torch.channels_last)
        else:
            x = self.conv0(x, w[:, 0], maps[0])
        x = self.conv1(x, w[:, -2], maps[-1])
        share = self.torgb(x, w[:, -1]).to(self.torgb.bias.dtype)
        return x, share if picture is None else upsample(picture) + share


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, leaky ReLU.

    Modulation scales the activations, demodulation the result, so one dense convolution serves the whole
    batch. For a single large picture both are multiplied into the weights instead (`scales_weights`)."""

    def __init__(self, in_channels: int, channels: int, w_dim: int, resolution: int, use_noise: bool,
                 conv_clamp: float | None, up: bool = False):  # fmt: skip
        super().__init__()
        self.up, self.clamp = up, conv_clamp
        self.affine = Linear(w_dim, in_channels, bias_init=1)
        # [O, I, 3, 3], in the memory order of the convolution, which would else reorder them each time.
        shape = (in_channels, channels, 3, 3) if up else (channels, in_channels, 3, 3)
        weight = torch.randn(shape).contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight.transpose(0, 1) if up else weight)
        self.bias = nn.Parameter(torch.zeros(channels))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor, style: Tensor, noise: str | Tensor) -> Tensor:
        """x [N, I, H, W], style [N, w_dim]; noise: a mode, or a noise map [H, W] or [N or 1, 1, H, W]."""
        s, energy = self.affine(style), self._energy()  # [N, I], [I, O]
        # sqrt(2), the gain of the activation, is applied before it, to each of the terms.
        with full_precision(s):
            demodulation = SQRT2 * (s.square() @ energy + 1e-8).rsqrt()  # [N, O]
        bias, noise_map = SQRT2 * self.bias, self._noise_map(noise, x)
        if scales_weights(x, self.weight):
            x = self._convolve(x, self.weight * torch.outer(demodulation[0], s[0])[:, :, None, None], bias)
        else:
            if computes_in_float16(x):
                # As NVIDIA does, styles are scaled so that no result exceeds float16's largest number,
                # 65504: by Cauchy and Schwarz it is at most sqrt(9 I) times the largest of x. The
                # demodulation undoes it.
                size = (s.abs().amax(1, keepdim=True) * energy.sum(0).max().sqrt()).clamp_min(1e-8)  # [N, 1]
                s, demodulation = s / size, demodulation * size
            x = self._convolve(x * s[:, :, None, None].to(x.dtype), self.weight)
            scale = demodulation[:, :, None, None].to(x.dtype)
            x = torch.addcmul(bias[:, None, None].to(x.dtype), x, scale)  # one pass over x
        if noise_map is not None:
            x = x.add_((SQRT2 * self.noise_strength * noise_map).to(x.dtype))
        x = F.leaky_relu(x, 0.2, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _energy(self) -> Tensor:
        """The sum of squares of every 3 x 3 kernel: [I, O]. Summed in the memory order of the weights."""
        if self.up:
            return self.weight.transpose(0, 1).square().sum((2, 3))
        return self.weight.square().sum((2, 3)).T

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if self.up:
            return blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), gain=4, bias=bias)
        if winograd.pays(x, weight):
            return winograd.conv2d(x, weight, bias)
        return F.conv2d(x, weight, bias, padding=1)

    def _noise_map(self, noise: str | Tensor, x: Tensor) -> Tensor | None:
        if isinstance(noise, Tensor):
            return noise.to(self.noise_strength)
        if noise == "none" or not hasattr(self, "noise_const"):
            return None
        if noise == "const":
            return self.noise_const
        return torch.randn(len(x), 1, *self.noise_const.shape, device=x.device)


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to the picture's channels, without demodulation."""

    def __init__(self, channels: int, img_channels: int, w_dim: int, conv_clamp: float | None):
        super().__init__()
        self.clamp = conv_clamp
        self.affine = Linear(w_dim, channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(img_channels, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        s = self.affine(style) / math.sqrt(self.weight.shape[1])
        if scales_weights(x, self.weight):
            x = F.conv2d(x, self.weight * s[:, :, None, None], self.bias)
        else:
            x = F.conv2d(x * s[:, :, None, None].to(x.dtype), self.weight)
            x = x + self.bias[:, None, None].to(x.dtype)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Linear(nn.Module):
    """Fully connected layer with an equalised learning rate: the stored weight is scaled at run time."""

    def __init__(self, in_features: int, out_features: int, bias_init: float = 0.0,
                 lr_multiplier: float = 1.0, activate: bool = False):  # fmt: skip
        super().__init__()
        # In place: else, without memory (`load_module`), torch imports its compiler, which takes a second.
        self.weight = nn.Parameter(torch.randn(out_features, in_features).div_(lr_multiplier))
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init)))
        self.weight_gain, self.bias_gain = lr_multiplier / math.sqrt(in_features), lr_multiplier
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            x = F.linear(x.to(self.weight.dtype), self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(x, 0.2) * SQRT2 if self.activate else x


def full_precision(x: Tensor) -> torch.autocast:
    """Disables autocast: styles and the RGB skip stay in the precision of the weights."""
    return torch.autocast(x.device.type, enabled=False)


def computes_in_float16(x: Tensor) -> bool:
    """Whether a convolution of x is computed in float16: x is, or torch.autocast makes it so."""
    device = x.device.type
    autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
    return autocast or x.dtype == torch.float16


def scales_weights(x: Tensor, weight: Tensor) -> bool:
    """Whether to multiply a style into the weights rather than into the features x: for one picture, if its
    features are the larger tensor."""
    return len(x) == 1 and x.numel() > weight.numel()


def blur_kernel(channels: int, gain: float, like: Tensor) -> Tensor:
    """The separable filter [1, 3, 3, 1], one copy per channel, summing to `gain`: [channels, 1, 4, 4]."""
    # [1, 3, 3, 1] / 8, computed on the device: a copy from a Python list would make a GPU wait for the host.
    taps = 0.5 - (torch.arange(4, device=like.device, dtype=like.dtype) - 1.5).abs() / 4
    return (gain * torch.outer(taps, taps)).expand(channels, 1, 4, 4)


def blur(x: Tensor, gain: float, bias: Tensor | None = None) -> Tensor:
    """Low-pass filter after a transposed convolution, plus bias [C]: [N, C, 2H+1, 2W+1] -> [N, C, 2H, 2W]."""
    return F.conv2d(x, blur_kernel(x.shape[1], gain, x), bias, padding=1, groups=x.shape[1])


def upsample(picture: Tensor) -> Tensor:
    """The picture at twice its side, [N, C, H, W] -> [N, C, 2H, 2W], with the same filter."""
    channels = picture.shape[1]
    with full_precision(picture):
        kernel = blur_kernel(channels, 4, picture)
        return F.conv_transpose2d(picture, kernel, stride=2, padding=1, groups=channels)
