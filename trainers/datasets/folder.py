"""folder:PATH: a folder of pictures, nested or not, with a list of their labels."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas
import torch

from lwgan.devices import device_of
from lwgan.domain import Domain, default_changes
from lwgan.judges import Judge
from trainers.datasets.base import Part
from trainers.datasets.lists import GROUP, SUFFIXES, VALUES, labels_of, plain, read_list, tidy
from trainers.datasets.pictures import Listed, Pictures
from trainers.shards import UNKNOWN

LISTS = ("*.csv", "*.tsv", "*attr*.txt")
BATCH = 50  # pictures that a judge reads at a time


@dataclass
class Folder(Pictures):
    """Pictures in a folder. The list has a column with their names; a column "group" is no label."""

    labels: str = ""
    """The list: a CSV, a TSV or a list_attr_celeba.txt; by default the only one in it or beside it."""
    judge: str = ""
    """A judge, a folder or a repository of the Hub, that labels the pictures in place of a list."""

    def _listed(self) -> Listed:
        folder = Path(self.place)
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise FileNotFoundError(f"{folder}: expected a folder of pictures, but it {what}")
        self._paths = {tidy(each.relative_to(folder).as_posix()): each for each in sorted(folder.rglob("*"))}
        return self._to_be_judged() if self.judge else self._labelled(folder)

    def _to_be_judged(self) -> Listed:
        """All pictures of the folder, without labels: `read` asks the judge for them."""
        if self.labels:
            raise ValueError(
                f"labels {self.labels} and judge {self.judge}: only one of them can label pictures"
            )
        names = [name for name, path in self._paths.items() if path.suffix.lower() in SUFFIXES]
        if not names:
            raise FileNotFoundError(f"{self.place} holds no pictures ({', '.join(SUFFIXES)})")
        self._judge = Judge.from_pretrained(self.judge).to(device_of("auto"))
        self.parallel, self.facts = False, {"labelled_by": self._judge.card_config["weights"]["sha256"]}
        labels = np.full((len(names), len(self._judge.names)), UNKNOWN, np.uint8)
        return Listed(names, labels, tuple(self._judge.names))

    def _domain(self) -> Domain:
        domain = super()._domain()
        if self.judge and not self.changes:
            return replace(domain, changes=default_changes(domain.attributes))
        return domain

    def read(self, split: str, rows: range) -> Part:
        part = super().read(split, rows)
        if not self.judge:
            return part
        device = next(self._judge.parameters()).device
        read = [self._judge.read(x.to(device).float() / 127.5 - 1) for x in part.images.split(BATCH)]
        return part._replace(labels=torch.cat(read).byte().cpu() if read else part.labels)

    def made_of(self, split: str, rows: range) -> str:
        return super().made_of(split, rows) + self.facts.get("labelled_by", "")

    def _labelled(self, folder: Path) -> Listed:
        """The pictures that the list names."""
        path = Path(self.labels) if self.labels else _list_of(folder)
        table = read_list(path)
        column, names = names_in(table, finder(self._paths, folder))
        table = table.assign(**{column: names}).drop_duplicates()
        names = table[column].tolist()
        self._check(names, path, column)
        table.insert(0, "", names)  # in errors a row is named by its picture
        columns = self.columns or tuple(name for name in table.columns[1:] if name not in (column, GROUP))
        groups = table[GROUP].str.strip().tolist() if GROUP in table and column != GROUP else None
        return Listed(names, labels_of(table, columns, path), columns, groups)

    def _check(self, names: list[str], path: Path, column: str) -> None:
        """FileNotFoundError if no picture is there; ValueError for one that is named twice."""
        if not any(name in self._paths for name in names):
            said = f"has none of the pictures that {path} names in its column {column!r}, such as {names[0]}"
            raise FileNotFoundError(f"{self.place} {said}")
        if twice := pandas.Series(names)[pandas.Series(names).duplicated()].tolist():
            said = f"names the picture {twice[0]!r} twice in its column {column!r}, with different labels"
            raise ValueError(f"{path} {said}")

    def _source(self, row: int) -> Path:
        name = self._list.names[row]
        return self._paths.get(name, Path(self.place, name))

    def _bytes(self, row: int) -> int:
        path = self._paths.get(self._list.names[row])
        return path.stat().st_size if path else 0


def finder(paths: Collection[str], folder: Path) -> Callable[[str], str | None]:
    """A function from a name in a list to the picture's name in the folder, None if there is none.

    Lists spell names with the folder before them, in capitals, without the zeros of a number, or without the
    suffix or with another one. A spelling that could mean two pictures means none."""
    keys = (_key, lambda name: _key(_stem(name)))
    counts = [Counter(map(key, paths)) for key in keys]
    spellings = [{key(name): name for name in paths if n[key(name)] == 1}
                 for key, n in zip(keys, counts, strict=True)]  # fmt: skip

    def find(value: str) -> str | None:
        name = tidy(value)
        below = f"/{name}".rpartition(f"/{folder.resolve().name}/")[2].lstrip("/")
        for form in (name, below):
            if form in paths:
                return form
        for key, known in zip(keys, spellings, strict=True):
            for form in (name, below):
                if key(form) in known:
                    return known[key(form)]
        return None

    return find


def names_in(table: pandas.DataFrame, find: Callable[[str], str | None]) -> tuple[str, list[str]]:
    """The column that names the pictures, of equals the first, and the names in the folder."""
    words = {name: table[name].unique() for name in table}
    no_labels = {name: values for name, values in words.items() if not {*map(plain, values)} <= {*VALUES}}
    found = {name: {value: find(value) for value in values} for name, values in (no_labels or words).items()}
    column = max(found, key=lambda name: len({*found[name].values()} - {None}))
    return column, [found[column][value] or tidy(value) for value in table[column]]


def _stem(name: str) -> str:
    """The name without the suffix of a picture."""
    return name[: -len(suffix)] if (suffix := Path(name).suffix).lower() in SUFFIXES else name


def _key(name: str) -> str:
    """The name without capitals and without the zeros before a number."""
    return re.sub(r"(^|/)0+(?=\d+(\.\w+)?$)", r"\1", name.lower())


def _list_of(folder: Path) -> Path:
    """The only list in the folder or else beside it. FileNotFoundError if none, ValueError if several."""
    for place in (folder, folder.parent):
        found = sorted(path for pattern in LISTS for path in place.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            said = f"has {len(found)} lists of labels ({names}): choose with --options labels=FILE"
            raise ValueError(f"{place} {said}")
        if found:
            return found[0]
    said = f"no list of labels ({', '.join(LISTS)}) is in it or beside it: give --options labels=FILE"
    raise FileNotFoundError(f"{folder}: {said}")
