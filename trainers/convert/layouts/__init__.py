"""The layouts of StyleGAN2, pSp and e4e checkpoints and of readers of faces, a file each: how their names and
arrays become ours.

Sizes are read from the weights and compared with the options in the file. An array that is missing, left
over or of another shape is refused with a ValueError that names it, and so is an option under which
`Generator` and `Encoder` would compute something else.
"""

from trainers.convert.layouts import nvidia, psp, readers, rosinality, tensorflow
from trainers.convert.layouts.common import Model
from trainers.convert.unpickle import Network, Persistent


def models(content: object, source: str, encoder_type: str | None = None) -> list[Model]:
    """The models in the content of the file `source`, a generator first.

    encoder_type: of a pSp or e4e file whose options lack it."""
    if isinstance(content, dict) and "state_dict" in content and "opts" in content:
        return psp.models(content, source, encoder_type)
    if isinstance(content, dict) and isinstance(content.get("g_ema"), dict):
        return [rosinality.model(content, source)]
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Persistent):
        return [nvidia.model(content["G_ema"], source)]
    if readers.is_judge(content):
        return [readers.judge(content, source)]
    if readers.is_identity(content):
        return [readers.identity(content, source)]
    networks = isinstance(content, tuple) and [part for part in content if isinstance(part, Network)]
    if networks and len(networks) == len(content) == 3:
        return [tensorflow.model(networks[2], source)]
    is_dict = isinstance(content, dict)
    what = f"the keys {', '.join(map(str, list(content)[:8]))}" if is_dict else f"a {type(content).__name__}"
    raise ValueError(
        f"{source} holds {what}: expected 'g_ema' (rosinality), 'G_ema' (NVIDIA), 'state_dict' and 'opts' "
        "(pSp, e4e), three networks (NVIDIA's TensorFlow), a ResNet-50 of 80 outputs or pSp's IR-SE50"
    )
