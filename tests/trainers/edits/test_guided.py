"""An edit guided by a picture classifier: on a tiny generator whose pictures are to become brighter."""

import pytest
import torch

from lwgan.domain import Change
from lwgan.generator import Generator
from lwgan.hub.registry import save_folder
from lwgan.judges import CountJudge, Judge
from tests.trainers.edits.toys import GLASSES, codes_of, stop
from trainers.edits import guided
from trainers.edits.base import Splits
from trainers.edits.guided import Guided, judge_of, reads_target

QUICK = {"guide_steps": 60, "steps": 60, "batch": 32, "learning_rate": 5e-2, "closeness": 0.1}


@pytest.fixture(scope="module", autouse=True)
def small_guide():
    """The small network sees pictures at 16 px, which takes a tenth of the time; those of `tiny` have 8."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guided, "SIDE", 16)
        yield


@pytest.fixture(scope="module")
def bright(tiny):
    """Codes of `tiny`, labelled by how bright the picture is that they render."""
    torch.manual_seed(0)
    w = torch.randn(600, 4, 8)
    light = Generator.from_pretrained(tiny).synthesis(w).mean((1, 2, 3))
    codes = codes_of(w, light > light.median())
    return Splits(codes.where(torch.arange(600) < 400), codes.where(torch.arange(600) >= 400), tiny)


def test_pictures_become_brighter_by_one_layer_alone(tiny, bright, tmp_path):
    generator = Generator.from_pretrained(tiny)
    edit = Guided(**QUICK).fit(bright, GLASSES, tmp_path)
    w = bright.validation.source(GLASSES).w
    light = [generator.synthesis(codes).mean((1, 2, 3)) for codes in (w, edit(w))]
    assert (light[1] > light[0]).float().mean() > 0.9
    moved = edit.direction(w).norm(dim=2).mean(0)
    assert moved[edit.config["layer"]] > 0.1 and (moved > 0).sum() == 1
    accuracy = edit.config["guide_accuracy"]
    assert 0.75 < min(accuracy["source"], accuracy["target"]) <= 1


def test_a_network_that_always_says_target_reads_it_everywhere(tiny):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1))
    torch.nn.init.zeros_(network[1].weight)
    generator, w = Generator.from_pretrained(tiny), torch.randn(7, 4, 8)
    for bias, share in ((1.0, 1.0), (-1.0, 0.0)):
        torch.nn.init.constant_(network[1].bias, bias)
        assert reads_target(network, generator, w) == share


def test_it_resumes_to_the_same_map(bright, tmp_path):
    method = Guided(**QUICK | {"guide_steps": 5, "steps": 8, "save_every": 4})
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = method.fit(bright, GLASSES, tmp_path / "whole")
    stop(lambda: method.fit(bright, GLASSES, tmp_path / "stopped"))
    resumed = method.fit(bright, GLASSES, tmp_path / "stopped")
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    assert whole.config == resumed.config


def test_a_judge_guides_by_the_labels_of_the_target(tmp_path):
    """exp(-logit) is the sum of the odds against each label of the target, by the judge's own logits."""
    names = ("1-or-more", "2-or-more", "1-or-more-x", "2-or-more-x")
    judge = CountJudge(names=names, most=2, widths=(8, 8, 8), features=16).eval()
    config = {"kind": "judge", "domain": "toys", "resolution": 64, "architecture": judge.config}
    save_folder(tmp_path / "judge", config, judge.state_dict())
    one = Change("one", {"1-or-more": False}, {"1-or-more": True, "2-or-more": False}, "none", "one")
    x = torch.rand(5, 1, 64, 64) * 2 - 1
    logits = Judge.from_pretrained(tmp_path / "judge")(x).double()
    odds = (-logits[:, 0]).exp() + logits[:, 1].exp()
    found = judge_of(one, tmp_path / "judge")(x).double()
    assert torch.allclose((-found).exp(), odds, rtol=1e-3)
    with pytest.raises(ValueError, match="does not read 'Eyeglasses', but 1-or-more"):
        judge_of(GLASSES, tmp_path / "judge")
