"""Methods that give a shift: on codes whose right answer is known, against numpy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch.nn import functional as F

from lwgan.domain import change_of
from lwgan.generator import Generator
from lwgan.judges import LatentClassifier
from tests.trainers.edits.toys import (
    DIM,
    DOMAIN,
    GLASSES,
    LAYERS,
    axis,
    codes_of,
    cosine,
    labelled,
    linear_classifier,
    train_only,
)
from trainers.edits.base import best_component, mean_shift, scaled
from trainers.edits.centroids import Centroids
from trainers.edits.ganspace import Ganspace
from trainers.edits.interfacegan import InterFaceGAN, orthogonal
from trainers.edits.random_direction import RandomDirection
from trainers.edits.sefa import Sefa, style_weights
from trainers.edits.steerability import Steerability


def fit(method, codes, change=GLASSES, generator=None):
    """The edit; none of these methods writes into the run's folder."""
    return method.fit(train_only(codes, generator), change, None)


def test_scaled_is_the_multiple_that_comes_nearest_to_the_target():
    codes = labelled()
    source, target = codes.source(GLASSES).w, codes.target(GLASSES).w
    direction, shift = torch.randn(LAYERS, DIM), mean_shift(source, target)
    # Least squares by numpy. The sign is that of the shift whichever way the direction points.
    factor = np.linalg.lstsq(direction.flatten().numpy()[:, None], shift.flatten().numpy(), rcond=None)[0][0]
    for given in (direction, -7 * direction):
        assert torch.allclose(scaled(given, source, target), factor * direction, atol=1e-5)


def test_the_best_component_is_the_one_that_separates_not_the_one_that_varies():
    source, target = torch.randn(500, 1, 3), torch.randn(500, 1, 3)
    source[:, :, 0] *= 20
    target[:, :, 0] = target[:, :, 0] * 20 + 5  # farther apart than the next, but within the spread
    target[:, :, 2] -= 3
    chosen, separation = best_component(torch.eye(3)[:, None], source, target)
    assert chosen == 2 and separation == pytest.approx(3, abs=0.25)


def test_balanced_centroids_leave_out_the_smile_that_plain_ones_bring_along():
    codes = labelled(4000, agree=0.8)
    plain, balanced = (
        fit(Centroids(*options), codes).bias.flatten()
        for options in ((), ("balanced", ("Smiling", "Eyeglasses")))
    )
    # 80% of the target smile, 20% of the source.
    assert plain[1:3].tolist() == pytest.approx([3, 4 * 0.6], abs=0.2)
    assert balanced[1:3].tolist() == pytest.approx([3, 0], abs=0.2)


def test_balanced_centroids_are_the_mean_of_the_means_of_the_combinations():
    codes = labelled(300, agree=0.7)
    found = fit(Centroids("balanced", ("Smiling", "Bangs")), codes).bias
    combinations = [{"Smiling": a, "Bangs": b} for a in (False, True) for b in (False, True)]
    source, target = (
        torch.stack([side.w[side.meets(each)].mean(0) for each in combinations]).mean(0)
        for side in (codes.source(GLASSES), codes.target(GLASSES))
    )
    assert torch.allclose(found, target - source, atol=1e-5)


def test_a_random_direction_is_as_long_as_the_shift_in_each_layer_and_points_anywhere():
    codes = labelled()
    shift = fit(Centroids(), codes).bias
    drawn = torch.stack([fit(RandomDirection(seed), codes).bias for seed in range(400)])
    assert torch.allclose(drawn.norm(dim=2), shift.norm(dim=1).expand(400, -1), rtol=1e-4)
    # The mean of n vectors drawn uniformly from a sphere of radius r has length r / sqrt(n), about.
    assert drawn.mean(0).norm() < 2 * shift.norm() / 400**0.5
    assert torch.equal(drawn[3], fit(RandomDirection(3), codes).bias)


@pytest.mark.parametrize("name", ["Eyeglasses", "not-Eyeglasses"])
def test_interfacegan_finds_the_normal_of_the_plane_between_two_clouds(name):
    """Normal clouds of unit variance: the best plane's normal is the shift between them, here axis 1, 2
    long."""
    change = DOMAIN.change(name)
    edit = fit(InterFaceGAN(), labelled(3000, shifts=(0.0, 2.0, 0.0)), change)
    assert edit.weight is None and cosine(edit.bias, change.sign * axis(1)) > 0.98
    assert edit.bias.norm() == pytest.approx(2, abs=0.15)


def test_interfacegans_plane_is_that_of_an_exact_support_vector_machine():
    codes = labelled(300, shifts=(0.0, 3.0, 0.0))
    found = InterFaceGAN().svm(codes.w.flatten(1), codes.has("Eyeglasses"))
    exact = SVC(kernel="linear", C=1.0).fit(codes.w.flatten(1).numpy(), codes.labels[:, 1].numpy())
    assert cosine(found, torch.tensor(exact.coef_[0]).float()) > 0.9999


def test_interfacegan_draws_with_its_seed():
    """Codes that hold their own number: none twice, all of the right side, and from anywhere in the data."""
    glasses = labelled(2000).has("Eyeglasses")
    codes = codes_of(torch.arange(2000.0)[:, None, None].expand(-1, LAYERS, DIM), glasses)
    draw = lambda seed: InterFaceGAN(samples=200, seed=seed).by_label(codes, GLASSES)
    w, positive = draw(0)
    drawn = w[:, 0, 0].long()
    assert len(drawn.unique()) == 400 and positive.sum() == 200
    assert torch.equal(glasses[drawn], positive)
    # The mean of 200 numbers drawn uniformly from 0 to 1999: 1000, give or take 2000 / sqrt(12 * 200) = 41.
    assert all(drawn[side].double().mean() == pytest.approx(1000, abs=160) for side in (positive, ~positive))
    assert torch.equal(draw(0)[0], w) and not torch.equal(draw(1)[0], w)


def test_interfacegan_of_scores_fits_the_extreme_ones(tmp_path):
    """Scores that rank by axis 5, whatever the labels say: the plane must stand across axis 5."""
    folder = linear_classifier(tmp_path / "f", torch.stack([axis(5).flatten()] * 3))
    method, codes = InterFaceGAN(classifier=folder, share=0.1), labelled(2000)
    w, positive = method.by_score(codes, GLASSES, LatentClassifier.from_pretrained(folder))
    scores = codes.w.flatten(1)[:, 5].sort().values
    assert positive.sum() == 200 and len(w) == 400
    assert torch.allclose(w[positive].flatten(1)[:, 5].sort().values, scores[-200:])
    assert cosine(method.normal(codes, GLASSES), axis(5)) > 0.9


def test_interfacegan_keeps_the_labels_of_its_condition():
    codes = labelled(4000, agree=0.8)
    free, kept = (fit(InterFaceGAN(condition=names), codes).bias for names in ((), ("Smiling", "Bangs")))
    for name in ("Smiling", "Bangs"):
        normal = InterFaceGAN().normal(codes, change_of(name))
        assert abs(cosine(kept, normal)) < 1e-4 and abs(cosine(free, normal)) > 1e-3
    assert kept.flatten()[1] > 1, "glasses are still added"


def test_orthogonal_is_the_residual_of_least_squares():
    n, others = torch.randn(20), torch.randn(4, 20)
    spanned = others.numpy().T
    left = n.numpy() - spanned @ np.linalg.lstsq(spanned, n.numpy(), rcond=None)[0]
    found = orthogonal(n, others)
    assert cosine(found, torch.from_numpy(left)) == pytest.approx(1, abs=1e-5)
    assert found.norm() == pytest.approx(1)
    with pytest.raises(ValueError, match="leaves nothing"):
        orthogonal(n, n[None])


def test_ganspace_finds_the_axis_on_which_the_label_lies_not_the_longest():
    codes = labelled(4000, shifts=(0.0, 0.0, 0.0))
    codes.w[:, 0, 4] *= 9  # the first axis
    codes.w[:, 1, 2] += 10 * codes.labels[:, 1]  # the second: standard deviation 5
    edit = fit(Ganspace(components=5), codes)
    assert edit.config["component"] == 1 and edit.config["separation"] == pytest.approx(10, abs=0.5)
    assert cosine(edit.bias, axis(DIM + 2)) > 0.99 and edit.bias.norm() == pytest.approx(10, abs=0.3)
    # The axes are those of the covariance matrix, by numpy.
    vectors = np.linalg.eigh(np.cov(codes.w.flatten(1).numpy().T))[1]
    assert abs(cosine(edit.bias, torch.from_numpy(vectors[:, -2]).float())) == pytest.approx(1, abs=1e-3)


# Factorised generators

# As genforce/sefa's factorize_weight takes them: layer0 to layer2, and output1 in the last layer's place.
AFFINES = ("b4.conv1", "b8.conv0", "b8.conv1", "b8.torgb")


def test_the_styles_are_those_of_the_layers_of_the_code(tiny):
    generator, seen = Generator.from_pretrained(tiny), {}
    for name in AFFINES:
        affine = generator.synthesis.get_submodule(name).affine
        affine.register_forward_hook(
            lambda module, given, styles, name=name: seen.update({name: (given[0], styles)})
        )
    w = torch.randn(2, 4, 8)
    generator.synthesis(w)
    weights = style_weights(generator)
    assert len(seen) == len(weights) == generator.num_ws == 4
    for layer, (name, weight) in enumerate(zip(seen, weights, strict=True)):
        given, styles = seen[name]
        assert torch.equal(given, w[:, layer])
        assert torch.allclose(styles[0] - styles[1], weight @ (w[0, layer] - w[1, layer]), atol=1e-5)


@pytest.mark.parametrize("layers", [None, (1, 2), (0, 3)])
def test_sefa_and_steerability_are_numpys_singular_vectors(tiny, layers):
    generator = Generator.from_pretrained(tiny)
    which = (0, 1, 2, 3) if layers is None else layers
    weights = [generator.synthesis.get_submodule(name).affine.weight.numpy() / np.sqrt(8) for name in AFFINES]
    stacked = np.concatenate([weights[layer] for layer in which])
    unit = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    vectors = np.linalg.eigh(unit.T @ unit)[1].T[::-1].copy()  # SeFa's own way, the largest first
    found = Sefa(5, layers).directions(generator)
    plain = Steerability(None, layers).directions(generator)
    for directions, wanted in ((found, vectors), (plain, np.linalg.svd(stacked)[2])):
        for direction, vector in zip(directions, wanted, strict=False):
            assert abs(cosine(direction[which[0]], torch.from_numpy(vector))) == pytest.approx(1, abs=1e-3)
    for layer in range(4):
        assert torch.equal(found[:, layer], found[:, which[0]] if layer in which else torch.zeros(5, 8))


def test_the_first_singular_direction_changes_styles_more_than_any_other(tiny):
    generator = Generator.from_pretrained(tiny)
    weights, first = torch.cat(style_weights(generator)), Steerability(1).directions(generator)[0, 0]
    others = F.normalize(torch.randn(500, 8), dim=1)
    assert (weights @ first).norm() > (weights @ others.T).norm(dim=0).max()


@pytest.mark.parametrize("method", [Sefa(), Steerability()])
def test_the_direction_of_styles_is_chosen_by_the_training_codes(tiny, method):
    found, glasses = method.directions(Generator.from_pretrained(tiny)), torch.arange(500) % 2 == 1
    codes = codes_of(torch.randn(500, 4, 8) + 4 * glasses[:, None, None] * found[3], glasses)
    edit = fit(method, codes, generator=tiny)
    assert edit.config["component"] == 3 and cosine(edit.bias, found[3]) == pytest.approx(1, abs=1e-5)
    assert edit.bias.norm() == pytest.approx(4 * 4**0.5, abs=0.4), "4 in each of four layers"
