"""Six entries, and every page under one of them."""

from __future__ import annotations

from pages.shell.navigation import (
    CHAPTERS,
    ENTRIES,
    NEW_RUN,
    STORY,
    chapter_named,
    entry_of,
)


def test_six_entries_hold_all_pages_once() -> None:
    titles = [entry.title for entry in (NEW_RUN, *ENTRIES)]
    assert titles == ["New run", "Result", "Pictures", "Numbers", "Improve", "Ship"]
    under = [chapter for entry in (*ENTRIES, NEW_RUN) for chapter in entry.chapters]
    assert under == list(CHAPTERS)
    assert len({chapter.stem for chapter in CHAPTERS}) == len(CHAPTERS) == 12


def test_a_conversion_is_no_chapter_of_the_story() -> None:
    (convert,) = NEW_RUN.chapters
    assert convert not in STORY
    assert STORY[0] == CHAPTERS[0] == chapter_named("Overview")


def test_a_page_is_found_under_its_entry() -> None:
    assert entry_of(chapter_named("Calibration")).title == "Improve"
    assert entry_of(chapter_named("Details")).title == "Ship"
    assert entry_of(chapter_named("Convert")) == NEW_RUN
