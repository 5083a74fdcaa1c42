"""The scripts of trainers/runs: every command that they run is one that the stages understand."""

import os
import subprocess
from pathlib import Path

import pytest

from trainers.__main__ import parse

RUNS = Path(__file__).parents[3] / "trainers" / "runs"
# Stands for `python`: writes down its words, and makes the folder of a registered model.
PYTHON = r"""#!/bin/bash
printf '%s\x1f' "$@" >> "$CALLS"; printf '\x1e' >> "$CALLS"
[ "$3" != register ] || mkdir -p "$5"
[ "$1" != -c ] || echo 7
"""


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("own.sh", ["folder:shoes", "RUNS"]), ("own.sh", ["folder:shoes", "RUNS", "Leather", "not-Laced"]),
        ("multimnist.sh", ["RUNS", "mnist"]), ("multimnist128.sh", ["RUNS"]), ("synthfaces.sh", ["RUNS"]),
        ("multimnist_coverage.sh", ["RUNS"]), ("letters.sh", ["fonts", "RUNS"]), ("faces.sh", ["RUNS"]),
        ("faces.sh", ["RUNS", "celebahq:pictures", "someone"]),
    ],
)  # fmt: skip
def test_the_stages_understand_every_command(script, arguments, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(PYTHON)
    (tmp_path / "bin" / "python").chmod(0o755)
    environment = {"CALLS": str(tmp_path / "calls"), "TITLE": "My shoes", "LICENCE": "cc-by-4.0"}
    environment |= {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    words = [str(tmp_path / "runs") if word == "RUNS" else word for word in arguments]
    subprocess.run(
        ["bash", RUNS / script, *words], env=environment, check=True, capture_output=True, timeout=120
    )
    calls = [call.split("\x1f")[:-1] for call in (tmp_path / "calls").read_text().split("\x1e")[:-1]]
    stages = [call for call in calls if call[0] == "-m"]
    assert len(stages) >= 5 and all(call[1] == "trainers" for call in stages)
    # One command of each kind: to parse all of them takes a minute.
    kinds = {tuple(word for word in call if word.startswith("--") or word.isalpha()): call for call in stages}
    for call in kinds.values():
        parse(call[2:])
