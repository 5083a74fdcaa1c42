"""Stage 3 of faces: the network that knows people, whose cosines say how much of a person an edit leaves (Sec. 4.2).

    python -m trainers identity --data ../runs/identities --run ../runs/identity

ArcFace (Deng et al., 2019): a direction for each identity of the training split, and a margin by which a picture must lie nearer to its own.
Nobody's attributes, expression, pose or light stay the same from picture to picture, so that none of them can stand for the person. Measured on
pictures kept back of the same people, and on other people; what an oracle edit leaves is the most that an edit can reach.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.hub import registry
from lwgan.judges import IdentityNetwork
from trainers import run
from trainers.attribute_judge import augmented
from trainers.classifiers import SPLIT
from trainers.nets.generator import to_pictures

if TYPE_CHECKING:
    from trainers.datasets.synthfaces.files import Faces


@dataclass(frozen=True)
class Options:
    """Train the identity network of faces."""

    data: Path
    """Folder that `python -m trainers data --domain synthfaces --identities N` wrote."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    widths: tuple[int, ...] = (48, 64, 128)
    """Widths at H/2, H/4, H/8 px."""
    features: int = 192
    embedding: int = 64
    kept_back: int = 3
    """Pictures of each identity that are not trained on: the last ones."""
    steps: int = 4_000
    batch: int = 128
    learning_rate: float = 2e-3
    scale: float = 16.0
    """By which cosines are multiplied before the softmax (ArcFace's s)."""
    margin: float = 0.2
    """Radians by which the angle to one's own identity is made wider (ArcFace's m)."""
    noise: float = 0.05
    """Training pictures get noise of up to this standard deviation."""
    contrast: float = 0.2
    """Training pictures lose up to this share of their contrast."""
    shift: int = 2
    """Training pictures move by up to so many px, each way; half of them are mirrored."""
    oracles: int = 20
    """People of the test split whose oracle edits are rendered, one for each attribute."""
    seed: int = 1
    checkpoint_steps: int = 250
    device: str = "auto"
    max_minutes: float | None = None
    """Stop at a checkpoint after this long; repeat the command to go on."""


def main(options: Options) -> None:
    faces = load(options.data, SPLIT, options.kept_back)
    images, people = (
        torch.from_numpy(part[~kept_back(faces, options)])
        for part in (faces.images, faces.source.identities())
    )
    run.start(options.run, options)
    device = run.device_of(options.device)
    torch.manual_seed(options.seed)
    shape = {"widths": options.widths, "features": options.features, "embedding": options.embedding}
    network = IdentityNetwork(**shape).to(device, memory_format=torch.channels_last)
    centres = torch.nn.Parameter(torch.randn(int(people.max()) + 1, options.embedding, device=device))
    adam = torch.optim.AdamW([*network.parameters(), centres], options.learning_rate, weight_decay=1e-3)
    step = 0
    if state := run.load_checkpoint(options.run):
        step = state["step"]
        network.load_state_dict(state["network"])
        centres.data.copy_(state["centres"])
        adam.load_state_dict(state["adam"])

    began = time.monotonic()
    for step in tqdm(
        range(step + 1, options.steps + 1), "identity", total=options.steps, initial=step, mininterval=5
    ):
        torch.manual_seed(hash((options.seed, step)))
        rows = torch.randint(len(images), (options.batch,))
        adam.param_groups[0]["lr"] = options.learning_rate * min(
            step / 100, 1.0, (options.steps - step + 1) / (0.7 * options.steps)
        )
        with run.half_precision(device):
            embeddings = network(augmented(images[rows].to(device), options))
        loss = arcface(
            embeddings.float() @ F.normalize(centres, dim=1).T,
            people[rows].to(device),
            options.scale,
            options.margin,
        )
        adam.zero_grad()
        loss.backward()
        adam.step()

        stop = options.max_minutes is not None and time.monotonic() - began > 60 * options.max_minutes
        if step % options.checkpoint_steps == 0 or step == options.steps or stop:
            run.log(options.run, step=step, loss=loss.item())
            run.save_checkpoint(
                options.run,
                step=step,
                network=network.state_dict(),
                centres=centres.data,
                adam=adam.state_dict(),
            )
        if stop:
            return

    network.eval().half().float()  # measured as it is published
    metrics = {"known": recognised(network, faces, options)}
    metrics |= {
        split: recognised(network, load(options.data, split, options.kept_back), options)
        for split in ("validation", "test")
    }
    metrics["oracle"] = oracle_cosines(
        network, load(options.data, "test", options.kept_back), options.oracles
    )
    config = {
        "kind": "identity", "domain": "synthfaces", "resolution": images.shape[1], "architecture": network.config, "metrics": metrics,
        "training": run.as_json(options) | {"split": SPLIT},
    }  # fmt: skip
    registry.save_folder(options.run, config, network.state_dict(), dtype="float16")
    print({key: value for key, value in metrics.items() if key != "oracle"}, metrics["oracle"]["mean"])


def load(data: Path, split: str, back: int) -> "Faces":
    """Faces of identities. ValueError where everybody is somebody else, and where too few pictures of each are there."""
    from trainers.datasets.synthfaces import files  # here: numba is slow to load

    faces = files.load_faces(data, split)
    if faces.source.each <= back:
        raise ValueError(
            f"{data}: {split} has {faces.source.each or 1} pictures of each identity, more than {back} (--kept-back) are needed: "
            "make them with `python -m trainers data --domain synthfaces --identities 1000`"
        )
    return faces


def arcface(cosines: Tensor, people: Tensor, scale: float, margin: float) -> Tensor:
    """Softmax loss of pictures' cosines [N, P] to P identities, the angle to the own one, people [N], made wider by `margin` radians."""
    own = F.one_hot(people, cosines.shape[1]).bool()
    wider = (cosines.clamp(-1 + 1e-6, 1 - 1e-6).acos() + margin).clamp(max=torch.pi).cos()
    return F.cross_entropy(scale * torch.where(own, wider, cosines), people)


# What it knows


def kept_back(faces: "Faces", options: Options) -> np.ndarray:
    """bool [N]: the last pictures of each identity."""
    return np.arange(faces.source.n) % faces.source.each >= faces.source.each - options.kept_back


def recognised(network: IdentityNetwork, faces: "Faces", options: Options) -> dict:
    """How often a kept-back picture lies nearest to the mean of its own identity's other pictures (top-1), among how many people; and
    the mean cosine of two pictures of one identity, and of two identities."""
    embeddings, people, back = (
        embed(network, faces.images),
        torch.from_numpy(faces.source.identities()),
        kept_back(faces, options),
    )
    others = torch.stack(
        [embeddings[~back][people[~back] == person].mean(0) for person in range(int(people.max()) + 1)]
    )
    found = (embeddings[back] @ F.normalize(others, dim=1).T).argmax(1)
    return {
        "top_1": (found == people[back]).double().mean().item(),
        "identities": len(others),
        "n": int(back.sum()),
        "same": told(
            cosines(
                embeddings, embeddings.view(len(others), -1, embeddings.shape[1]).roll(1, 1).flatten(0, 1)
            )
        ),
        "other": told(cosines(embeddings, embeddings.roll(faces.source.each, 0)))
        if len(others) > 1
        else None,
    }


def oracle_cosines(network: IdentityNetwork, faces: "Faces", people: int) -> dict:
    """The cosine of a person's picture and the same with one attribute flipped (`trainers.oracles`): of all, and of each attribute that
    anybody's oracle is there for. One picture of each identity, of at most so many."""
    from trainers import oracles
    from trainers.datasets import synthfaces

    who, size = faces.source.people()[:: faces.source.each][:people], faces.source.resolution
    before = embed(network, synthfaces.render_all(who, size))
    by_attribute = {}
    for name in tqdm(synthfaces.NAMES, "oracles"):
        rows, edited = oracles.edited(who, name)
        if rows:
            by_attribute[name] = cosines(before[rows], embed(network, synthfaces.render_all(edited, size)))
    return told(torch.cat(list(by_attribute.values()))) | {
        "by_attribute": {name: c.mean().item() for name, c in by_attribute.items()}
    }


@torch.no_grad()
def embed(network: IdentityNetwork, images: np.ndarray) -> Tensor:
    """uint8 [N, H, W, 3] -> embeddings [N, D], on the CPU."""
    device = next(network.parameters()).device
    return torch.cat(
        [network(to_pictures(part, device)).cpu() for part in torch.from_numpy(images).split(100)]
    )


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """Of embeddings [N, D] of length 1, row by row: [N]."""
    return (one * other).sum(1)


def told(values: Tensor) -> dict:
    """Mean of cosines [N], and between which 90% of them lie."""
    low, high = values.quantile(torch.tensor([0.05, 0.95])).tolist()
    return {"mean": values.mean().item(), "low": low, "high": high, "n": len(values)}
