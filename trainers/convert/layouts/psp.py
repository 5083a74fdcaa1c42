"""pSp (eladrich/pixel2style2pixel) and e4e (omertov/encoder4editing): an encoder and its generator.

{"state_dict": {"encoder.*", "decoder.*"}, "opts": options, "latent_avg"}; decoder.* has rosinality's
layout. The two encoders have the same names and shapes; opts["encoder_type"] tells them apart. Names
that differ from ours: stem = input_layer, backbone = body, lateral.1 and .2 = latlayer1 and 2, heads =
styles, and convs.i = convs.2i (they count activations).
"""

import re
from argparse import Namespace

import torch

from trainers.convert.layouts import rosinality
from trainers.convert.layouts.common import Found, Model, build, mean_code

SPACES = {"GradualStyleEncoder": "W+", "Encoder4Editing": "W+ deltas"}  # by encoder_type
RESOLUTION = 256  # of the pictures that both take
LAST_UNITS = (2, 6, 20, 23)  # of each width
NAMES = {"stem.": "input_layer.", "backbone.": "body.", "lateral.": "latlayer", "heads.": "styles."}


def models(state: dict, options, latent_avg, source: str, encoder_type: str | None) -> list[Model]:
    """The generator and the encoder of a state dict. options: those of the training, or an empty dict."""
    options, file = vars(options) if isinstance(options, Namespace) else options, Found(source)
    file.require(isinstance(options, dict), f"opts is a {type(options).__name__}, expected a dict")
    parts = {"encoder.": Found(source), "decoder.": Found(source)}
    for name, value in state.items():
        part, rest = name[: len("encoder.")], name[len("encoder.") :]
        file.require(part in parts, f"it has the unexpected key {name!r}, expected encoder.* and decoder.*")
        parts[part][rest] = value
    file.require(parts["decoder."], "it holds an encoder without its generator (decoder.*)")
    size = options.get("output_size") or options.get("stylegan_size")
    generator = rosinality.generator(parts["decoder."], latent_avg, size)
    made = encoder(parts["encoder."], options, encoder_type)
    codes = made.architecture["num_ws"], made.architecture["w_dim"]
    wanted = 2 * len(generator.architecture["channels"]), generator.architecture["w_dim"]
    message = "the encoder has {} styles of {}, its decoder takes {} of {}".format(*codes, *wanted)
    file.require(codes == wanted, message)
    w_avg = mean_code(latent_avg, *codes, file)
    around_mean = options.get("start_from_latent_avg", w_avg is not None)
    message = "its codes start from latent_avg (start_from_latent_avg), which it does not hold"
    file.require(w_avg is not None or not around_mean, message)
    made.weights["w_avg"] = w_avg.clone() if around_mean else torch.zeros(codes[1])
    return [generator, made]


def encoder(found: Found, options: dict, encoder_type: str | None) -> Model:
    """The encoder without its mean code."""
    encoder_type = options.get("encoder_type") or encoder_type
    hint = "" if encoder_type else " (if you know which it is, give --encoder-type)"
    message = f"encoder_type is {encoder_type!r}, only {' and '.join(SPACES)} are known{hint}"
    found.require(encoder_type in SPACES, message)
    in_w = options.get("learn_in_w")
    found.require(not in_w, f"learn_in_w is {in_w}, only encoders into W+ are known")
    num_ws, said = found.count(r"styles\.(\d+)\."), options.get("n_styles")
    message = f"its weights have {num_ws} styles, its options say n_styles {said}"
    found.require(said in (None, num_ws), message)
    widths = [found.size(f"body.{last}.res_layer.3.weight", 0, 4) for last in LAST_UNITS]
    channels = found.size("input_layer.0.weight", 1, 4)
    reads = "pairs of pictures (ReStyle)" if channels == 6 else "maps of segments"
    message = f"its encoder reads {channels} channels, {reads}: only encoders of pictures (1 or 3) are known"
    found.require(channels in (1, 3), message)
    architecture = {
        "resolution": RESOLUTION, "img_channels": channels, "num_ws": num_ws,
        "w_dim": found.size("styles.0.linear.weight", 0, 2), "widths": widths, "pyramid": widths[-1],
        "head": found.size("styles.0.convs.0.weight", 0, 4), "space": SPACES[encoder_type],
        "backbone": "ir_se50",
    }  # fmt: skip
    if str(options.get("dataset_type")).startswith("cars"):  # they see 256 x 192 px, without the black bands
        architecture["bands"] = RESOLUTION // 8
    return build("encoder", architecture, found, name_of, given=("w_avg",))


def name_of(ours: str) -> str:
    """Our name of a weight -> theirs."""
    if match := re.fullmatch(r"heads\.(\d+)\.convs\.(\d+)\.(\w+)", ours):
        return f"styles.{match[1]}.convs.{2 * int(match[2])}.{match[3]}"
    start = next(start for start in NAMES if ours.startswith(start))
    return NAMES[start] + ours[len(start) :]
