"""Stage 4b: F, which reads attributes off a code (Eq. 5), for edits that are to preserve or to change them. Shape and training as Latent
Transformer's paper and settings have them (Yao et al., 2021): two hidden layers, 20 epochs of Adam at 1e-4 and less (`learning_rate_at`).
Of codes of digits it reads whether the picture holds 2 or more, 3 or more, 4 or more (the paper does not say what its own reads).

    python -m trainers latent-classifier --codes ../runs/codes --run ../runs/latent-classifier
    python -m trainers latent-classifier --codes ../runs/codes --run ../runs/referee --seed 2 --hidden 512 256

Train three, with different --seed and --hidden: one for `edit --classifier`, one to choose alpha by (`edit --selector`), and one,
which no edit has seen, to measure by (`evaluate-labels --referee`).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm

from lwgan.hub import registry
from lwgan.judges import LatentClassifier
from trainers import run
from trainers.classifiers import SPLIT
from trainers.codes import Codes, load_codes


@dataclass(frozen=True)
class Options:
    """Train a classifier of codes: which of the labelled attributes their pictures have, or how many digits."""

    codes: Path
    """Folder that `python -m trainers codes` wrote."""
    run: Path
    """Folder of this run; an unfinished run there is resumed."""
    hidden: tuple[int, int] = (2048, 512)
    """Widths of the hidden layers."""
    epochs: int = 20
    batch: int = 256
    learning_rate: float = 1e-4
    """Adam's at the start; a tenth from the 10th epoch on, a hundredth from the 20th, and so on."""
    decay: float = 5e-4
    """Weight decay, as Adam's own (L2)."""
    seed: int = 1
    device: str = "auto"


def main(options: Options) -> None:
    (train, base), (validation, _) = load_codes(options.codes, SPLIT), load_codes(options.codes, "validation")
    labels = train.labels.float()
    run.start(options.run, options)
    device = run.device_of(options.device)
    torch.manual_seed(options.seed)
    num_ws, w_dim = train.w.shape[1:]
    classifier = LatentClassifier(
        num_ws=num_ws, w_dim=w_dim, outputs=len(train.label_names), hidden=options.hidden
    ).to(device)
    adam = torch.optim.Adam(classifier.parameters(), options.learning_rate, weight_decay=options.decay)
    done = 0
    if state := run.load_checkpoint(options.run):
        done = state["epoch"]
        classifier.load_state_dict(state["classifier"])
        adam.load_state_dict(state["adam"])

    for epoch in tqdm(range(done, options.epochs), "epoch", total=options.epochs, initial=done):
        torch.manual_seed(hash((options.seed, epoch)))
        adam.param_groups[0]["lr"] = learning_rate_at(epoch, options)
        for rows in torch.randperm(len(train.w)).split(options.batch):
            loss = F.binary_cross_entropy_with_logits(
                classifier(train.w[rows].to(device)), labels[rows].to(device)
            )
            adam.zero_grad()
            loss.backward()
            adam.step()
        run.log(options.run, epoch=epoch + 1, loss=loss.item())
        run.save_checkpoint(
            options.run, epoch=epoch + 1, classifier=classifier.state_dict(), adam=adam.state_dict()
        )

    config = {
        "kind": "latent-classifier", "domain": train.domain, "architecture": classifier.config, "names": list(train.label_names),
        "base_revision": base, "metrics": accuracy(classifier.eval(), validation), "training": run.as_json(options) | {"split": SPLIT},
    }  # fmt: skip
    registry.save_folder(options.run, config, classifier.state_dict(), dtype="float16")
    print(config["metrics"])


def learning_rate_at(epoch: int, options: Options) -> float:
    """Of epoch 0, 1, ...: PyTorch's StepLR(10, .1) as Latent Transformer's authors step it, at the start of each epoch, the first one too.
    So it falls one epoch early: at 0-based 9, and of 20 epochs the last has a hundredth."""
    return options.learning_rate * 0.1 ** ((epoch + 1) // 10)


@torch.no_grad()
def accuracy(classifier: LatentClassifier, codes: Codes) -> dict[str, float]:
    """How often it is right about an attribute of codes it was not trained on; beside that how often always saying the commoner
    answer would be, and its accuracy with those that have and that lack an attribute counted equally (of attributes with both)."""
    device = next(classifier.parameters()).device
    found = torch.cat([classifier(part.to(device)).cpu() for part in codes.w.split(500)]) > 0
    truth = codes.labels.bool()
    share = truth.double().mean(0)
    both = (share > 0) & (share < 1)
    right = (found == truth).double()
    balanced = ((right * truth).sum(0) / truth.sum(0) + (right * ~truth).sum(0) / (~truth).sum(0))[both] / 2
    return {
        "accuracy": right.mean().item(),
        "commoner_answer": torch.maximum(share, 1 - share).mean().item(),
        "balanced_accuracy": balanced.mean().item() if both.any() else 0.0,
        "n": len(codes.w),
    }
