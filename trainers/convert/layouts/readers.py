"""Published networks that read photographs of faces: a judge of attributes and an identity network.

The judge is mit-han-lab/anycost-gan's `attribute_predictor.pt`, {"state_dict": ...}: torchvision's ResNet-50
with two outputs per label, [N, 2 K] = [N, K, 2], of which the softmax is taken. Its probability of a label is
the sigmoid of their difference, which is our one logit. The identity network is `model_ir_se50.pth`, a bare
state dict of pSp's IR-SE50.
"""

import torch
from torch import Tensor

from lwgan.judges import PUBLISHED_SIDE
from trainers.convert.layouts.common import Found, Model, build
from trainers.datasets.celeba import CELEBA

LEVELS = ("layer1", "layer2", "layer3", "layer4")
LAST_UNITS = (2, 6, 20, 23)  # of each width of IR-SE50
NAMES = {"stem.": "input_layer.", "backbone.": "body.", "head.": "output_layer."}


def judge(state: dict, source: str) -> Model:
    """The judge of a state dict that has `fc.weight` and `layer1.0.conv1.weight`."""
    found = Found(source, state)
    outputs = found.size("fc.weight", 0, 2)
    message = f"it has {outputs} outputs, expected two for each of the {len(CELEBA)} attributes of CelebA"
    found.require(outputs == 2 * len(CELEBA), message)
    widths = [found.size(f"{level}.0.conv2.weight", 0, 4) for level in LEVELS]
    channels = found.size("conv1.weight", 1, 4)
    sizes = {"names": CELEBA, "channels": channels, "widths": widths}
    return _noted(build("judge", {"network": "resnet50", **sizes}, found, _torchvisions, _difference))


def _torchvisions(ours: str) -> str:
    return ours.removeprefix("body.")


def _difference(value: Tensor, ours: str, shape: tuple) -> Tensor:
    """For each label, the last layer's output "it has it" minus that "it has it not"."""
    if not ours.startswith("fc."):
        return value
    pairs = value.float().unflatten(0, (-1, 2))
    return pairs[:, 1] - pairs[:, 0]


def identity(state: dict, source: str) -> Model:
    """The identity network of a state dict that has `output_layer.3.weight`."""
    found = Found(source, state)
    for name in [name for name in found if name.endswith("running_var")]:  # files before PyTorch 0.4.1
        found.setdefault(name.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    widths = [found.size(f"body.{last}.res_layer.3.weight", 0, 4) for last in LAST_UNITS]
    sizes = {"widths": widths, "embedding": found.size("output_layer.3.weight", 0, 2)}
    return _noted(build("identity", {"network": "ir_se50", **sizes}, found, _psps))


def _noted(model: Model) -> Model:
    return model._replace(notes={"resolution": PUBLISHED_SIDE})


def _psps(ours: str) -> str:
    start = next(start for start in NAMES if ours.startswith(start))
    return NAMES[start] + ours[len(start) :]
