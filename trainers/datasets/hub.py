"""hf:org/name: a data set of the Hub, read by the `datasets` library. A folder of its formats works too."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas

from lwgan.domain import LABEL
from trainers.datasets.folder import finder, names_in
from trainers.datasets.lists import VALUES, labels_of, plain, read_list
from trainers.datasets.pictures import Listed, Pictures
from trainers.shards import SPLITS, UNKNOWN

OWN_SPLITS = dict(zip(SPLITS, SPLITS, strict=True)) | dict.fromkeys(("valid", "val", "dev"), "validation")


@dataclass
class HubDataset(Pictures):
    """Pictures of a data set of the Hub. Splits that it has are kept; those that it lacks are drawn."""

    image: str = ""
    """The column with the pictures; by default the only one."""
    labels: str = ""
    """A list with the labels, as of a folder, in place of columns. Its rows go by the names of the pictures,
    or by their order if they have no names: then check it by --check-labels."""
    group: str = ""
    """The column with the group of a picture, if there is one."""
    config: str = ""
    """The configuration (subset) of the data set, if it has several."""
    revision: str = ""
    """Branch, tag or commit."""

    def _listed(self) -> Listed:
        import datasets

        parts = datasets.load_dataset(self.place, self.config or None, revision=self.revision or None)
        own = {name: OWN_SPLITS[name] for name in parts if name in OWN_SPLITS} if "train" in parts else {}
        names = list(own or parts)
        data = datasets.concatenate_datasets([parts[name] for name in names])
        image = _image_column(data.features, self.image, self.place)
        self._data = data.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        readable = [name for name, kind in data.features.items() if _is_label(kind) or name == self.group]
        table = data.select_columns(readable).to_pandas()
        labels, attributes = self._of_list(image) if self.labels else self._labels(table, data.features)
        # Of "train", or of all where there is no "train", the rule takes the splits that are missing.
        stated = [own.get(name, "").replace("train", "") for name in names for _ in range(len(parts[name]))]
        pictures = [f"{name}/{i}" for name in names for i in range(len(parts[name]))]
        groups = [str(value) for value in table[self.group]] if self.group else None
        return Listed(pictures, labels, attributes, groups, stated)

    def _of_list(self, image: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """uint8 [N, K] and K names, from the list. ValueError if it is of other pictures."""
        path, count = Path(self.labels), len(self._data)
        table, names = read_list(path), _names_of(self._data, image)
        column, found = names_in(table, finder(dict.fromkeys(names), Path(self.place)))
        order = {name: row for row, name in enumerate(found)}
        known = sum(name in order for name in names)
        if names and known == count:  # by name
            table = table.iloc[[order[name] for name in names]]
        elif known or len(table) != count:
            said = f"names {known} of them" if known else f"has {len(table)} rows"
            raise ValueError(f"{self.place} has {count} pictures, {path} {said}")
        column = column if known else table.columns[0]
        is_label = not known and {*map(plain, table[column].unique())} <= {*VALUES}
        columns = self.columns or tuple(name for name in table if is_label or name != column)
        return labels_of(table, columns, path), columns

    def _labels(self, table: pandas.DataFrame, features) -> tuple[np.ndarray, tuple[str, ...]]:
        """uint8 [N, K] and K names, from the columns that were named or else from all that hold labels."""
        found: dict[str, np.ndarray] = {}
        for column in self.columns or tuple(name for name in table if name != self.group):
            labels = _labels_of(table[column], features[column]) if column in table else None
            if labels is None and self.columns:
                raise ValueError(
                    f"{self.place} has no labels in a column {column!r}: expected classes, true or false, "
                    f"0 or 1, or -1 or 1; its columns are {', '.join(features)}"
                )
            for name, values in (labels or {}).items():
                name = re.sub(r"[^A-Za-z0-9_.,&+'() -]", "_", name)[:60]
                name = name if LABEL.fullmatch(name) and name not in found else f"{column} {name}"[:60]
                found[name] = values
        if not found:
            raise ValueError(f"{self.place} has no column of labels among {', '.join(features)}")
        return np.stack(list(found.values()), 1), tuple(found)

    def _source(self, row: int) -> Path | bytes:
        (cell,) = self._data[int(row)].values()
        return cell["bytes"] or Path(cell["path"])


def _names_of(data, image: str) -> list[str]:
    """The names of the pictures' files, if all have one and no two the same; else none."""
    chunks = data.data.column(image).chunks
    paths = [path for chunk in chunks for path in chunk.field("path").to_pylist()]
    names = [Path(path).name for path in paths if path]
    return names if len({*names}) == len(data) else []


def _image_column(features, wanted: str, place: str) -> str:
    import datasets

    found = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    if wanted in found:
        return wanted
    if wanted or len(found) != 1:
        raise ValueError(
            f"{place} has {len(found)} columns of pictures ({', '.join(found)}) among {', '.join(features)}: "
            "choose one with --options image=COLUMN"
        )
    return found[0]


def _is_label(feature) -> bool:
    """Whether the features of a column are classes or numbers."""
    return re.match("bool|u?int|float", getattr(feature, "dtype", "") or "") is not None


def _labels_of(values: pandas.Series, feature) -> dict[str, np.ndarray] | None:
    """Name -> uint8 [N]: a label for each class, or one for a column of two values. None if it is neither."""
    if hasattr(feature, "names"):
        classes = values.fillna(-1).to_numpy(int)  # -1: no class is stated
        label = lambda i: np.where(classes < 0, UNKNOWN, classes == i).astype(np.uint8)
        return {name: label(i) for i, name in enumerate(feature.names)}
    numbers = values.astype(object).where(values.notna(), np.nan).to_numpy(float)
    known = ~np.isnan(numbers)
    if not {*numbers[known]} <= {0, 1} and not {*numbers[known]} <= {-1, 1}:
        return None
    return {values.name: np.where(known, numbers > 0, UNKNOWN).astype(np.uint8)}
