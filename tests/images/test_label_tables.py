from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import LabelsError
from engine.images.labels import label_of, read_labels, unique_labels


def test_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcat\r\nhound dog\r\n".encode())
    assert read_labels(file, 2) == ("cat", "hound dog")


@pytest.mark.parametrize(
    "content",
    [
        "cat\rno\rtench, Tinca tinca\r",
        '["cat", "no", "tench, Tinca tinca"]',
        '\ufeff {"2": "tench, Tinca tinca", "0": "cat", "1": "no"}',
        '{"0": ["n01", "cat"], "1": ["n02", "no"], "2": ["n03", "tench, Tinca tinca"]}',
        '{"architectures": [], "id2label": {"0": "cat", "1": "no", "2": "tench, Tinca tinca"}}',
        'index,name\n1,no\n0,cat\n2,"tench, Tinca tinca"\n',
        "Class_Name;Class_ID\r\ncat;0\r\nno;1\r\ntench, Tinca tinca;2\r\n",
        "path: data\nnames:\n  0: cat\n  1: no\n  2: tench, Tinca tinca\n",
        "names: [cat, no, 'tench, Tinca tinca']\nnc: 3\n",
        "names:\n- cat\n- no\n- tench, Tinca tinca\n",
    ],
)
def test_lines_and_tables_give_the_same_names(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels"
    file.write_bytes(content.encode())
    assert read_labels(file, 3) == ("cat", "no", "tench, Tinca tinca")


def test_lines_that_only_look_like_a_table(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("[background]\ntench, Tinca tinca\nname, index of\n")
    assert read_labels(file, 3) == ("[background]", "tench, Tinca tinca", "name, index of")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('["a", "b"]', "2 names"),
        ('["a", "b", ""]', "name 3 of them empty"),
        ('["a", "b", 3]', "'3' where a name belongs"),
        (r'["a", "b", "c\u0000"]', "control character"),
        ('{"1": "a", "2": "b", "3": "c"}', "not 0 to 2"),
        ('{"0": "a", "1": "b", "1": "c", "2": "d"}', "twice"),
        ('{"0": "a", "00": "b", "1": "c"}', "not 0 to 2"),
        ('{"a": 0, "b": 1, "c": 2}', "'a' where an index belongs"),
        ('{"0": "a",', "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("names: &a [x, y]\nmore: *a\n", "aliases"),
        ("names: " + "[" * 100, "nested too deeply"),
        ("names: [a, b\nc: d", "no YAML"),
        ("names:\n  0: a\n  0: b\n  1: c\n  2: d\n", "twice"),
        ("names:\n- a\n" + "#" * 1_000_001, "more than 1 million"),
        ("index,name\n0,a\n1,b\n", "2 names"),
        ("index,name\n0,a\n1,b\n1,c\n", "twice"),
        ("index,name\n0,tench, Tinca\n", "line 2 with 3 of 2 columns"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, content: str, found: str) -> None:
    file = tmp_path / "labels"
    file.write_text(content)
    with pytest.raises(LabelsError, match=found):
        read_labels(file, 3)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a\nb\n", "2 lines"),
        (b"a\n\nb\n", "line 2 of them empty"),
        (b"\xff\xfea", "UTF-16"),
        (b"\xe4", "UTF-8"),
        (b"a\x1b[2J\nb", "control"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(LabelsError, match=found):
        read_labels(file, 3)


def test_without_labels() -> None:
    assert label_of(None, 17) == "class 17"
    assert label_of(("a", "b"), 1) == "b"
    assert (label_of(("cat",), 0), label_of(("cat",), 1)) == ("not cat", "cat")


def test_names_to_choose_by_are_unique() -> None:
    assert unique_labels(("crane", "cat", "crane"), 3) == ("crane (0)", "cat", "crane (2)")
    assert unique_labels(None, 2) == ("class 0", "class 1")
    assert unique_labels(None, 1) == ("class 0", "class 1")
    assert unique_labels(("cat",), 1) == ("not cat", "cat")
