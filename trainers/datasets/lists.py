"""Lists of pictures with yes/no labels: a CSV or TSV with a header, or CelebA's list_attr_celeba.txt."""

import posixpath
import re
import unicodedata
import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pandas

from lwgan.domain import LABEL, nearest
from trainers.shards import UNKNOWN

YES, NO = ("1", "true", "yes", "y", "t", "on"), ("0", "-1", "false", "no", "n", "f", "off")
MISSING = ("", "nan", "na", "n/a", "none", "null", "unknown", "?", "-")
VALUES = dict.fromkeys(YES, 1) | dict.fromkeys(NO, 0) | dict.fromkeys(MISSING, UNKNOWN)
GROUP = "group"  # the column that names the group (person, font, ...) of a picture
SEPARATORS, SPACES = ",;\t|", r"\s+"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic")
# How files begin that people take for lists, and what they are.
OTHERS = {b"PK\x03\x04": "an Excel workbook or another archive", b"\xd0\xcf\x11\xe0": "an Excel workbook",
          b"PAR1": "a Parquet file", b"<": "a web page or XML", b"[": "JSON", b"{": "JSON"}  # fmt: skip


def read_list(path: Path) -> pandas.DataFrame:
    """The list as text: one row per picture, one column per field.

    Comma, semicolon, tab, bar or spaces; UTF-8, UTF-16 or Windows-1252. Excel's line "sep=;", comments with
    #, empty columns and rows, and an index column that pandas wrote are dropped. CelebA's form is: the number
    of rows, the names of the labels, then `000001.jpg -1 1 ...`. Errors name the row."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such list of labels")
    lines = [line for line in _text(path).splitlines() if line.strip()]
    while len(lines) > 2 and _is_remark(*lines[:2]):
        lines = lines[1:]
    if len(lines) < 2:
        raise ValueError(f"{path} has {len(lines)} lines: expected a header and one line for each picture")
    lines[0] = lines[0].lstrip("# ")
    count = int(lines.pop(0)) if lines[0].strip().isdecimal() else None
    separator = max(SEPARATORS, key=lines[0].count)
    separator = separator if separator in lines[0] and count is None else SPACES
    if separator == SPACES and len(lines) > 1 and len(lines[0].split()) + 1 == len(lines[1].split()):
        lines[0] = f"file {lines[0]}"
    table = _parsed(path, "\n".join(lines), separator)
    if count not in (None, len(table)):
        raise ValueError(f"{path} says on its first line that it has {count} rows, but it has {len(table)}")
    short = table.isna().any(axis=1)
    if short.any():
        row = table[short].iloc[0, 0]
        raise ValueError(f"{path}: the row of {row} has fewer values than the header has names")
    return _without_extras(table)


def _is_remark(line: str, following: str) -> bool:
    """Whether a line before the header says nothing: Excel's "sep=;", or a comment that is no header."""
    is_header = any(line.count(each) == following.count(each) > 0 for each in SEPARATORS)
    return line.lower().startswith("sep=") or (line.startswith("#") and not is_header)


def _text(path: Path) -> str:
    data = path.read_bytes()
    for begin, what in OTHERS.items():
        if data.startswith(begin):
            raise ValueError(f"{path} is {what}, expected a list as text: save it as CSV")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    elif b"\0" in data[:1000]:  # UTF-16 without its mark: every second byte of plain text is 0
        encodings = ["utf-16-be" if data[:1] == b"\0" else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(f"{path} is no text in UTF-8, UTF-16 or Windows-1252")


def _parsed(path: Path, text: str, separator: str) -> pandas.DataFrame:
    how = {"engine": "python", "dtype": str, "index_col": False, "na_filter": False, "skipinitialspace": True}
    how |= {"sep": separator, "quotechar": "'" if text.startswith("'") else '"'}
    try:
        with warnings.catch_warnings():
            # pandas only warns of a first row that is longer than the header.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            # Only the Python engine tells an empty value from one that is missing.
            table = pandas.read_csv(StringIO(text), **how)
    except (ValueError, pandas.errors.ParserWarning) as error:  # a ParserError names the line
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error
    header = text.splitlines()[0]
    names = [name.strip() for name in (header.split(separator) if len(separator) == 1 else header.split())]
    if Path(names[0]).suffix.lower() in SUFFIXES and {*map(plain, names[1:])} <= {*VALUES}:
        raise ValueError(f"{path} has no header: its first line is the row of {names[0]}")
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise ValueError(f"{path} names the column {min(twice)!r} twice")
    table.columns = [name.strip() for name in table.columns]
    return table


def _without_extras(table: pandas.DataFrame) -> pandas.DataFrame:
    """The same without spaces around values, empty rows, empty columns that have no name, and an index that
    pandas wrote."""
    table = table.apply(lambda column: column.str.strip())
    table = table[(table != "").any(axis=1)].reset_index(drop=True)
    unnamed = [name for name in table if name.startswith("Unnamed:")]
    table = table.drop(columns=[name for name in unnamed if (table[name] == "").all()])
    first, *others = table.columns
    is_index = (first in unnamed or first.lower() == "index") and table[first].str.fullmatch(r"\d+").all()
    # An index stands before the names of the pictures. Before labels it is a name itself.
    if is_index and others and not {*map(plain, table[others[0]])} <= {*VALUES}:
        table = table.drop(columns=first)
    return table


def plain(word: str) -> str:
    """A value in its plainest spelling: "+1" and "1.00" are "1"."""
    word = word.strip().lower().replace("\u2212", "-").lstrip("+")
    return re.sub(r"[.,]0*$", "", word) if re.fullmatch(r"-?\d+[.,]0*", word) else word


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
            known = [column for column in table if column]  # "": see `Folder._labelled`
            said = f"{path} has no column {name!r}: did you mean {nearest(name, known)!r}?"
            raise ValueError(f"{said} Its columns are {', '.join(known)}")
        if not LABEL.fullmatch(name):
            allowed = "1 to 60 of A-Z, a-z, 0-9, spaces and _.,&+'()-"
            raise ValueError(f"{path}: the label {name!r} may have {allowed}")
        codes, words = pandas.factorize(table[name])
        words = [plain(word) for word in words]
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
