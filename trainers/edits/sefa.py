"""SeFa: Y. Shen and B. Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (2021).

A style is an affine function of the code, s = B w + c. SeFa's directions are the eigenvectors of B^T B, where
B stacks the weights of all layers and each row of B has length 1. As in their code (genforce/sefa@0d16060),
each layer of the code counts once: by the affine of its convolution, the last layer by that of the last
ToRGB.
Adapted: labels choose among all directions (`best_component`); they view the first few."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lwgan.domain import Change
from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from trainers.edits.base import Method, Splits, best_component, generator_for, scaled


@dataclass(frozen=True)
class Sefa(Method):
    """The direction of styles that separates source from target best; alpha = 1 is the mean shift."""

    components: int | None = None
    """Directions to choose from, those that change the styles most first. Default: all."""
    layers: tuple[int, ...] | None = None
    """Layers of the code that are factorised and edited. Default: all."""
    normalise = True  # rows of the weights get length 1

    def check(self, codes: Splits, change: Change) -> None:
        self.directions(generator_for(codes))

    def fit(self, codes: Splits, change: Change, folder: Path) -> AffineEdit:
        """H(w)_l = a multiple of one direction, the same in each edited layer. The config says which
        direction, and how well it separates."""
        directions = self.directions(generator_for(codes))
        source, target = codes.train.source(change).w, codes.train.target(change).w
        chosen, separation = best_component(directions, source, target)
        config = {"component": chosen, "separation": separation}
        return AffineEdit(None, scaled(directions[chosen], source, target), config)

    def directions(self, generator: Generator) -> Tensor:
        """Right singular vectors of the stacked style weights, the largest singular value first, in the
        edited layers: [components, num_ws, w_dim], of length 1 in each. ValueError for unfit options."""
        affines = style_weights(generator)
        layers = tuple(range(len(affines))) if self.layers is None else self.layers
        if not layers or not set(layers) <= set(range(len(affines))):
            given = " ".join(map(str, layers))
            raise ValueError(f"--layers {given}: the code has layers 0 to {len(affines) - 1}")
        stacked = torch.cat([affines[layer] for layer in layers])
        if self.normalise:
            stacked = stacked / stacked.norm(dim=1, keepdim=True)
        found = torch.linalg.svd(stacked, full_matrices=False).Vh
        if self.components is not None and not 1 <= self.components <= len(found):
            raise ValueError(f"--components is {self.components}: these layers have 1 to {len(found)}")
        found = found[: self.components]
        placed = found.new_zeros(len(found), generator.num_ws, generator.w_dim)
        placed[:, list(layers)] = found[:, None]
        return placed


def style_weights(generator: Generator) -> list[Tensor]:
    """B of each layer of the code, with its run-time gain: [channels, w_dim] each."""
    names = [*generator.synthesis.noise_layers, f"b{generator.resolution}.torgb"]
    affines = [generator.synthesis.get_submodule(name).affine for name in names]
    return [affine.weight.detach() * affine.weight_gain for affine in affines]
