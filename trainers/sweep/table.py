"""A table of edits to learn: one row per setting, in a YAML file.

    prepare:                                  # commands that make what the edits need, if it is not there
      - judge codes --codes RUNS/codes --run RUNS/latent
    edit: --codes RUNS/codes --selector RUNS/latent {method}
    evaluate: --data RUNS/data --registry RUNS/methods --run RUNS/results
    changes: [Laces, Heel]
    pieces:                                   # what stands for {NAME}; it may depend on the change
      fast: {Laces: --steps 100, Heel: --steps 140}
    rows:                                     # an edit's name, without its change, and its method
      centroids: centroids
      lw-s{seed}: {method: "lw {fast} --seed {seed}", seed: [0, 1, 2], changes: [Laces]}

`edit` and `evaluate` are options of these stages. RUNS stands for the folder of --run. A row may set pieces
anew. It has a cell for each change and each value of a piece that is a list. `model` is what names of
models begin with, `cores` and `memory` (GB) what a cell needs (1 and 2 by default).
"""

import itertools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from lwgan.domain import NAME

RUNS = "RUNS"  # the first part of paths in a table


class Cell(NamedTuple):
    """An edit to learn, choose the alpha of, and measure.

    name: without the prefix of models.  words, evaluate: command lines of the stages `edit` and `evaluate`,
    with RUNS.  cores, memory (GB): what it needs."""

    name: str
    words: tuple[str, ...]
    evaluate: tuple[str, ...]
    cores: int = 1
    memory: float = 2.0

    @property
    def method(self) -> str:
        """The words after the options of the stage: the first one that is no option and no option's value."""
        return next(self.words[i] for i in range(1, len(self.words), 2) if self.words[i][:2] != "--")


@dataclass(frozen=True)
class Table:
    """A table as it was read; see this module."""

    model: str
    edit: str
    evaluate: str
    rows: dict[str, str | dict]
    changes: list[str]
    prepare: list[str] = field(default_factory=list)
    pieces: dict[str, object] = field(default_factory=dict)
    cores: int = 1
    memory: float = 2.0

    def cells(self) -> list[Cell]:
        """All cells, in the order of the rows. ValueError for a name that two cells have or models may not
        have, and for a piece that is missing."""
        cells = [cell for pattern, row in self.rows.items() for cell in self._row(pattern, row)]
        names = [cell.name for cell in cells]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"two cells have the name {twice[0]}: name all lists of their row")
        if wrong := [name for name in names if not NAME.fullmatch(f"{self.model}-{name}")]:
            raise ValueError(f"{self.model}-{wrong[0]}: a name may have 1 to 64 of a-z, 0-9, _ and -")
        return cells

    def _row(self, pattern: str, row: str | dict) -> Iterator[Cell]:
        row = {"method": row} if isinstance(row, str) else dict(row)
        changes = row.pop("changes", self.changes)
        choices = [value if isinstance(value, list) else [value] for value in row.values()]
        for values in itertools.product(*choices):
            for change in changes:
                pieces = self.pieces | dict(zip(row, values, strict=True))
                name = f"{filled(pattern, pieces, change)}-{change}".lower().replace("_", "-")
                name = name.replace(".", "-")
                yield Cell(name, self._words(name, change, pieces), words_of("evaluate " + self.evaluate),
                           self.cores, self.memory)  # fmt: skip

    def _words(self, name: str, change: str, pieces: dict) -> tuple[str, ...]:
        of = f"edit --change {change} --run {RUNS}/edits/{name}"
        return words_of(f"{of} {filled(self.edit, pieces, change)}")


def filled(text: str, pieces: dict, change: str) -> str:
    """A text with its {pieces}, which may hold others. ValueError for one that is missing."""
    chosen = {key: value[change] if isinstance(value, dict) and change in value else value
              for key, value in pieces.items()}  # fmt: skip
    try:
        while "{" in text:
            text = text.format_map(chosen)
    except KeyError as error:
        raise ValueError(f"{text!r} names the piece {error.args[0]!r}, which is missing") from None
    return text


def words_of(command: str) -> tuple[str, ...]:
    return tuple(shlex.split(command))


def placed(words: tuple[str, ...], root: Path) -> list[str]:
    """The words of a command with the folder that RUNS stands for, as an absolute path."""
    return [str(root.resolve() / word[len(RUNS) + 1 :]) if word.startswith(f"{RUNS}/") else word
            for word in words]  # fmt: skip


def read_table(path: Path) -> Table:
    """A table from its file. FileNotFoundError; ValueError for one that is not as this module says."""
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(said, dict) or not isinstance(said.get("rows"), dict):
        raise ValueError(f"{path} is no table: it needs `rows`, a mapping of names to methods")
    try:
        return Table(**said)
    except TypeError as error:
        raise ValueError(f"{path}: {str(error).removeprefix('Table.__init__() ')}") from None
