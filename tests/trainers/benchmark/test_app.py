"""The benchmark of the app at its smallest: a running app and real clients."""

import time

import pytest

from trainers import benchmark
from trainers.benchmark import app
from trainers.benchmark.app import ASKED


def test_every_figure_that_is_asked_for_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(app, "MOST", 20)  # each is answered at least once, however little time there is
    options = benchmark.Options(
        network="app", moves=4, seconds=1, long_seconds=1, report=tmp_path / "speed.md"
    )
    benchmark.main(options)
    text = options.report.read_text()
    assert text in capsys.readouterr().out and "--moves 4 --seconds 1 --long-seconds 1" in text
    rows = {
        cells[1]: cells[2]
        for line in text.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 5
    }
    assert set(ASKED) <= set(rows) and rows["16 clients, errors"] == rows["64 clients, errors"] == "0"
    assert float(rows["16 clients, events/s"]) > 0 and float(rows["start to first 200, s"]) > 0


def test_load_counts_what_was_answered_and_what_was_not():
    calls = []

    def ask():
        calls.append(0)
        time.sleep(0.02)
        if len(calls) % 4 == 0:
            raise RuntimeError("refused")

    rate, errors, slowest = app.load(ask, 2, 0.5)
    assert 0 < errors <= len(calls) // 3 and slowest >= 0.02 and rate < 100
    with pytest.raises(FileNotFoundError):
        app.resident(2**30)
