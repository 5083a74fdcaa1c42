"""Published readers of faces, once converted, compute what torchvision and pSp's code do."""

import pytest
import torch

from lwgan.judges import IdentityNetwork, Judge
from tests.parity import arrays_of, error, picture, published
from trainers.convert import Checkpoint, convert
from trainers.convert.layouts import readers
from trainers.datasets.celeba import CELEBA

TEXTS = {"domain": "faces", "licence": "other\nNo sale.", "about": "Photographs.", "limits": "Faces alone."}


def converted(folder, content):
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "file.pt")
    (made,) = convert(Checkpoint(folder / "file.pt", folder / "out", **TEXTS))
    return made


@pytest.fixture(scope="module")
def held() -> dict:
    return arrays_of("face_readers")


@pytest.fixture(scope="module")
def resnet() -> dict:
    return published("resnet50")


@pytest.fixture(scope="module")
def judge(tmp_path_factory, resnet) -> Judge:
    return Judge.from_pretrained(converted(tmp_path_factory.mktemp("judge"), {"state_dict": resnet}))


def test_the_judge_reads_torchvisions_probabilities(judge, held):
    """The softmax over two outputs, of which the second says that the picture has it."""
    probabilities = held["logits"].softmax(-1)[..., 1]
    logits = held["logits"][..., 1] - held["logits"][..., 0]
    with torch.no_grad():
        found = judge(picture(2, 256))
    assert judge.names == CELEBA
    assert error(found, logits) < 1e-5
    assert (found.sigmoid() - probabilities).abs().max() < 1e-5


def test_the_judge_reads_pictures_of_other_sizes_as_they_look_at_256_px(judge):
    """Pixels repeated four times average to themselves; values beyond [-1, 1] are those that are seen."""
    x = picture(2, 256) * 1.5
    with torch.no_grad():
        assert error(judge(x.repeat_interleave(4, 2).repeat_interleave(4, 3)), judge(x)) < 1e-5
        assert error(judge(x), judge(x.clamp(-1, 1))) == 0
        assert judge(x[..., :64, :64]).shape == (2, 40)
        assert judge.features(x).shape == (2, 2048)


def test_the_identity_network_computes_psps_embedding(tmp_path, held):
    """Old files lack the counters of batches."""
    state = published("ir_se50")
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    made, same = (readers.identity(dict(content), "file").weights for content in (state, old))
    assert len(old) < len(state) and made.keys() == same.keys()
    assert all(torch.equal(made[name], same[name]) for name in made)
    network = IdentityNetwork.from_pretrained(converted(tmp_path, old))
    with torch.no_grad():
        found = network(picture(2, 256))
    assert error(found, held["embeddings"]) < 1e-5
    assert torch.allclose(found.norm(dim=1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("fc.weight", lambda w: w[:78], "it has 78 outputs, expected two for each of the 40 attributes"),
        ("layer1.0.conv1.weight", lambda w: w[:, :32], r"layer1.0.conv1.weight' has shape \(64, 32, 1, 1\)"),
    ],
)
def test_another_resnet_is_refused(tmp_path, resnet, name, change, message):
    state = {**resnet, name: change(resnet[name])}
    with pytest.raises(ValueError, match=message):
        converted(tmp_path, {"state_dict": state})
    assert not (tmp_path / "out").exists()
