"""How far a code lies from those that the generator was trained to draw: beyond them an edit extrapolates."""

import torch
from torch import Tensor

RIDGE = 0.01  # of the mean variance: directions in which codes hardly differ are not told apart from noise
RARE = 0.99  # of the reference's codes are nearer than `limit`


class Cloud:
    """The generator's own codes, as a Gaussian in each layer, and how far from its middle the codes of real pictures usually are.

    limit: the distance within which all but one in a hundred of these stay.
    """

    def __init__(self, codes: Tensor, reference: Tensor | None = None):
        """codes: float [N, num_ws, w_dim], random ones.  reference: codes of pictures [M, num_ws, w_dim]; without it half of `codes`
        fits the Gaussian and the other half is the reference."""
        if len(codes) < 4 or (reference is not None and len(reference) < 2):
            raise ValueError(
                f"a cloud of {len(codes)} codes was asked for: at least 4 are needed, and 2 in the reference"
            )
        fitted, reference = (codes[::2], codes[1::2]) if reference is None else (codes, reference)
        fitted = fitted.double()
        self.mean = fitted.mean(0)
        centred = (fitted - self.mean).transpose(0, 1)  # [num_ws, N, w_dim]
        values, self.axes = torch.linalg.eigh(centred.transpose(1, 2) @ centred / len(fitted))
        values = values.clamp(min=0)
        self.scale = (values + RIDGE * values.mean(1, keepdim=True) + 1e-12).sqrt()
        self.typical = 1.0
        found = self.distance(reference)
        self.typical = found.median().item() or 1.0
        self.limit = (found / self.typical).quantile(RARE).item()

    def distance(self, w: Tensor) -> Tensor:
        """Codes [N, num_ws, w_dim] -> [N]: root mean square, over layers and directions, of the distance from the middle in standard
        deviations; in units of the reference's median, so that 1 is usual."""
        along = torch.einsum("nld,lde->nle", w.double() - self.mean, self.axes) / self.scale
        return along.square().mean((1, 2)).sqrt() / self.typical
