"""Stage: photographs of faces. Fetches published networks, converts them, and learns edits if asked to.

    python -m trainers faces --run RUNS                               # asks, fetches, converts
    python -m trainers faces --run RUNS --learn 10000 --accept-terms  # edits too, without labelled pictures
    python -m trainers faces --run RUNS --encoder psp_ffhq_encode.pt  # with a file that you have
    LWGAN_REGISTRY=RUNS/registry lwgan app                            # serves photographs with what is there

It shows the terms of what it would fetch and asks. A stopped run is resumed by its command. What is fetched
is for research, and `publish` refuses it. trainers/runs/faces.sh shows how edits are learned, step by step.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lwgan.files import CONFIG
from trainers import run
from trainers.convert import Checkpoint, convert
from trainers.datasets.celeba import CELEBA
from trainers.datasets.celebahq import OFFERED
from trainers.fetch import fetch

AIRI = "hf://AIRI-Institute/{}/pretrained_models/{}"
# What each file is, where it is said to be (the first is taken unless another is given), and its terms.
KNOWN = {
    "encoder": (
        AIRI.format("HairFastGAN", "encoder4editing/e4e_ffhq_encode.pt"),
        AIRI.format("StyleFeatureEditor", "e4e_ffhq_encode.pt"),
        AIRI.format("StyleFeatureEditor", "psp_ffhq_encode.pt"),
    ),
    "judge": ("https://hanlab.mit.edu/projects/anycost-gan/files/attribute_predictor.pt",),
    "identity": (
        AIRI.format("HairFastGAN", "ArcFace/ir_se50.pth"),
        AIRI.format("StyleFeatureEditor", "model_ir_se50.pth"),
    ),
}
TERMS = {
    "encoder": "About 1.2 GB: e4e's or pSp's encoder (MIT) and StyleGAN2's generator of 1024 px\n"
    "    (NVIDIA Source Code License-NC), trained on FFHQ (CC BY-NC-SA 4.0). No commercial use.",
    "judge": "About 95 MB: anycost-gan's reader of CelebA's forty attributes (code MIT), trained on CelebA.\n"
    "    Non-commercial research only.",
    "identity": "About 175 MB: IR-SE50, which tells faces apart (pSp's code MIT; the terms of its training\n"
    "    data were not found). Research only, and not to recognise people.",
}
KINDS = {"encoder": ("generator", "encoder"), "judge": ("judge",), "identity": ("identity",)}  # in each file
NONE = "none"
LICENCE = """other
The networks were trained on FFHQ (CC BY-NC-SA 4.0, NVIDIA Source Code License) and CelebA: for non-commercial
research only. They may not be passed on."""
ABOUT = "StyleGAN2 and its encoder were trained on FFHQ, 70,000 photographs of faces."
LIMITS = """- The models know faces in the frame of FFHQ. Attributes are opinions of annotators, which
  correlate in CelebA and say nothing about the people."""


@dataclass(frozen=True)
class Options:
    """Fetch and convert published networks of faces; learn edits with them."""

    run: Path
    """The folder to fill: downloads/, registry/ and, with --learn, the runs of trainers/runs/faces.sh."""
    encoder: str = KNOWN["encoder"][0]
    """e4e or pSp with its generator: hf://org/repo/file@revision, https://... or a path. #sha256=HEX may
    follow."""
    judge: str = KNOWN["judge"][0]
    """Reader of the forty attributes, likewise; "none" leaves it out."""
    identity: str = KNOWN["identity"][0]
    """IR-SE50, likewise; "none" leaves it out."""
    encoder_type: str | None = None
    """Of an encoder's file that does not say it: GradualStyleEncoder (pSp) or Encoder4Editing (e4e)."""
    accept_terms: bool = False
    """Accept the terms without being asked."""
    learn: int = 0
    """Draw so many pictures, let the judge label them, and learn the paper's eight edits (10,000 or more)."""
    pictures: Path | None = None
    """With --learn: a folder of photographs in FFHQ's frame, of which 1,000 measure the edits, as in the
    paper. Default: drawn pictures."""


def main(options: Options) -> None:
    run.lock(options.run)
    registry, wanted = options.run / "registry", missing(options)
    consent(options, [role for role in wanted if is_address(getattr(options, role))])
    for role in wanted:
        add(role, getattr(options, role), options)
    print(f"LWGAN_REGISTRY={registry} lwgan app    # serves photographs")
    if options.learn:
        run.release()
        learn(options)


def missing(options: Options) -> list[str]:
    """What is to be had and is not in the registry. ValueError if edits are to be learned without a judge."""
    if options.learn and options.judge == NONE:
        raise ValueError("--learn needs the judge, which labels the pictures")
    there = lambda kind: (folder_of(options.run, kind) / CONFIG).exists()
    return [role for role in KINDS if getattr(options, role) != NONE and not all(map(there, KINDS[role]))]


def folder_of(runs: Path, kind: str) -> Path:
    return runs / "registry" / f"lwgan-faces-{kind}"


def is_address(place: str) -> bool:
    return re.match("[a-z]+://", place) is not None


def consent(options: Options, roles: list[str]) -> None:
    """Shows the terms of what will be fetched. ValueError unless they are accepted."""
    if not roles:
        return
    print("These files will be fetched. Their terms, as far as they are known:\n")
    for role in roles:
        print(f"{role}: {getattr(options, role)}\n    {TERMS[role]}\n")
    if options.accept_terms:
        return
    if not sys.stdin.isatty():
        raise ValueError("these terms were not accepted, nothing was fetched: add --accept-terms if you do")
    if input("Do you accept these terms? [y/N] ").strip().lower() not in ("y", "yes"):
        raise ValueError("the terms were not accepted, nothing was fetched")


def add(role: str, place: str, options: Options) -> None:
    """Fetches a file and converts it into the registry. ValueError that names other places; OSError of a full
    disk, which another place would not help."""
    try:
        path = fetch(place, options.run / "downloads")
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        others = [known for known in KNOWN[role] if known != place] + ["a file of yours"]
        hint = "" if role == "encoder" else f", or leave it out (--{role} {NONE})"
        raise ValueError(f"{error}\nGive another place by --{role}: {', '.join(others)}{hint}") from error
    target = options.run / "registry" if role == "encoder" else folder_of(options.run, role)
    fetched = place if is_address(place) else path.name
    checkpoint = Checkpoint(
        path, target, "faces", LICENCE, ABOUT, LIMITS, title="Faces", subject="a photograph of a face",
        frame="face", attributes=CELEBA, changes=OFFERED, fetched=fetched, encoder_type=options.encoder_type,
    )  # fmt: skip
    made = convert(checkpoint, KINDS[role])
    print(*(f"{folder} was made of {path.name}" for folder in made), sep="\n")


def learn(options: Options) -> None:
    """Runs faces.sh on pictures that the generator draws. ValueError if one of its stages fails."""
    script = Path(__file__).with_suffix(".sh")
    environment = os.environ | {"SAMPLES": str(options.learn), "PICTURES": str(options.pictures or "")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(["bash", script, options.run], env=environment)
    try:
        failed = process.wait()
    except KeyboardInterrupt:  # it stops the stage that runs, too
        process.wait()
        raise
    if failed:
        raise ValueError(f"{script.name} stopped; repeat the command to go on")
