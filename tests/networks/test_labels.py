from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import LabelsError
from engine.networks.labels import label_of, read_labels, unique_labels


def test_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcat\r\nhound dog\r\n".encode())
    assert read_labels(file, 2) == ("cat", "hound dog")


@pytest.mark.parametrize(
    "content",
    [
        "cat\rhound dog\r",
        '["cat", "hound dog"]',
        '{"1": "hound dog", "0": "cat"}',
        '{\n"0": ["n01", "cat"],\n"1": ["n02", "hound dog"]\n}\n',
    ],
)
def test_old_line_ends_and_json(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels"
    file.write_bytes(content.encode())
    assert read_labels(file, 2) == ("cat", "hound dog")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a\nb\n", "2 lines"),
        (b"a\n\nb\n", "line 2 of them empty"),
        (b"\xff\xfea", "UTF-16"),
        (b"\xe4", "UTF-8"),
        (b"a\x1b[2J\nb", "control"),
        (b'["a", "b"]', "2 lines"),
        (b"[" * 100_000, "1 lines"),
        (b'["a", "b\\u001b[2J", "c"]', "1 lines"),
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
