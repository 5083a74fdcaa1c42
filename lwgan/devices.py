"""Where networks run, and in which precision."""

import re

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device_of(name: str) -> torch.device:
    """The device "cpu", "cuda" or "cuda:N" (N from 0); "auto" is CUDA where there is one, else the CPU.
    ValueError for another name, and for a CUDA device that this machine lacks."""
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?", name):
        raise ValueError(f"device {name!r} is unknown: choose auto, cpu, cuda or cuda:N")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if there else "cpu"
    if name.startswith("cuda") and int(name[5:] or 0) >= there:
        raise ValueError(f"device {name!r}: this machine has {there or 'no'} CUDA device{'s' * (there > 1)}")
    return torch.device(name)
