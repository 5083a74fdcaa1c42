"""StyleGAN2's residual discriminator (Karras et al., 2020) and a step of its training, with R1."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers import run
from trainers.nets.parallel import shared


@dataclass(frozen=True, kw_only=True)
class Adversarial(run.Training):
    """The options that the stages share which train against a discriminator."""

    data: Path
    """Folder that `python -m trainers data` wrote."""
    r1: float
    """gamma of the R1 penalty."""
    r1_every: int = 16
    """Steps from one R1 penalty to the next."""
    instance_noise: float
    """Standard deviation of the noise on the pictures that the discriminator sees. It hides that real
    backgrounds are exactly black."""
    ema_kimg: float = 10
    """Half-life of the weights' moving average, in thousands of pictures."""
    processes: int = 2
    """Data-parallel processes, one a GPU or a core, that share each batch. torchrun's own number precedes."""


class Discriminator(nn.Module):
    """Picture [N, C, H, W] in [-1, 1] -> logit [N], higher for real pictures.

    channels: widths at 4, 8, ... H/2 px. The first layer folds 2 x 2 pixels into channels, so maps have at
    most half the picture's side: 1.3x faster on a CPU than StyleGAN2's first block, without visible harm."""

    def __init__(self, *, img_channels: int, channels: tuple[int, ...], group_size: int = 8):
        super().__init__()
        self.group_size = group_size
        widths = tuple(reversed(channels))
        self.stem = Conv(4 * img_channels, widths[0], 3)
        self.blocks = nn.Sequential(*(ResidualDown(a, b) for a, b in zip(widths, widths[1:], strict=False)))
        self.conv = Conv(widths[-1] + 1, widths[-1], 3)
        self.fc = nn.Linear(16 * widths[-1], widths[-1])
        self.logit = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor, with_features: bool = False):
        """Logits [N]; with_features: also every block's feature maps, for the perceptual loss."""
        x = activate(self.stem(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)))
        features = [x := block(x) for block in self.blocks]
        x = activate(self.conv(minibatch_stddev(x, self.group_size)))
        logit = self.logit(activate(self.fc(x.flatten(1)))).squeeze(1).float()
        return (logit, features) if with_features else logit


class ResidualDown(nn.Module):
    """Two convolutions and an average pooling, added to a pooled 1 x 1 shortcut."""

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.conv0, self.conv1 = Conv(in_channels, in_channels, 3), Conv(in_channels, channels, 3)
        self.skip = Conv(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = activate(self.conv1(F.avg_pool2d(activate(self.conv0(x)), 2)))
        return (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class Conv(nn.Module):
    """Convolution with an equalised learning rate: the stored weight is scaled at run time."""

    def __init__(self, in_channels: int, channels: int, side: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, in_channels, side, side))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.gain, self.padding = 1 / math.sqrt(in_channels * side * side), side // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.gain, self.bias, padding=self.padding)


def activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """Adds one feature map: how much the pictures of a group differ (Karras et al., 2018, Sec. 3).
    [N, C, H, W] -> [N, C + 1, H, W]."""
    n, _, height, width = x.shape
    group = math.gcd(n, group_size)
    variance = x.view(n // group, group, *x.shape[1:]).float().var(1, correction=0)
    spread = variance.add(1e-8).sqrt().mean((1, 2, 3))
    spread = spread.repeat_interleave(group)[:, None, None, None].expand(n, 1, height, width)
    return torch.cat([x, spread.to(x.dtype)], 1)


def updater(discriminator: Discriminator, adam, options) -> Callable[[Tensor, Tensor, bool], tuple]:
    """A function that takes one step of the discriminator on real and sampled pictures [N, C, H, W], with the
    R1 penalty if the third argument says so. It returns the loss and the mean logits of both."""

    def losses(real: Tensor, fake: Tensor, penalty: bool) -> tuple:
        with run.half_precision(real.device):
            real_logit = discriminator(with_noise(real, options.instance_noise))
            fake_logit = discriminator(with_noise(fake, options.instance_noise))
        loss = total = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        if penalty:
            total = loss + options.r1 / 2 * options.r1_every * r1_penalty(discriminator, real)
        return total, loss, real_logit.mean(), fake_logit.mean()

    def update(real: Tensor, fake: Tensor, penalty: bool) -> tuple:
        discriminator.requires_grad_(True)
        total, *said = forward(real, fake, penalty)
        adam.zero_grad()
        total.backward()
        adam.step()
        discriminator.requires_grad_(False)
        return tuple(said)

    forward = shared(losses, discriminator.requires_grad_(True))
    discriminator.requires_grad_(False)
    return update


def with_noise(pictures: Tensor, deviation: float) -> Tensor:
    """The pictures under instance noise (Sonderby et al., 2017)."""
    return pictures + deviation * torch.randn_like(pictures)


def r1_penalty(discriminator: Discriminator, real: Tensor) -> Tensor:
    """E |grad D(x)|^2 over real pictures (Mescheder et al., 2018), a scalar; in full precision."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()
