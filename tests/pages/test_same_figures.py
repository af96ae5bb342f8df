"""Pages and report show the same figures: read out of both, and held against each other."""

from __future__ import annotations

import html
import re
from pathlib import Path

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

import engine
from engine.comparison.recommendation import candidates, recommend
from engine.core import formats
from engine.reporting.report import Report
from engine.reporting.text.opportunities import find_opportunities
from engine.runs.run import LATENCY, Run
from tests.helpers.factories import latency
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened
from tests.pages.test_slices import FOLDER, in_html
from tests.pages.test_stage import coarsen

KIND = "brightness"
TILE = (
    r'class="{name}">\s*<(?:small|span)[^>]*>(.*?)</(?:small|span)>\s*<strong>(.*?)</strong>'
    r"\s*<(?:small|span)[^>]*>(.*?)</"
)


@pytest.fixture
def run(own_store: Path) -> Run:
    """A run that is timed, whose int8 changes answers."""
    made = tiny_run(own_store / "runs" / "tiny")
    coarsen(made)
    (made.folder / LATENCY).mkdir()
    timed = latency({"original": 9.0, "float32": 5.0, "int8": 2.0})
    (made.folder / LATENCY / "threads-1.json").write_bytes(msgspec.json.encode(timed))
    return Run.open(made.folder)


@pytest.fixture
def labelled(photos: Path) -> Path:
    rows = [f"photo_{number}.png,{number},night" for number in range(5)]
    (photos / "labels.csv").write_text("\n".join(["filename,class_index,tag", *rows]) + "\n")
    return photos


@pytest.fixture
def report(run: Run, labelled: Path) -> Report:
    """A report with all that it can have of this run."""
    engine.robustness(run, labelled, changes=[KIND])
    return engine.report(run, labelled, labels_csv=labelled / "labels.csv")


def page(stem: str, folder: Path, **state: object) -> AppTest:
    chosen = {"pictures_source": FOLDER, "pictures_folder": str(folder)}
    test = opened(ROOT / "pages" / "dashboard" / f"{stem}.py", **chosen, **state)
    assert not test.exception
    return test


def tiles(markup: str, name: str) -> list[tuple[str, ...]]:
    """Title, figure and detail of the tiles in a page or a report."""
    found = re.findall(TILE.format(name=name), markup, re.DOTALL)
    return [tuple(html.unescape(text).strip() for text in tile) for tile in found]


def words(test: AppTest) -> str:
    """All texts of a page, as they are read."""
    texts = (*test.title, *test.header, *test.markdown, *test.caption)
    return " ".join(text.value for text in texts).replace("\\", "")


def cells(test: AppTest) -> list[str]:
    """All cells of the tables of a page."""
    return [str(cell) for frame in test.dataframe for cell in frame.value.to_numpy().ravel()]


def test_result_and_the_report_decide_alike(report: Report, labelled: Path) -> None:
    written, test = html.unescape(report.to_html()), page("overview", labelled)
    shown = tiles(in_html(test), "o-tile")
    assert [title for title, *_ in shown] == ["Size", "Latency", "Same answers", "Right answers"]
    assert shown == tiles(report.to_html(), "tile")
    assert f"<h1>{test.title[0].value.replace(chr(92), '')}.</h1>" in written
    (chip,) = re.findall(r'<span class="chip \w+">(.*?)</span>', written)
    assert chip in words(test)
    for row in re.findall(r"<tr><th[^>]*>(.*?)</tr>", in_html(test), re.DOTALL):
        for figure in re.findall(r"<td>(.*?)</td>", row, re.DOTALL):
            assert html.unescape(figure).partition(" <b")[0] in written
    assert all(cell in written for cell in cells(test))
    choice = recommend(candidates(report.comparison), report.need)
    offered = find_opportunities(report.evaluation.run, report.comparison, choice).offered
    assert offered
    assert all(f"{item.gain}. {item.cost}." in words(test) for item in offered)


def test_right_answers_speed_and_sizes_are_those_of_the_report(
    report: Report, labelled: Path
) -> None:
    comparison = report.comparison
    shown = cells(page("accuracy", labelled))
    accuracies = [comparison.reference_accuracy, *(v.accuracy for v in comparison.variants)]
    for accuracy in accuracies:
        assert accuracy is not None
        assert formats.count_or_percent(accuracy.top1, accuracy.pictures) in shown
        assert formats.interval(accuracy.top1_interval) in shown
    speed = page("latency_and_size", labelled)
    (headline,) = [title.value for title in speed.title]
    held = report.to_dict()["comparison"]["variants"]
    faster = held["float32"]["latency_ms"] / held["int8"]["latency_ms"]
    assert f"{faster:.1f}" in headline


def test_flips_and_robustness_are_those_of_the_report(report: Report, labelled: Path) -> None:
    state = {"changed_section": True, "changed_what": "All pictures", "changed_kind": KIND}
    test = page("predictions", labelled, **state)
    headers = [each.value.replace("\\", "") for each in test.header]
    (headline,) = [header for header in headers if header.lower().startswith(f"at {KIND}")]
    written = html.unescape(report.to_html())
    assert headline in written
    assert test.title[0].value.replace("\\", "") in written
    changed = {flip.index for side in report.comparison.variants for flip in side.flips}
    assert changed, "the tiny run has lost its changed answers"
    assert f"Flips only ({len(changed)})" in [toggle.label for toggle in test.toggle]
