"""folder:PATH: a folder of pictures, nested or not, with a list of their labels."""

from dataclasses import dataclass
from pathlib import Path

import pandas

from trainers.datasets.lists import GROUP, labels_of, read_list, tidy
from trainers.datasets.pictures import Listed, Pictures

LISTS = ("*.csv", "*.tsv", "*attr*.txt")


@dataclass
class Folder(Pictures):
    """Pictures in a folder. The list has a column with their names; a column "group" is no label."""

    labels: str = ""
    """The list: a CSV, a TSV or a list_attr_celeba.txt; by default the only one in it or beside it."""

    def _listed(self) -> Listed:
        folder = Path(self.place)
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise FileNotFoundError(f"{folder}: expected a folder of pictures, but it {what}")
        path = Path(self.labels) if self.labels else _list_of(folder)
        table = read_list(path)
        self._paths = {tidy(each.relative_to(folder).as_posix()): each for each in sorted(folder.rglob("*"))}
        column = next((name for name in table if self._matches(table[name])), table.columns[0])
        names = [tidy(name) for name in table[column]]
        self._check(names, path)
        table.insert(0, "", names)  # in errors a row is named by its picture
        columns = self.columns or tuple(name for name in table.columns[1:] if name not in (column, GROUP))
        groups = table[GROUP].str.strip().tolist() if GROUP in table and column != GROUP else None
        return Listed(names, labels_of(table, columns, path), columns, groups)

    def _matches(self, values: pandas.Series) -> bool:
        return any(tidy(value) in self._paths for value in values)

    def _check(self, names: list[str], path: Path) -> None:
        """ValueError for a picture that is named twice; FileNotFoundError if none is there."""
        if twice := pandas.Series(names)[pandas.Series(names).duplicated()].tolist():
            raise ValueError(f"{path} names the picture {twice[0]!r} twice")
        if not any(name in self._paths for name in names):
            same = [each for each in self._paths if Path(each).stem == Path(names[0]).stem]
            hint = f"; there is {same[0]}: name it so in the list" if same else ""
            said = f"has none of the pictures that {path} names, such as {names[0]}{hint}"
            raise FileNotFoundError(f"{self.place} {said}")

    def _source(self, row: int) -> Path:
        name = self._list.names[row]
        return self._paths.get(name, Path(self.place, name))

    def _bytes(self, row: int) -> int:
        path = self._paths.get(self._list.names[row])
        return path.stat().st_size if path else 0


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
