"""The layouts of others' StyleGAN2, pSp and e4e checkpoints, a file each: their names and arrays become ours.

Sizes are read from the weights and compared with what a file says of itself. Whatever is missing, left over, of another shape, or would
compute another function than `Generator` and `Encoder` do is refused with a ValueError that names it.
"""

from trainers.convert.layouts import nvidia, psp, rosinality, tensorflow
from trainers.convert.layouts.common import Model
from trainers.convert.unpickle import Network, Persistent


def models(content: object, source: str, encoder_type: str | None = None) -> list[Model]:
    """The models in what `trainers.unpickle.read` found in the file `source`, a generator first.

    encoder_type: of a pSp or e4e file whose options lack it.
    """
    if isinstance(content, dict) and "state_dict" in content and "opts" in content:
        return psp.models(content, source, encoder_type)
    if isinstance(content, dict) and isinstance(content.get("g_ema"), dict):
        return [rosinality.model(content, source)]
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Persistent):
        return [nvidia.model(content["G_ema"], source)]
    if (
        isinstance(content, tuple)
        and len(content) == 3
        and all(isinstance(part, Network) for part in content)
    ):
        return [tensorflow.model(content[2], source)]
    held = (
        f"the keys {', '.join(map(str, list(content)[:8]))}"
        if isinstance(content, dict)
        else f"a {type(content).__name__}"
    )
    raise ValueError(
        f"{source} holds {held}: expected 'g_ema' (rosinality), 'G_ema' (NVIDIA), 'state_dict' and 'opts' (pSp, e4e) "
        "or three networks (NVIDIA's TensorFlow)"
    )
