from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from engine.core.errors import LabelsError
from engine.core.files import escape_formula, escape_formulas
from engine.images.labels import labels_from_csv, labels_from_folders


def table(folder: Path, text: str) -> Path:
    (folder / "l.csv").write_bytes(text.encode())
    return folder / "l.csv"


def test_by_name_then_by_file_name(tmp_path: Path) -> None:
    csv = table(tmp_path, "\ufefffilename,class_index,class_name\na.jpg,1,x\nd/b.jpg,2,y\n")
    assert labels_from_csv(csv, ["a.jpg", "d/b.jpg", "e/a.jpg", "c.jpg"], 3).tolist() == [
        1,
        2,
        1,
        -1,
    ]


@pytest.mark.parametrize(
    "row", ["/data/test/{}/1.jpg", "C:\\data\\{}\\1.jpg", "{}\\1.jpg", "{}/1.jpg"]
)
def test_rows_with_whole_paths(tmp_path: Path, row: str) -> None:
    csv = table(tmp_path, f"filename,class_index\n{row.format('a')},1\n{row.format('b')},2\n")
    assert labels_from_csv(csv, ["a/1.jpg", "b/1.jpg", "c/1.jpg"], 3).tolist() == [1, 2, -1]


@pytest.mark.parametrize(
    ("rows", "names"),
    [("1.jpg,1\n", ["a/1.jpg", "b/1.jpg"]), ("a/1.jpg,1\nb/1.jpg,2\n", ["1.jpg"])],
)
def test_one_row_for_several_pictures_is_refused(
    tmp_path: Path, rows: str, names: list[str]
) -> None:
    csv = table(tmp_path, f"filename,class_index\n{rows}")
    with pytest.raises(LabelsError, match="one row a picture"):
        labels_from_csv(csv, names, 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "l.csv"
    file.write_bytes("filename,class_index\ngrün.jpg,2\n".encode(encoding))
    assert labels_from_csv(file, ["grün.jpg"], 3).tolist() == [2]


def test_formulas_are_defused() -> None:
    assert [escape_formula(text) for text in ("=cmd|' /C calc'!A0", "+1", "-x", "@a", "tabby")] == [
        "'=cmd|' /C calc'!A0",
        "'+1",
        "'-x",
        "'@a",
        "tabby",
    ]


def test_tables_are_defused() -> None:
    table = pd.DataFrame({"@model": ["=1+1", "tabby"], "rms": [-1.5, 2.0]})
    text = escape_formulas(table).to_csv(index=False)
    assert text == "'@model,rms\n'=1+1,-1.5\ntabby,2.0\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name,label\na.jpg,1\n", "the columns name, label"),
        ("filename,class_index\na.jpg,3\n", "line 2"),
        ("filename,class_index\na.jpg,x\n", "line 2"),
        ("filename,class_index\na.jpg,1\na.jpg,2\n", "line 3"),
        ("filename,class_index\nother.jpg,1\n", "no row of l.csv"),
        ("", "the columns none"),
        ("filename,class_index,filename\na.jpg,1,b.jpg\n", "a column twice"),
        ("filename,class_index\na.jpg,1_0\n", "line 2"),
        ("filename,class_index\na.jpg,\u0661\n", "line 2"),
        ("filename,class_index\na.jpg\n", "line 2"),
        ('filename,class_index\n"a.jpg"x,1\n', "which is no CSV"),
        ("filename,class_index\na\x00.jpg,1\n", "control character"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(LabelsError, match=found):
        labels_from_csv(table(tmp_path, text), ["a.jpg"], 3)


def test_class_names_stand_for_indices(tmp_path: Path) -> None:
    answers = ("Egyptian cat", "tiger cat", "crane", "crane")
    rows = "filename,class_index,class_name\na.jpg,,tiger_cat\nb.jpg,0,whatever\nc.jpg,,\n"
    file = table(tmp_path, rows)
    read = labels_from_csv(file, ["a.jpg", "b.jpg", "c.jpg"], 4, answers)
    assert read.tolist() == [1, 0, -1]
    names = table(tmp_path, "filename,class_name\na.jpg,EGYPTIAN CAT\n")
    assert labels_from_csv(names, ["a.jpg"], 4, answers).tolist() == [0]
    for row, given in (("crane", answers), ("dog", answers), ("tiger cat", None)):
        wrong = table(tmp_path, f"filename,class_name\na.jpg,{row}\n")
        with pytest.raises(LabelsError, match=f"line 2 of .*'{row}'"):
            labels_from_csv(wrong, ["a.jpg"], 4, given)


def labelled(folder: Path, rows: str, *names: str) -> list[int]:
    file = table(folder, "filename,class_index\n" + rows)
    return [int(label) for label in labels_from_csv(file, names, 4)]


@pytest.mark.parametrize(
    "rows",
    [
        "cat\\1.jpg,0\ndog\\1.jpg,1\n",
        "C:\\photos\\cat\\1.jpg,0\nC:\\photos\\dog\\1.jpg,1\n",
        "/data/cat/1.jpg,0\n/data/dog/1.jpg,1\n",
        "./cat/1.jpg,0\n./dog/1.jpg,1\n",
    ],
)
def test_rows_of_other_machines_are_matched_by_their_tail(tmp_path: Path, rows: str) -> None:
    assert labelled(tmp_path, rows, "dog/1.jpg", "cat/1.jpg", "hen/1.jpg") == [1, 0, -1]


def test_a_path_in_the_table_matches_a_file_name(tmp_path: Path) -> None:
    assert labelled(tmp_path, "test\\a.jpg,0\n/data/b.jpg,1\n", "b.jpg", "a.jpg") == [1, 0]


def test_a_row_that_fits_two_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"the row 1\.jpg of l\.csv for a/1\.jpg and b/1\.jpg"):
        labelled(tmp_path, "1.jpg,3\n", "a/1.jpg", "b/1.jpg")
    assert labelled(tmp_path, "1.jpg,3\na/1.jpg,2\n", "a/1.jpg", "b/1.jpg") == [2, 3]


def test_rows_that_differ_on_a_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"the rows a/1\.jpg and b/1\.jpg of l\.csv for 1\.jpg"):
        labelled(tmp_path, "a/1.jpg,0\nb/1.jpg,1\n", "1.jpg")
    assert labelled(tmp_path, "a/1.jpg,1\nb/1.jpg,1\n", "1.jpg") == [1]


def test_a_folder_that_is_an_index_and_the_name_of_another_class_is_refused() -> None:
    with pytest.raises(LabelsError, match="the index of class 1 and the name of class 0"):
        labels_from_folders(["1/a.jpg"], ("1", "2", "3"), 3)
    assert labels_from_folders(["0/a.jpg", "1/a.jpg"], ("0", "1"), 2).tolist() == [0, 1]


def test_folders_by_index_or_name() -> None:
    labels = ("tabby", "hound dog", "crane", "crane")
    names = ["0/a.jpg", "Hound_Dog/b.jpg", "x/tabby/c.jpg"]
    assert labels_from_folders(names, labels, 3).tolist() == [0, 1, 0]
    with pytest.raises(LabelsError, match=r"more than one class.*index, such as 2"):
        labels_from_folders(["crane/a.jpg"], labels, 4)
    for wrong in ("a.jpg", "lion/a.jpg", "3/a.jpg"):
        with pytest.raises(LabelsError, match="one folder a class"):
            labels_from_folders([wrong], labels, 3)
