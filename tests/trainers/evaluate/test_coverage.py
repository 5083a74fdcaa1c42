"""Which answers an edit gives: on pictures and readings whose answers are known."""

import json

import pytest
import torch

from tests.nets import make_registry
from trainers.codes import Codes, save_codes
from trainers.datasets.multimnist import DOMAIN, labels_of
from trainers.edits.centroids import Centroids
from trainers.edits.latent_wasserstein import LatentWasserstein
from trainers.evaluate.coverage import Options, added, answers, layouts, main, settings


@pytest.mark.parametrize(
    ("shares", "number"), [([0.25] * 4, 4), ([1.0, 0.0], 1), ([0.5, 0.5, 0.0], 2), ([0.9, 0.1], 1.384)]
)
def test_the_number_of_answers_is_the_exponential_of_the_entropy(shares, number):
    assert answers(shares) == pytest.approx(number, abs=1e-3)


def test_the_class_that_has_one_object_more():
    """Of five pictures with one 3: a 3 more, a 7 more, two more, none, and the 3 gone for two others."""
    before = torch.zeros(5, 10, dtype=torch.int64)
    before[:, 3] = 1
    after = before.clone()
    for picture, digit, number in ((0, 3, 2), (1, 7, 1), (2, 0, 2), (4, 3, 0), (4, 1, 1), (4, 8, 1)):
        after[picture, digit] = number
    read = [torch.from_numpy(labels_of(numbers.numpy())) == 1 for numbers in (before, after)]
    more, changed = added(*read, most=4)
    assert changed.tolist() == [True, True, False, False, True]
    assert [row.nonzero()[:, 0].tolist() for row in more[changed]] == [[3], [7], [1, 8]]


def test_the_full_quarters_are_those_before_and_the_one_that_gained_most():
    x = torch.full((1, 1, 8, 8), -1.0)
    x[:, :, :4, 4:] = 0.5  # the second quarter
    edited = x.clone()
    edited[:, :, 4:, :4] = -0.9  # a ghost in the third
    edited[:, :, 4:, 4:] = 0.0  # an object in the fourth
    assert layouts(x).tolist() == [2] and layouts(x, edited).tolist() == [2 + 8]


def test_each_setting_and_seed_is_measured_once_and_has_a_line(tmp_path):
    registry = make_registry(tmp_path / "registry")
    base = {"generator": "a", "encoder": "b"}
    (tmp_path / "codes").mkdir()
    for split in ("train", "validation", "test"):
        numbers = torch.zeros(120, 10, dtype=torch.int64)
        numbers[torch.arange(120), torch.arange(120) % 10] = 1 + torch.arange(120) % 4
        labels = torch.from_numpy(labels_of(numbers.numpy()))
        save_codes(
            tmp_path / "codes" / f"{split}.safetensors", Codes(torch.randn(120, 10, 16), labels, DOMAIN), base
        )
    report = tmp_path / "coverage.md"
    of = {"codes": tmp_path / "codes", "registry": registry, "report": report, "pictures": 8, "seeds": (0, 1)}
    lw = LatentWasserstein(kappa=1.5, starts=1, steps=2, batch=10, validation_codes=10)
    for name, method in (("mean shift", Centroids()), ("kappa 1.5", lw), ("kappa 1.5", lw)):
        main(Options(name, method=method, **of))
    rows = [json.loads(line) for line in report.with_suffix(".jsonl").read_text().splitlines()]
    assert len(rows) == 3 * (1 + 1 + 2), "three changes of real pictures, of the mean shift, of two seeds"
    assert rows[-1]["method"]["kappa"] == 1.5 and "rank" not in rows[-1]["method"] and rows[-1]["seconds"] > 0
    text = report.read_text()
    assert [
        text.count(f"| {line} |") for line in ("real pictures (1)", "mean shift (1)", "kappa 1.5 (2)")
    ] == [3] * 3
    assert settings(Centroids()) == {}
    with pytest.raises(ValueError, match="'mean shift' was measured with {}, not with {'kappa': 1.5"):
        main(Options("mean shift", method=lw, **of))
