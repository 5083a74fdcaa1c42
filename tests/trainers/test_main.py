"""The command line: what it offers, and what it says of a mistake and of a full disk."""

import importlib
import subprocess
import sys
import types

import pytest

from trainers import __main__ as command_line


def ends_with(monkeypatch, *words: str) -> str:
    """What the command line says when it exits."""
    monkeypatch.setattr(sys, "argv", ["trainers", *words])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    return str(end.value)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_the_stages_without_importing_them(words):
    run = f"sys.argv[1:] = {words}; runpy.run_module('trainers', run_name='__main__')"
    program = f"import runpy, sys; {run}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *lines, imported = done.stdout.splitlines()
    assert imported == "False" and all(
        any(line.split()[:1] == [name] for line in lines) for name in command_line.STAGES
    )


@pytest.mark.parametrize("name", sorted(command_line.STAGES))
def test_every_stage_is_a_module_with_options_and_main(name):
    module = importlib.import_module(command_line.STAGES[name][0])
    assert callable(module.main) and module.Options


def test_a_misspelt_stage_and_option_are_named(monkeypatch, capsys):
    assert ends_with(monkeypatch, "encode") == "error: stage 'encode' is unknown: did you mean 'encoder'?"
    assert ends_with(monkeypatch, "generator", "--dta", "x") == "2"
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(28, "No space left on device", "runs/x/log.jsonl"),
            "error: runs/x/log.jsonl: No space left on device",
        ),
        (PermissionError(13, "Permission denied"), "error: Permission denied"),
        (OSError("the Hub does not answer"), "error: the Hub does not answer"),
        (ValueError("--steps is 0"), "error: --steps is 0"),
        (KeyboardInterrupt(), str(command_line.STOPPED)),
    ],
)
def test_errors_of_a_users_making_are_one_sentence(error, message, monkeypatch):
    def fail(options):
        raise error

    stage = types.SimpleNamespace(Options=int, main=fail)
    monkeypatch.setattr(command_line, "stage_named", lambda name: stage)
    assert ends_with(monkeypatch, "stage", "3") == message
