from __future__ import annotations

import pytest

from engine.core.formats import all_of, join_names, number, spell_count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "No pictures"), (1, "One picture"), (9, "Nine pictures"), (14, "14 pictures")],
)
def test_counted(count: int, text: str) -> None:
    assert spell_count(count, "picture") == text


def test_words_within_a_sentence() -> None:
    assert [number(0), number(3), number(10)] == ["no", "three", "10"]
    assert join_names(["a"]) == "a"
    assert join_names(["a", "b", "c"]) == "a, b and c"
    assert [all_of(1, "picture"), all_of(3, "picture")] == ["the one picture", "all 3 pictures"]
