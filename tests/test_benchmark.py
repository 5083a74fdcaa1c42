"""The benchmark at its smallest: real child processes, real networks."""

import re

import pytest

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
    """16.1 and 72.5 GMAC: counted in the peers' networks at 64 px and in pSp's encoder, most of it in convolutions."""
    row = benchmark.child(Case("generator", 64, 1, 1, 1, None, "cpu"), "keep")["rows"][0]
    assert row["gflop"] == pytest.approx(32.2, rel=0.02)
    assert row["gflops"] == pytest.approx(row["gflop"] / row["wall"])


def test_a_folder_without_the_peer_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="stylegan2-pytorch holds no 'model'"):
        peers.rosinality_of(None, tmp_path / "stylegan2-pytorch")


def test_a_child_that_fails_says_why():
    with pytest.raises(RuntimeError, match="resolution 65 is not a power of two"):
        benchmark.child(Case("generator", 65, 1, 1, 1, None, "cpu"), "default")
