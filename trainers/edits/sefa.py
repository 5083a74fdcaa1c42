"""SeFa: Y. Shen and B. Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (2021). The directions that change the styles most.

A style is an affine function of the code, s = B w + c; SeFa's directions are the eigenvectors of B^T B, those of all layers stacked,
each row of B of length 1. Adapted: the direction is chosen among all of them by the training labels (`best_component`), where theirs
are looked at, the first few. As in their code (genforce/sefa@0d16060) each layer of the code counts once, by the affine of its
convolution, the last layer by that of the last ToRGB; the other ToRGBs, which share their layers with convolutions, are left out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lwgan.edit import AffineEdit
from lwgan.generator import Generator
from trainers.edits import Attribute, Label, Splits, best_component, generator_for, scaled


@dataclass(frozen=True)
class Options:
    """The direction of styles that tells source from target best. alpha = 1: as near to the mean target as it leads (`scaled`)."""

    components: int | None = None
    """Directions to choose from, those that change the styles most first; None: all."""
    layers: tuple[int, ...] | None = None
    """Layers of the code that are looked at and edited; None: all."""


def fit(codes: Splits, attribute: Attribute | Label, options: Options) -> AffineEdit:
    """H(w)_l = the multiple of one direction, the same in each edited layer. The config says which, and how well it separates."""
    return chosen(codes, attribute, options, normalise=True)


def check(codes: Splits, attribute: Attribute | Label, options: Options) -> None:
    """ValueError, before a run begins, without a generator or for one of other codes, layers that it lacks, too many components."""
    components(generator_for(codes), options.components, options.layers, normalise=True)


def chosen(codes: Splits, attribute: Attribute | Label, options: Options, normalise: bool) -> AffineEdit:
    """The edit by that one of `components` which tells the training's source from its target best."""
    found = components(generator_for(codes), options.components, options.layers, normalise)
    source, target = attribute.source(codes.train).w, attribute.target(codes.train).w
    which, separation = best_component(found, source, target)
    return AffineEdit(
        None, scaled(found[which], source, target), {"component": which, "separation": separation}
    )


def components(
    generator: Generator, number: int | None, layers: tuple[int, ...] | None, normalise: bool
) -> Tensor:
    """Right singular vectors of the chosen layers' stacked affine weights, the largest singular value first, put into these layers:
    [number, num_ws, w_dim], of length 1 in each. normalise: rows of the weights are made to have length 1."""
    affines = style_weights(generator)
    layers = tuple(range(len(affines))) if layers is None else layers
    if not layers or not set(layers) <= set(range(len(affines))):
        raise ValueError(
            f"--layers {' '.join(map(str, layers))}: the code has layers 0 to {len(affines) - 1}"
        )
    stacked = torch.cat([affines[layer] for layer in layers])
    if normalise:
        stacked = stacked / stacked.norm(dim=1, keepdim=True)
    directions = torch.linalg.svd(stacked, full_matrices=False).Vh
    if number is not None and not 1 <= number <= len(directions):
        raise ValueError(f"--components is {number}: these layers have 1 to {len(directions)}")
    placed = directions.new_zeros(len(directions[:number]), generator.num_ws, generator.w_dim)
    placed[:, list(layers)] = directions[:number, None]
    return placed


def style_weights(generator: Generator) -> list[Tensor]:
    """B of each layer of the code, as it acts: of its convolution, in the last layer of the last ToRGB. [channels, w_dim] each."""
    names = [*generator.synthesis.noise_layers, f"b{generator.resolution}.torgb"]
    affines = [generator.synthesis.get_submodule(name).affine for name in names]
    return [affine.weight.detach() * affine.weight_gain for affine in affines]
