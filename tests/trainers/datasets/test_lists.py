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
    "Excel's first line": ("sep=;\n" + CSV.replace(",", ";")).encode(),
    "separators at the ends": CSV.replace("\n", ",\n").encode(),
    "empty columns": CSV.replace("\n", ",,\n").encode(),
    "rows of separators": (CSV + ",,\n,,\n").encode(),
    "bars": CSV.replace(",", "|").encode(),
    "line ends of old Macs": CSV.replace("\n", "\r").encode(),
    "UTF-16 without its mark": CSV.encode("utf-16-le"),
    "UTF-16 the other way round": CSV.encode("utf-16-be"),
    "a comment": ("# made by hand, in May\n#\n" + CSV).encode(),
    "a header as a comment": ("# " + CSV).encode(),
    "spaces at the ends": CSV.replace(",", " , ").replace("\n", " \n").encode(),
    "single quotes": ("'file','Beard','Tattoo'\n" + rows({1: "'1'", 0: "'0'", 255: "''"})).encode(),
    "yes and no": ("file,Beard,Tattoo\n" + rows({1: "Yes", 0: "no", 255: "NA"})).encode(),
    "y and n": ("file,Beard,Tattoo\n" + rows({1: "Y", 0: "n", 255: "?"})).encode(),
    "t and f": ("file,Beard,Tattoo\n" + rows({1: "T", 0: "F", 255: "None"})).encode(),
    "on and off": ("file,Beard,Tattoo\n" + rows({1: "on", 0: "off", 255: "unknown"})).encode(),
    "signs and more decimals": ("file,Beard,Tattoo\n" + rows({1: "+1", 0: "0.00", 255: "n/a"})).encode(),
    "decimals with commas": ("file;Beard;Tattoo\n" + rows({1: "1,0", 0: "0,0", 255: "-"}, ";")).encode(),
    "a true minus": ("file,Beard,Tattoo\n" + rows({1: "1", 0: "\u22121", 255: "null"})).encode(),
    "an index after sorting": (
        ",file,Beard,Tattoo\n"
        + "".join(f"{7 - 2 * i},{row}\n" for i, row in enumerate(rows(ZERO).splitlines()))
    ).encode(),
    "a named index": (
        "index,file,Beard,Tattoo\n" + "".join(f"{i},{row}\n" for i, row in enumerate(rows(ZERO).splitlines()))
    ).encode(),
    "CelebA's without the number of rows": (
        "Beard Tattoo\n" + rows({1: " 1", 0: "-1", 255: "nan"}, " ")
    ).encode(),
    "CelebA's with a name for the first column": (
        "4\r\nfile Beard Tattoo\r\n" + rows({1: " 1", 0: "-1", 255: "nan"}, " ")
    ).encode(),
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


def test_names_of_windows_own_code_are_read(tmp_path):
    (tmp_path / "list.csv").write_bytes("file,A\nMüller.jpg,1\n".encode("cp1252"))
    assert read_list(tmp_path / "list.csv").iloc[0, 0] == "Müller.jpg"


def test_an_index_that_names_the_pictures_stays(tmp_path):
    (tmp_path / "list.csv").write_text("index,A\n7,1\n8,0\n")
    assert list(read_list(tmp_path / "list.csv")["index"]) == ["7", "8"]


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
    "no text": (b"file,A\n\x81\x8d.jpg,1\n", "no text in UTF-8, UTF-16 or Windows-1252"),
    "zeros": (b"file,A\n1.jpg,1\n" + bytes(10), "no text in UTF-8|has no column"),
    "no header": ("1.jpg,1,0\n2.jpg,0,1\n", "has no header: its first line is the row of 1.jpg"),
    "no header, equal values": ("1.jpg,1,1\n2.jpg,0,1\n", "its first line is the row of 1.jpg"),
    "a workbook": (b"PK\x03\x04\x14\0", "is an Excel workbook or another archive, .*: save it as CSV"),
    "JSON": ('[{"file": "1.jpg", "A": 1}]', "is JSON, expected a list as text"),
    "a web page": ("<!DOCTYPE html>\n<title>A", "is a web page or XML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_refused_with_its_row(tmp_path, name):
    text, words = BAD[name]
    path = tmp_path / "labels"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words) as refusal:
        read(path)
    assert "labels" in str(refusal.value)
