"""Reports of a run made by hand."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

import engine
from engine.cli.main import main
from engine.core import formats
from engine.core.checksums import write_record
from engine.core.store import HOME_VARIABLE
from engine.images.pictures import pictures_in
from engine.networks.source import PreprocessOrigin
from engine.reporting.picture_cards import picture_card
from engine.reporting.report import Report
from engine.reporting.text.layers import layers_headline
from engine.runs.manifest import FILE_NAME
from engine.runs.results import layers_file, load_latency
from engine.runs.run import KITS, LATENCY, Run
from tests.helpers.factories import latency
from tests.helpers.tiny_quantized import healthy
from tests.helpers.tiny_run import tiny_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run with stored timings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("store")))
        folder = tmp_path_factory.mktemp("made")
        run = tiny_run(folder / "tiny")
        (run.folder / LATENCY).mkdir()
        timed = latency({"original": 9.0, "float32": 8.0, "int8": 4.0})
        (run.folder / LATENCY / "threads-1.json").write_bytes(msgspec.json.encode(timed))
        photos = folder / "photos"
        photos.mkdir()
        rng = np.random.default_rng(3)
        for index in range(3):
            pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / f"<b>photo & {index}.png")
        origin = PreprocessOrigin(how="assumed", assumed=("mean",))
        (run.folder / FILE_NAME).write_bytes(
            replace(run.manifest, preprocess_origin=origin).to_json()
        )
        engine.compare(run, photos)
        return Run.open(run.folder), photos


@pytest.fixture
def report(made: tuple[Run, Path]) -> Report:
    return engine.report(*made)


def test_the_page_says_who_determined_the_preprocessing(report: Report) -> None:
    words = "Preprocessing not confirmed by anybody; assumed: mean 0.485, 0.456, 0.406."
    assert words in report.to_html()


class Attributes(HTMLParser):
    """Every address that a page names, and what its tables show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "data", "poster", "srcset"} and value is not None:
                self.addresses.append(value)


def test_the_page_names_no_address_outside_itself(report: Report) -> None:
    found = Attributes(report.to_html())
    assert len(found.addresses) > 10
    outside = [a for a in found.addresses if not a.startswith(("#", "data:"))]
    assert outside == []
    assert {"iframe", "object", "embed", "link", "base"}.isdisjoint(found.tags)


def test_its_figures_are_those_of_compare(
    report: Report, made: tuple[Run, Path], tmp_path: Path
) -> None:
    run, photos = made
    page = report.to_html()
    (script,) = re.findall(r'id="report-data">(.*?)</script>', page, re.DOTALL)
    timed = load_latency(run)
    assert json.loads(script)["comparison"] == engine.compare(run, photos, latency=timed).to_dict()
    file = tmp_path / "compare.json"
    arguments = ["--run", str(run.folder), "--images", str(photos), "--json", str(file)]
    assert main(["compare", *arguments]) == 0
    compared = json.loads(file.read_text())
    for name, figures in compared["variants"].items():
        (row,) = re.findall(rf'<tr data-variant="{name}">(.*?)</tr>', page, re.DOTALL)
        cells = re.findall(r"<td>(.*?)</td>", row)
        assert formats.logits(figures["logit_rms"]) in cells
        assert formats.megabytes(figures["bytes"]) in cells
        assert f"{3 - figures['flip_count']} of 3" in cells
        shown = json.loads(script)["comparison"]["variants"][name]
        assert {k: v for k, v in shown.items() if "latency" not in k} == {
            k: v for k, v in figures.items() if "latency" not in k
        }


def test_names_of_pictures_are_text(report: Report) -> None:
    page = report.to_html()
    assert "<b>photo" not in page
    assert "&lt;b&gt;photo &amp; 0.png" in page


def test_it_is_small_and_has_every_picture_and_plot(report: Report) -> None:
    page = report.to_html()
    found = Attributes(page)
    assert len(page.encode()) < 6_000_000
    assert found.tags.count("article") == 3
    for key in ("trade-off", "margins-int8", "scatter-int8", "differences", "operators", "steps"):
        assert f'id="{key}"' in page
    assert page.count('class="variant"') == 2


def test_answers_that_agree_are_folded_and_others_are_not(made: tuple[Run, Path]) -> None:
    evaluation = engine.report(*made).evaluation
    card = picture_card(evaluation, 0)
    flipped = replace(card.answers[2], state="flipped")
    changed = replace(card, answers=(*card.answers[:2], flipped))
    assert [answer.column for answer in card.agreeing] == ["float32", "int8"]
    assert card.differing == ()
    assert [answer.column for answer in changed.agreeing] == ["float32"]
    assert changed.differing == (flipped,)
    page = engine.report(*made).to_html()
    assert page.count("<summary>2 agree</summary>") == 3


def test_json_and_csv(made: tuple[Run, Path], tmp_path: Path) -> None:
    run, photos = made
    out, plain, table = (tmp_path / name for name in ("r.html", "r.json", "r.csv"))
    arguments = ["--run", str(run.folder), "--images", str(photos)]
    files = ["--out", str(out), "--json", str(plain), "--csv", str(table)]
    assert main(["report", *arguments, *files]) == 0
    assert out.read_text().startswith("<!doctype html>")
    held = json.loads(plain.read_text())
    assert held["against"] is None
    assert held["latency"]["entries"][1]["median_ms"] == 8.0
    header, *rows = table.read_text().splitlines()
    assert header.startswith("run,variant,top1_agreement")
    assert [row.split(",")[:2] for row in rows] == [["tiny", "float32"], ["tiny", "int8"]]


def test_two_runs(made: tuple[Run, Path], tmp_path: Path) -> None:
    run, photos = made
    other = tmp_path / "older"
    shutil.copytree(run.folder, other)
    found = engine.report(run, photos, against=other)
    page = found.to_html()
    assert "No difference found between tiny and older in two variants" in page
    assert "+0.000" in page
    assert found.to_dict()["against"]["run"] == "older"
    assert len(found.to_csv().splitlines()) == 5


def test_accuracy_is_shown_where_there_are_labels(made: tuple[Run, Path], tmp_path: Path) -> None:
    run, photos = made
    labels = tmp_path / "labels.csv"
    rows = "".join(f"<b>photo & {index}.png,0\n" for index in range(3))
    labels.write_text("filename,class_index\n" + rows)
    page = engine.report(run, photos, labels_csv=labels).to_html()
    assert re.search("The original is right on [0-3] of 3 labelled pictures", page)


def test_layers_are_a_map_with_the_worst_named(made: tuple[Run, Path], tmp_path: Path) -> None:
    before, photos = made
    run = Run.open(shutil.copytree(before.folder, tmp_path / "mapped"))
    assert 'id="layers"' not in engine.report(run, photos).to_html()
    errors = replace(healthy().errors(), run="mapped", variant="int8", pictures=3)
    write_record(layers_file(run, "int8", pictures_in(photos)), errors)
    page = engine.report(run, photos).to_html()
    section = page.partition('<section id="layers">')[2].partition('<section id="cost">')[0]
    assert "<details open>" in section
    assert escape(layers_headline(errors)) in section
    assert section.count('style="--level:') == len(errors.layers) == 4
    assert section.count("<li value=") == 3
    assert 'id="layers-int8"' in section


def test_kits_are_named_with_their_checksum(made: tuple[Run, Path], tmp_path: Path) -> None:
    before, photos = made
    run = Run.open(shutil.copytree(before.folder, tmp_path / "shipped"))
    (run.folder / KITS).mkdir()
    (run.folder / KITS / "int8-1.zip").write_bytes(b"kit")
    page = engine.report(run, photos).to_html()
    assert f">{hashlib.sha256(b'kit').hexdigest()}<" in page
    assert str(Path.home()) not in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no file to write"),
        (["--out", "/nowhere/r.html"], "Writing /nowhere/r.html"),
        (["--out", "r.html", "--agreement", "1.5"], "a share of 0 to 1"),
        (["--out", "r.html", "--against", "/nowhere"], "no manifest.json"),
    ],
)
def test_mistakes_are_sentences(
    made: tuple[Run, Path],
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, photos = made
    monkeypatch.chdir(tmp_path)
    code = main(["report", "--run", str(run.folder), "--images", str(photos), *arguments])
    assert code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
