"""A registry of an invented third domain: shoes with three labels, one model of each kind, with figures."""

import json
from pathlib import Path

import torch
from PIL import Image

from lwgan.domain import Domain, change_of
from lwgan.judges import AttributeJudge, IdentityNetwork, LatentClassifier
from lwgan.strength import strength_of
from tests import nets

LABELS = ("Laces", "High_Heel", "Leather")
DOMAIN = Domain(
    "shoes", "Shoes", "a shoe", "square", LABELS, tuple(map(change_of, LABELS)),
    licence="cc-by-4.0\nThe photographs are by A. Cobbler.",
    about="Photographs of [shoes](https://huggingface.co/datasets/cobbler/shoes), one on each.",
    limits="- The models know single shoes on white, seen from the side.",
)  # fmt: skip
EDIT, SHIFT = "lwgan-shoes-lw-laces", "lwgan-shoes-centroids-leather"
RATE = {"value": 0.8125, "low": 0.7625, "high": 0.8625, "n": 321}
POINT = {"alpha": 0.75, "norm": 1.875, "target_change": 0.4375, "others_kept": 0.9375, "identity": 0.84375}
METRICS = {
    "command": "python -m trainers evaluate --data data --registry registry",
    "read_by": "judge",
    "chosen": {"alpha": 1.5, "norm": 3.75, "target_change": RATE, "others_kept": RATE, "identity": None},
    "matched": {"alpha": 1.125, "target_change": RATE, "leakage": {"High_Heel": -0.2187, "Leather": 0.0312},
                "oracle": {"features": RATE}},
    "curve": [{"alpha": 0.0, "target_change": 0.0, "others_kept": 1.0, "identity": 1.0}, POINT],
}  # fmt: skip
RECOGNISED = {"top_1": 0.9345, "identities": 77, "n": 231, "same": {"mean": 0.9123, "n": 456}}
FIGURES = {
    "generator": {"samples": 100, "relative_frechet_distance": 0.0321},
    "encoder": {"mean_squared_error": 0.0054, "identity": 0.7654},
    "judge": {"validation": {"auc": dict.fromkeys(LABELS, 0.5)},
              "test": {"auc": {"Laces": 0.9871, "High_Heel": 0.9992, "Leather": None}, "n": 654}},
    "identity": {"known": RECOGNISED, "test": RECOGNISED | {"top_1": 0.8345}},
    "latent-classifier": {"accuracy": 0.9012, "commoner_answer": 0.7531},
}  # fmt: skip


def make(folder: Path) -> Path:
    """Writes the registry: generator, encoder, judge, identity network, classifier of codes and two edits."""
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 8), "features": 8}
    classifier = LatentClassifier(num_ws=nets.NUM_WS, w_dim=nets.W_DIM, outputs=3, hidden=(8, 8))
    modules = {
        "generator": nets.toy_generator(),
        "encoder": nets.toy_encoder(),
        "judge": AttributeJudge(names=LABELS, **sizes),
        "identity": IdentityNetwork(**sizes, embedding=4),
        "latent-classifier": classifier,
    }
    base = nets.save_nets(folder, DOMAIN, modules)
    for kind, figures in FIGURES.items():
        command = f"python -m trainers {kind} --data data --run run"
        path = folder / f"lwgan-shoes-{kind}"
        change(path, names=list(LABELS), metrics=figures, training={"steps": 7, "command": command})
    strength = strength_of([{"alpha": 1.0, "target_change": 0.4}, {"alpha": 2.0, "target_change": 0.9}], 1.5)
    training = {
        "change": "Laces",
        "method": {"seed": 777},
        "command": "python -m trainers edit --change Laces lw",
    }
    nets.save_edit(folder / EDIT, base, DOMAIN.change("Laces"), training=training, strength=strength)
    nets.save_edit(folder / SHIFT, base, DOMAIN.change("Leather"), affine=False, method="centroids")
    weights = {"edit": nets.made_for(folder / EDIT)}
    (folder / EDIT / "metrics.json").write_text(json.dumps({"of": weights} | METRICS))
    (folder / EDIT / "images").mkdir()
    Image.new("RGB", (8, 8)).save(folder / EDIT / "images" / "strip.png")
    return folder


def change(folder: Path, **values) -> None:
    """Sets keys of a config.json; None removes a key."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}, indent=1))
