"""Winograd's fast convolution (Lavin and Gray, 2016), F(4 x 4, 3 x 3): 36 products for 16 pixels, not 144.

PyTorch has it for CUDA (in cuDNN) but not for CPUs. StyleGAN2 of the usual widths renders a picture in 532 ms
instead of 649 at 128 px, 863 instead of 1044 at 256 px, 1979 instead of 2163 at 1024 px (one core, best of
7 in one interleaved run).
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

# Where polynomials are evaluated, beside infinity: near 1, so that little precision is lost.
POINTS = (0.0, 1.0, -1.0, 0.5, -0.5)
TILE, TAPS, SIDE = 4, 3, 6  # a tile of TILE x TILE results takes SIDE x SIDE inputs
TILES = 64  # transformed at a time: products of matrices with that many rows are fast and fit into the caches


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `conv2d` applies and is faster than PyTorch's: on a CPU, in float32, without gradients, for one
    picture with many large feature maps."""
    changed = torch.is_autocast_enabled("cpu") or torch.is_grad_enabled()
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not changed
    large = min(x.shape[2:]) >= 64 and min(weight.shape[:2]) >= 128
    return plain and large and len(x) == 1 and not (x.shape[2] % TILE or x.shape[3] % TILE)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.conv2d(x, weight, bias, padding=1) for 3 x 3 kernels: x [1, I, H, W], H and W multiples of 4, weight
    [O, I, 3, 3], bias [O] -> [1, O, H, W], channels last, relative error about 2e-6. No gradients."""
    (_, width, h, w), channels = x.shape, len(weight)
    data, kernel, result = _transforms()
    kernels = (kernel @ weight.permute(2, 3, 1, 0).reshape(TAPS**2, -1)).view(-1, width, channels)
    padded = F.pad(x, (1, 1, 1, 1))[0].permute(1, 2, 0)
    out = x.new_empty(h // TILE, TILE, w // TILE, TILE, channels)
    step = max(TILES * TILE // w, 1)
    for row in range(0, h // TILE, step):
        strip = padded[TILE * row : TILE * (row + step - 1) + SIDE]  # the last may be shorter
        tiles = strip.unfold(0, SIDE, TILE).unfold(1, SIDE, TILE)  # [rows, W / 4, I, 6, 6]
        products = torch.bmm(
            (data @ tiles.permute(3, 4, 0, 1, 2).reshape(SIDE**2, -1)).view(SIDE**2, -1, width), kernels
        )
        block = (result @ products.view(SIDE**2, -1)).view(TILE, TILE, -1, w // TILE, channels)
        torch.add(block.permute(2, 0, 3, 1, 4), 0 if bias is None else bias, out=out[row : row + step])
    return out.view(1, h, w, channels).permute(0, 3, 1, 2)


@functools.cache
def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of tiles [36, 36], kernels [36, 9] and results [16, 36]: B^T, G and A^T of Lavin and
    Gray, for both directions at once. On the CPU, whatever the default device is at the first call.

    Toom and Cook: a polynomial with k coefficients is given by its values at SIDE points, where products
    are taken value by value. V(k), the Vandermonde matrix of the points, brings kernels there. A
    correlation is the transpose of a product, so the inverse of V(SIDE), transposed, does so for the data,
    and V(TILE), transposed, gives the results."""
    points = torch.tensor(POINTS, dtype=torch.float64, device="cpu")
    infinity = lambda k: F.one_hot(torch.tensor([k - 1], device="cpu"), k).double()
    powers = lambda k: torch.cat([points[:, None] ** torch.arange(k, device="cpu"), infinity(k)])
    v = {k: powers(k) for k in (TAPS, TILE, SIDE)}
    maps = v[SIDE].inverse().T.contiguous(), v[TAPS], v[TILE].T.contiguous()
    return tuple(torch.kron(m, m).float().contiguous() for m in maps)
