"""The distribution of a generator's codes. Edits of codes far outside it extrapolate."""

import torch
from torch import Tensor

RIDGE = 0.01  # of the mean variance: keeps directions in which codes hardly vary from dominating the distance
RARE = 0.99  # quantile of the reference's distances that is `limit`


class Cloud:
    """A Gaussian fitted to each layer of a generator's codes. Distances are relative to a reference's median.

    limit: 99% of the reference codes are nearer than this."""

    def __init__(self, codes: Tensor, reference: Tensor | None = None):
        """codes: float [N, num_ws, w_dim], random codes of the generator.  reference: codes of pictures, [M,
        ...]; by default every second of `codes`, and the others fit the Gaussian."""
        if len(codes) < 4 or (reference is not None and len(reference) < 2):
            needed = "at least 4 are needed, and 2 in the reference"
            raise ValueError(f"a cloud of {len(codes)} codes was asked for: {needed}")
        fitted, reference = (codes[::2], codes[1::2]) if reference is None else (codes, reference)
        fitted = fitted.double()
        self.mean = fitted.mean(0)
        centred = (fitted - self.mean).transpose(0, 1)  # [num_ws, N, w_dim]
        values, self.axes = torch.linalg.eigh(centred.transpose(1, 2) @ centred / len(fitted))
        values = values.clamp(min=0)
        self.scale = (values + RIDGE * values.mean(1, keepdim=True) + 1e-12).sqrt()
        self.typical = 1.0
        distances = self.distance(reference)
        self.typical = distances.median().item() or 1.0
        self.limit = (distances / self.typical).quantile(RARE).item()

    def distance(self, w: Tensor) -> Tensor:
        """Codes [N, num_ws, w_dim] -> distances from the mean, [N]. Root mean square over layers and
        principal axes, in standard deviations; the reference's median is 1."""
        along = torch.einsum("nld,lde->nle", w.double() - self.mean, self.axes) / self.scale
        return along.square().mean((1, 2)).sqrt() / self.typical
