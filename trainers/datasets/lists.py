"""Lists of pictures with yes/no labels: a CSV or TSV with a header, or CelebA's list_attr_celeba.txt."""

import posixpath
import unicodedata
import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pandas

from lwgan.domain import LABEL
from trainers.shards import UNKNOWN

VALUES = {"1": 1, "true": 1, "yes": 1, "0": 0, "-1": 0, "false": 0, "no": 0, "": UNKNOWN, "nan": UNKNOWN}
GROUP = "group"  # the column that names the group (person, font, ...) of a picture


def read_list(path: Path) -> pandas.DataFrame:
    """The list as text: one row a picture, one column a field.

    Comma, semicolon or tab; UTF-8 or UTF-16; an index column that pandas wrote is dropped. CelebA's form is:
    the number of rows, the names of the labels, then `000001.jpg -1 1 ...`. Errors name the row."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such list of labels")
    lines = [line for line in _text(path).splitlines() if line.strip()]
    if len(lines) < 2:
        raise ValueError(f"{path} has {len(lines)} lines: expected a header and one line for each picture")
    count = int(lines[0]) if lines[0].strip().isdecimal() else None
    if count is None:
        separator = max(",;\t", key=lines[0].count)
    else:
        separator, lines = r"\s+", [f"file {lines[1]}", *lines[2:]]
    table = _parsed(path, "\n".join(lines), separator)
    if count not in (None, len(table)):
        raise ValueError(f"{path} says on its first line that it has {count} rows, but it has {len(table)}")
    short = table.isna().any(axis=1)
    if short.any():
        row = table[short].iloc[0, 0]
        raise ValueError(f"{path}: the row of {row} has fewer values than the header has names")
    index = table.columns[0]
    if index.startswith("Unnamed") and list(table[index]) == [str(i) for i in range(len(table))]:
        table = table.drop(columns=index)
    return table


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"{error.reason}, byte {error.start}"
        raise ValueError(f"{path} is no text in UTF-8 or UTF-16 ({reason})") from None


def _parsed(path: Path, text: str, separator: str) -> pandas.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pandas only warns of a first row that is longer than the header
            # Only the Python engine tells an empty value from one that is missing.
            how = {"engine": "python", "dtype": str, "index_col": False, "na_filter": False}
            table = pandas.read_csv(StringIO(text), sep=separator, skipinitialspace=True, **how)
    except (ValueError, Warning) as error:  # a ParserError names the line
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    names = [name.strip() for name in text.splitlines()[0].split(separator)] if len(separator) == 1 else []
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise ValueError(f"{path} names the column {min(twice)!r} twice")
    table.columns = [name.strip() for name in table.columns]
    return table


def tidy(name: str) -> str:
    """A picture's name in one spelling: forward slashes, no "./", NFC."""
    return posixpath.normpath(unicodedata.normalize("NFC", name.strip().replace("\\", "/")))


def labels_of(table: pandas.DataFrame, columns: tuple[str, ...], path: Path) -> np.ndarray:
    """uint8 [N, K]: 1, 0 or UNKNOWN. `path` names the list in errors. The first column names the pictures.
    ValueError for a name that no label may have, and a column that is not 1/0, 1/-1 or true/false."""
    if not columns:
        raise ValueError(f"{path} has no column of labels")
    labels = np.empty((len(table), len(columns)), np.uint8)
    for k, name in enumerate(columns):
        if name not in table:
            raise ValueError(f"{path} has no column {name!r}, only {', '.join(table.columns)}")
        if not LABEL.fullmatch(name):
            allowed = "1 to 60 letters, digits, spaces and _.,&+'()-"
            raise ValueError(f"{path}: the label {name!r} may have {allowed}")
        codes, words = pandas.factorize(table[name])
        words = [word.strip().lower().removesuffix(".0") for word in words]
        if unknown := [i for i, word in enumerate(words) if word not in VALUES]:
            row = table[codes == unknown[0]].iloc[0]
            raise ValueError(
                f"{path}: {name} of {row.iloc[0]} is {row[name]!r}, expected 1 or 0, 1 or -1, true or "
                "false, or nothing if it is unknown; --options columns=A,B names the columns that are labels"
            )
        if {"0", "-1"} <= set(words):
            raise ValueError(f"{path}: {name} has both 0 and -1: only one of them can mean no")
        labels[:, k] = np.array([VALUES[word] for word in words], np.uint8)[codes]
    return labels
