"""Files in the exact layouts of the published networks of faces, with random weights, by default in small: a
generator of 64 px, narrow networks. The judge's labels are balanced on the generator's own pictures."""

from pathlib import Path

import torch
from torch import Tensor

from lwgan.generator import Generator
from lwgan.judges import FaceIdentity, ResNetJudge
from tests.foreign import psp_file
from tests.parity import drawn, psp_weights, rosinality_weights
from trainers.convert import Checkpoint, convert
from trainers.datasets.celeba import CELEBA

SMALL = (8, 8, 16, 16)  # widths of both readers
E4E = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True}
TEXTS = {"domain": "any", "licence": "other\nNone.", "about": "Noise.", "limits": "All."}


def write(folder: Path, large: bool = False) -> dict[str, Path]:
    """Role -> file: encoder (e4e with its generator), judge, identity. large: in the published sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    mean = torch.from_numpy(0.3 * drawn("latent_avg", (512 if large else 128,)))
    decoder = rosinality_weights("g1024cm2" if large else "g64s")
    encoder = psp_weights(18) if large else psp_weights(10, shrink=8, w_dim=128)
    encoder = psp_file(folder / "e4e_ffhq_encode.pt", encoder, decoder, mean, **E4E)
    convert(Checkpoint(encoder, folder / "models", **TEXTS))
    generator = Generator.from_pretrained(folder / "models" / "lwgan-any-generator")
    files = {
        "encoder": encoder,
        "judge": folder / "attribute_predictor.pt",
        "identity": folder / "ir_se50.pth",
    }
    widths, count = ((64, 128, 256, 512), 6) if large else (SMALL, 128)
    torch.save({"state_dict": judge_state(generator, widths, count)}, files["judge"])
    torch.save(identity_state(widths), files["identity"])
    return files


@torch.no_grad()
def judge_state(generator: Generator, widths, count: int) -> dict[str, Tensor]:
    """torchvision's names, two outputs a label. Each label is had by about half of `count` pictures."""
    judge = randomised(ResNetJudge(names=CELEBA, widths=widths))
    z = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(0))
    features = judge.features(generator(z))
    weight = torch.randn(2 * len(CELEBA), features.shape[1]) / features.std(0).clamp(min=1e-3)
    pairs = (features @ weight.T).unflatten(1, (-1, 2))
    bias = torch.zeros(len(CELEBA), 2)
    bias[:, 1] = -(pairs[..., 1] - pairs[..., 0]).median(0).values
    state = {name.removeprefix("body."): value for name, value in judge.state_dict().items()}
    return state | {"fc.weight": weight, "fc.bias": bias.flatten()}


def identity_state(widths) -> dict[str, Tensor]:
    """pSp's names."""
    state = randomised(FaceIdentity(widths=widths)).state_dict()
    theirs = {"stem.": "input_layer.", "backbone.": "body.", "head.": "output_layer."}
    start = lambda name: next(each for each in theirs if name.startswith(each))
    return {theirs[start(name)] + name[len(start(name)) :]: value for name, value in state.items()}


def randomised(net: torch.nn.Module) -> torch.nn.Module:
    """Statistics of normalisation that are not those of a new net."""
    for name, value in net.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return net.eval()
