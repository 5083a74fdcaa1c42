"""Lists of labels in the spellings that people use; what is wrong in one is said with its row."""

import numpy as np
import pytest

from trainers.datasets.lists import labels_of, read_list, tidy
from trainers.shards import UNKNOWN

NAMES = ("Beard", "Tattoo")
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, UNKNOWN]], np.uint8)
FILES = [f"{i:05d}.jpg" for i in range(4)]


def rows(values: dict[int, str], separator=",") -> str:
    return "".join(
        separator.join([file, *(values[value] for value in row)]) + "\n"
        for file, row in zip(FILES, LABELS.tolist(), strict=True)
    )


ZERO, MINUS, WORDS = {1: "1", 0: "0", 255: ""}, {1: "1", 0: "-1", 255: ""}, {1: "True", 0: "False", 255: ""}
CSV = "file,Beard,Tattoo\n" + rows(ZERO)
SPELLINGS = {
    "commas": CSV.encode(),
    "semicolons": CSV.replace(",", ";").encode(),
    "tabs": CSV.replace(",", "\t").encode(),
    "UTF-16": CSV.encode("utf-16"),
    "a byte order mark": CSV.encode("utf-8-sig"),
    "line ends of Windows": CSV.replace("\n", "\r\n").encode(),
    "spaces after commas": CSV.replace(",", ", ").encode(),
    "true and false": ("file,Beard,Tattoo\n" + rows(WORDS)).encode(),
    "minus one": ("file,Beard,Tattoo\n" + rows(MINUS)).encode(),
    "decimals": ("file,Beard,Tattoo\n" + rows({1: "1.0", 0: "0.0", 255: "nan"})).encode(),
    "quotes": ('"file","Beard","Tattoo"\n' + rows({1: '"1"', 0: '"0"', 255: '""'})).encode(),
    "an index of pandas": (
        ",file,Beard,Tattoo\n" + "".join(f"{i},{row}\n" for i, row in enumerate(rows(ZERO).splitlines()))
    ).encode(),
    "CelebA's": ("4\nBeard Tattoo \n" + rows({1: " 1", 0: "-1", 255: "nan"}, " ")).encode(),
    "empty lines": CSV.replace("\n", "\n\n").encode(),
}


def read(path):
    table = read_list(path)
    return labels_of(table, tuple(table.columns[1:]), path)


@pytest.mark.parametrize("name", SPELLINGS)
def test_all_spellings_of_a_list_mean_the_same(tmp_path, name):
    path = tmp_path / "labels"
    path.write_bytes(SPELLINGS[name])
    table = read_list(path)
    assert tuple(table.columns[1:]) == NAMES and list(table.iloc[:, 0]) == FILES
    assert np.array_equal(labels_of(table, NAMES, path), LABELS)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("sub\\1.jpg", "sub/1.jpg"),
        ("./1.jpg", "1.jpg"),
        ("a//b/1.jpg", "a/b/1.jpg"),
        ("Zoe\u0308.png", "Zo\u00eb.png"),
    ],
)
def test_names_have_one_spelling(name, same):
    assert tidy(name) == tidy(same) == same


BAD = {
    "empty": ("", "has 0 lines"),
    "no list": ("hello\nworld\n", "no column of labels"),
    "rows missing": ("3\nA B\n1.jpg 1 1\n2.jpg 1 1\n", "has 3 rows, but it has 2"),
    "a value missing": ("2\nA B\n1.jpg 1 1\n2.jpg 1\n", "the row of 2.jpg has fewer values"),
    "a value too many": ("file,A\n2.jpg,1\n1.jpg,1,0\n", "Expected 2 fields in line 3, saw 3"),
    "a value too many at first": ("file,A\n1.jpg,1,0\n2.jpg,1,0\n", "Length of header"),
    "a word": ("file,A\n1.jpg,1\n2.jpg,red\n", "A of 2.jpg is 'red', expected 1 or 0"),
    "a probability": ("file,A\n1.jpg,0.7\n", "A of 1.jpg is '0.7'"),
    "another number": ("1\nA\n1.jpg 2\n", "A of 1.jpg is '2'"),
    "both codings": ("file,A\n1.jpg,0\n2.jpg,-1\n", "A has both 0 and -1"),
    "a label twice": ("file,A,A\n1.jpg,1,1\n", "names the column 'A' twice"),
    "a name with a path": ("file,../A\n1.jpg,1\n", "the label '../A'"),
    "a label without a name": ("file,\n1.jpg,1\n", "the label"),
    "not UTF-8": (b"file,A\nM\xfcller.jpg,1\n", "no text in UTF-8 or UTF-16"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_refused_with_its_row(tmp_path, name):
    text, words = BAD[name]
    path = tmp_path / "labels"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words) as refusal:
        read(path)
    assert "labels" in str(refusal.value)
