"""pSp (eladrich/pixel2style2pixel) and e4e (omertov/encoder4editing): an encoder, and the generator it was trained for.

{"state_dict": {"encoder.*", "decoder.*"}, "opts": options, "latent_avg"}; decoder.* is in rosinality's layout. The two encoders have the
same names and shapes and are told apart by opts["encoder_type"]. What of their names is not ours: stem = input_layer,
backbone = body, lateral.1 and .2 = latlayer1 and 2, heads = styles, and convs.i = convs.2i (activations are counted there).
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


def models(content: dict, source: str, encoder_type: str | None) -> list[Model]:
    options = vars(content["opts"]) if isinstance(content["opts"], Namespace) else content["opts"]
    state, latent_avg = content["state_dict"], content.get("latent_avg")
    if not isinstance(options, dict) or not isinstance(state, dict):
        raise ValueError(
            f"{source}: state_dict is a {type(state).__name__} and opts a {type(options).__name__}, expected two dicts"
        )
    parts = {"encoder.": {}, "decoder.": {}}
    for name, value in state.items():
        part = name[: len("encoder.")]
        if part not in parts:
            raise ValueError(f"{source} has the unexpected key {name!r}, expected encoder.* and decoder.*")
        parts[part][name[len(part) :]] = value
    generator = rosinality.generator(Found(source, parts["decoder."]), latent_avg, options.get("output_size"))
    made = encoder(Found(source, parts["encoder."]), options, encoder_type)
    styles, w_dim = 2 * len(generator.architecture["channels"]), generator.architecture["w_dim"]
    if (made.architecture["num_ws"], made.architecture["w_dim"]) != (styles, w_dim):
        raise ValueError(
            f"{source}: the encoder has {made.architecture['num_ws']} styles of {made.architecture['w_dim']}, its decoder takes {styles} of {w_dim}"
        )
    w_avg = mean_code(latent_avg, styles, w_dim, source)
    around_mean = options.get("start_from_latent_avg", w_avg is not None)
    if around_mean and w_avg is None:
        raise ValueError(
            f"{source}: its codes start from latent_avg (start_from_latent_avg), which it does not hold"
        )
    made.weights["w_avg"] = w_avg.clone() if around_mean else torch.zeros(w_dim)
    return [generator, made]


def encoder(found: Found, options: dict, encoder_type: str | None) -> Model:
    """All but its mean code."""
    encoder_type = options.get("encoder_type") or encoder_type
    if encoder_type not in SPACES:
        hint = "" if encoder_type else " (if you know which it is, say so with --encoder-type)"
        raise ValueError(
            f"{found.source}: encoder_type is {encoder_type!r}, only {' and '.join(SPACES)} are known{hint}"
        )
    if options.get("learn_in_w"):
        raise ValueError(
            f"{found.source}: learn_in_w is {options['learn_in_w']}, only encoders into W+ are known"
        )
    num_ws = found.count(r"styles\.(\d+)\.")
    if options.get("n_styles") not in (None, num_ws):
        raise ValueError(
            f"{found.source}: the weights have {num_ws} styles, the file's options say n_styles {options['n_styles']}"
        )
    widths = [found.size(f"body.{last}.res_layer.3.weight", 0, 4) for last in LAST_UNITS]
    architecture = {
        "resolution": RESOLUTION, "img_channels": found.size("input_layer.0.weight", 1, 4), "num_ws": num_ws,
        "w_dim": found.size("styles.0.linear.weight", 0, 2), "widths": widths, "pyramid": widths[-1],
        "head": found.size("styles.0.convs.0.weight", 0, 4), "space": SPACES[encoder_type], "backbone": "ir_se50",
    }  # fmt: skip
    return build("encoder", architecture, found, name_of, given=("w_avg",))


def name_of(ours: str) -> str:
    if match := re.fullmatch(r"heads\.(\d+)\.convs\.(\d+)\.(\w+)", ours):
        return f"styles.{match[1]}.convs.{2 * int(match[2])}.{match[3]}"
    start = next(start for start in NAMES if ours.startswith(start))
    return NAMES[start] + ours[len(start) :]
