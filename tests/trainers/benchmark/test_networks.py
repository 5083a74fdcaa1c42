"""The benchmark of networks at its smallest, with real child processes."""

import contextlib
import importlib.util
import io
import os
import re
import sys
from types import ModuleType

import pytest
import torch
from torch.utils import cpp_extension

from trainers import benchmark
from trainers.benchmark import Options, networks, peers
from trainers.benchmark.networks import Case


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The smallest run: the report, what it printed, and the results of the child processes."""
    found, child = [], networks.child
    options = Options(
        sizes=(16,),
        batches=(1,),
        threads=(1,),
        turns=1,
        device="cpu",
        report=tmp_path_factory.mktemp("b") / "speed.md",
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(networks, "child", lambda *case: found.append(child(*case)) or found[-1])
        benchmark.main(options)
    return options.report.read_text(), printed.getvalue(), found


def test_every_implementation_has_a_row_and_the_report_its_command(measured):
    text, printed, _ = measured
    assert text == printed.rstrip("\n") + "\n"
    assert (
        "`python -m trainers benchmark generator --sizes 16 --batches 1 --threads 1 --turns 1 --device cpu`"
        in text
    )
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [row[3] for row in rows] == ["lwgan", "lwgan bf16"] and float(rows[0][6]) == 1
    half = rows[1]
    assert 1e-3 < float(half[8]) < 0.012
    assert re.fullmatch(r"\d\.\d\de-\d\d", half[8])
    assert all(float(row[4]) > 0 and 0.2 < float(row[7]) < 3 for row in rows)


def test_the_work_is_what_it_is_known_to_be(measured):
    """16.1 GMAC at 64 px, the count for the peers' networks."""
    net, w = networks.network(Case("generator", 64, 1, 1, 1, None, "cpu"), torch.device("cpu"))
    assert networks.work(net.synthesis, w) == pytest.approx(32.2, rel=0.02)
    assert measured[2][0]["rows"][0]["gflops"] > 1


def test_another_function_is_no_row():
    picture = torch.ones(4)
    assert networks.errors_of({"lwgan": picture, "lwgan bf16": 1.01 * picture}, "generator")[
        "lwgan bf16"
    ] == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ValueError, match="lwgan is another function than NVIDIA: relative error 1.0e-02"):
        networks.errors_of({"lwgan": 1.01 * picture, "NVIDIA": picture}, "generator")


def test_what_was_measured_outlasts_a_case_that_fails(tmp_path, monkeypatch):
    def child(case):
        if case.size == 9:
            raise RuntimeError("no such size")
        return (
            {"peak": 1.0}
            if case.only
            else {"rows": [{"name": "lwgan", "cpu": 1, "wall": 1, "error": 0, "gflops": 1, "sgemm": 1}]}
        )

    monkeypatch.setattr(networks, "child", child)
    options = Options(
        sizes=(8, 9), batches=(1,), threads=(1,), turns=1, device="cpu", report=tmp_path / "speed.md"
    )
    with pytest.raises(RuntimeError, match="no such size"):
        benchmark.main(options)
    assert "| 8 | 1 | 1 | lwgan | 1.000 |" in options.report.read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process forget its peak")
def test_the_peak_is_counted_from_its_reset():
    cpu = torch.device("cpu")
    held = [
        torch.ones(25_000) for _ in range(4000)
    ]  # 0.4 GB in blocks that glibc does not return while the last one is in use
    before, last = networks.peak_memory(cpu), held.pop()
    del held
    networks.reset_peak(cpu)
    assert networks.peak_memory(cpu) < before - 0.3 and len(last)


TOY = """
import helper  # a second package of the checkout
import requests
from torch import nn
from torch.utils import cpp_extension

op = cpp_extension.load("op", sources=["op.cu"])


class Generator(nn.Module):
    def __init__(self, extra=False):
        super().__init__()
        self.conv = nn.Linear(3, 2)
        self.register_buffer("blur_kernel", helper.KERNEL)
        if extra:
            self.more = nn.Linear(1, 1)

    def forward(self, x):
        return self.conv(x)
"""


class Ours(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = (
            torch.nn.Parameter(torch.randn(1, 2, 3)),
            torch.nn.Parameter(torch.randn(2, 1)),
        )
        self.register_buffer("w_avg", torch.zeros(5))


def test_a_peers_network_comes_from_its_checkout_and_takes_our_weights(tmp_path, monkeypatch):
    """A toy checkout with a module that has the name of one imported before."""
    (tmp_path / "model.py").write_text(TOY)
    (tmp_path / "helper.py").write_text("import torch\nKERNEL = torch.ones(4)\n")
    monkeypatch.setitem(sys.modules, "model", ModuleType("model"))
    monkeypatch.setitem(sys.modules, "helper", ModuleType("helper"))
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "requests" else find(name, *rest)
    )
    monkeypatch.delitem(sys.modules, "requests", raising=False)  # it may be here, but a user need not have it
    path, load = list(sys.path), cpp_extension.load
    with peers._importable(tmp_path, "model", "helper"):
        from model import Generator
    assert (sys.path, cpp_extension.load, sys.modules.get("requests")) == (path, load, None)
    ours, x = Ours(), torch.randn(4, 3)
    names = {"ours": "w_avg", "theirs": "kernel", "folder": tmp_path}
    net = peers._filled(Generator(), ours, "conv.{}".format, **names)
    assert torch.equal(net(x), torch.nn.functional.linear(x, ours.weight[0], ours.bias[:, 0]))
    assert (
        torch.equal(net.blur_kernel, torch.ones(4))
        and not net.training
        and not any(p.requires_grad for p in net.parameters())
    )
    with pytest.raises(ValueError, match="its network has 'more.bias', which ours lacks"):
        peers._filled(Generator(extra=True), ours, "conv.{}".format, **names)


@pytest.mark.skipif(
    "LWGAN_PEERS" not in os.environ, reason="LWGAN_PEERS names no folder with the peers' checkouts"
)
@pytest.mark.parametrize(
    ("network", "names"), [("generator", ["rosinality", "NVIDIA"]), ("encoder", ["pSp"])]
)
def test_the_peers_compute_the_same(network, names):
    rows = networks.child(
        Case(network, 64 if network == "generator" else 256, 1, 1, 1, os.environ["LWGAN_PEERS"], "cpu")
    )["rows"]
    assert [row["name"] for row in rows] == ["lwgan", "lwgan bf16", *names] and rows[0]["error"] < 1e-5


def test_a_folder_without_the_peer_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="stylegan2-pytorch holds no 'model'"):
        peers.rosinality_of(None, tmp_path / "stylegan2-pytorch")
    with pytest.raises(FileNotFoundError, match="holds no stylegan2-pytorch or stylegan2-ada-pytorch"):
        benchmark.main(Options(peers=tmp_path))


def test_a_child_that_fails_says_why():
    with pytest.raises(RuntimeError, match="resolution 65 is not a power of two"):
        networks.child(Case("generator", 65, 1, 1, 1, None, "cpu"))
