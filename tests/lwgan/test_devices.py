"""Devices by name, and how many cores small networks take."""

import os
import re
import sys
import threading
from contextvars import ContextVar
from types import SimpleNamespace

import pytest
import torch

from lwgan.devices import NICE, aside, device_of, share_cores


@pytest.mark.parametrize(
    "name", ["gpu", "", "CUDA", "cuda:", "cuda:one", "cuda:00", "cpu:0", "cuda:-1", "cuda:0\n", "mps"]
)
def test_a_device_of_another_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(
        ValueError, match=re.escape(f"device {name!r} is unknown: choose auto, cpu, cuda or cuda:N")
    ):
        device_of(name)


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        (0, "auto", "cpu"), (0, "cpu", "cpu"), (2, "auto", "cuda"), (2, "cpu", "cpu"), (2, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"), (0, "cuda:0", "'cuda:0': this machine has no CUDA device$"),
        (1, "cuda:1", "'cuda:1': this machine has 1 CUDA device$"),
        (2, "cuda:2", "'cuda:2': this machine has 2 CUDA devices$"),
    ],
)  # fmt: skip
def test_a_device_is_one_that_the_machine_has(monkeypatch, there, name, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    if "this machine" in found:
        with pytest.raises(ValueError, match=found):
            device_of(name)
    else:
        assert device_of(name) == torch.device(found)


@pytest.mark.parametrize(
    ("sides", "set_to"), [((64,), [1]), ((64, 128), [1]), ((64, 256), []), ((1024,), [])]
)
def test_only_small_networks_share_the_cores(monkeypatch, sides, set_to):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    share_cores([SimpleNamespace(generator=SimpleNamespace(resolution=side)) for side in sides])
    assert asked == set_to


def test_work_aside_has_a_low_priority_and_the_callers_context():
    visitor, here = ContextVar("visitor"), threading.get_ident()
    visitor.set("a")

    def work(by: int) -> tuple:
        return visitor.get(), threading.get_ident() != here, os.nice(0) + by

    before = os.nice(0)
    lower = min(before + NICE, 19) if sys.platform == "linux" else before
    assert aside(work, 100) == ("a", True, lower + 100) and os.nice(0) == before
    with pytest.raises(ValueError, match="invalid literal"):
        aside(int, "x")
