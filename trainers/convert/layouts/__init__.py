"""The layouts of StyleGAN2, pSp and e4e checkpoints and of readers of faces, a file each: how their names and
arrays become ours.

Sizes are read from the weights and compared with the options in the file. An array that is missing, left
over or of another shape is refused with a ValueError that names it, and so is an option under which
`Generator` and `Encoder` would compute something else. Noise maps and the mean code may be missing.
"""

from torch import Tensor

from trainers.convert.layouts import nvidia, psp, readers, rosinality, tensorflow
from trainers.convert.layouts.common import Model, described
from trainers.convert.unpickle import Network, Persistent

EXPECTED = (
    "expected a generator of StyleGAN2 by rosinality ('g_ema') or NVIDIA ('G_ema', three networks of its "
    "TensorFlow), one with its encoder by pSp or e4e ('state_dict' and 'opts'), a ResNet-50 of 80 outputs or "
    "pSp's IR-SE50"
)
# Under which key of a file the generator lies, the averaged weights first. (Or the file is the state dict.)
GENERATORS = ("g_ema", "G_ema", "params_ema", "state_dict", "model", "generator", "g", "G", "params")


def models(content: object, source: str, encoder_type: str | None = None) -> list[Model]:
    """The models in the content of the file `source`, a generator first.

    encoder_type: of a pSp or e4e file whose options lack it."""
    networks = isinstance(content, tuple) and [part for part in content if isinstance(part, Network)]
    if networks and len(networks) == len(content) == 3:
        return [tensorflow.model(networks[2], source)]
    if isinstance(content, Network):
        return [tensorflow.model(content, source)]
    parts = {key: content.get(key) for key in GENERATORS} if isinstance(content, dict) else {}
    key = next((key for key, part in parts.items() if isinstance(part, dict | Persistent) and part), None)
    part = parts.get(key, content)
    notes = {"weights_of": f"{key!r}: the file has no averaged weights"} if key in ("g", "G") else {}
    if isinstance(part, Persistent):
        found = [nvidia.model(part, source)]
    else:
        found = _of_state_dict(part, content, source, encoder_type)
    return [model._replace(notes=model.notes | notes) for model in found]


def _of_state_dict(state: object, content: object, source: str, encoder_type: str | None) -> list[Model]:
    """The models of a state dict by its names. content: the file around it, with options and a mean code."""
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{source} holds {described(content)}: {EXPECTED}")
    around = content if content is not state else {}
    state = dict(state)
    latent_avg = state.pop("latent_avg", None)
    state = without_prefix(state)
    latent_avg = around.get("latent_avg", latent_avg)
    if any(str(name).startswith("encoder.") for name in state):
        return psp.models(state, around.get("opts", {}), latent_avg, source, encoder_type)
    if "output_layer.3.weight" in state:
        return [readers.identity(state, source)]
    if {"fc.weight", "layer1.0.conv1.weight"} <= state.keys():
        return [readers.judge(state, source)]
    if any(str(name).startswith("synthesis.") for name in state):
        return [nvidia.of_state_dict(state, source)]
    if not {"input.input", "conv1.conv.weight", "style.1.weight"} & state.keys():
        raise ValueError(f"{source} holds arrays {', '.join(map(str, list(state)[:4]))}, ...: {EXPECTED}")
    return [rosinality.model(state, latent_avg, around.get("args"), source)]


def without_prefix(state: dict) -> dict:
    """The same without what all names begin with, such as "module." of DataParallel."""
    names = {str(name).partition(".")[::2]: value for name, value in state.items()}
    if len({start for start, _ in names}) != 1 or not all(rest for _, rest in names):
        return dict(state)
    return without_prefix({rest: value for (_, rest), value in names.items()})
