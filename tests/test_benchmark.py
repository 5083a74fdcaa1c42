"""The benchmark at its smallest: real child processes, real networks."""

import os
import re

import pytest
import torch

from trainers import benchmark, peers
from trainers.benchmark import Case, Options


def test_every_implementation_has_a_row_and_the_report_its_command(tmp_path, capsys):
    options = Options(sizes=(64,), batches=(1,), threads=(1,), turns=1, device="cpu", report=tmp_path / "speed.md")
    benchmark.main(options)
    text = options.report.read_text()
    assert text == capsys.readouterr().out.rstrip("\n") + "\n"
    assert "`python -m trainers benchmark generator --sizes 64 --batches 1 --threads 1 --turns 1 --allocator default`" in text
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert [row[3] for row in rows] == ["lwgan", "lwgan bf16"] and float(rows[0][6]) == 1
    exact, half = rows
    assert float(exact[8]) == 0 and 1e-3 < float(half[8]) < 0.012
    assert all(float(row[4]) > 0 and 0.2 < float(row[7]) < 3 for row in rows)


def test_the_work_is_what_it_is_known_to_be():
    """16.1 GMAC at 64 px, counted in the peers' networks too."""
    found = benchmark.child(Case("generator", 64, 1, 1, 1, None, "cpu"), "keep")
    assert found["gflop"] == pytest.approx(32.2, rel=0.02)
    assert 1 < found["rows"][0]["gflops"] < 2 * found["rows"][0]["sgemm"]


def test_another_function_is_no_row():
    picture = torch.ones(4)
    assert benchmark.errors_of({"lwgan": picture, "lwgan bf16": 1.01 * picture}, "generator")["lwgan bf16"] == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(ValueError, match="lwgan is another function than NVIDIA: relative error 1.0e-02"):
        benchmark.errors_of({"lwgan": 1.01 * picture, "NVIDIA": picture}, "generator")


@pytest.mark.skipif("LWGAN_PEERS" not in os.environ, reason="LWGAN_PEERS names no folder with the peers' checkouts")
@pytest.mark.parametrize(("network", "names"), [("generator", ["rosinality", "NVIDIA"]), ("encoder", ["pSp"])])
def test_the_peers_compute_the_same(network, names):
    rows = benchmark.child(Case(network, 64 if network == "generator" else 256, 1, 1, 1, os.environ["LWGAN_PEERS"], "cpu"), "default")[
        "rows"
    ]
    assert [row["name"] for row in rows] == ["lwgan", "lwgan bf16", *names] and rows[0]["error"] < 1e-5


def test_a_folder_without_the_peer_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="stylegan2-pytorch holds no 'model'"):
        peers.rosinality_of(None, tmp_path / "stylegan2-pytorch")
    with pytest.raises(FileNotFoundError, match="holds no stylegan2-pytorch or stylegan2-ada-pytorch"):
        benchmark.main(Options(peers=tmp_path))


def test_a_child_that_fails_says_why():
    with pytest.raises(RuntimeError, match="resolution 65 is not a power of two"):
        benchmark.child(Case("generator", 65, 1, 1, 1, None, "cpu"), "default")
