"""The page Layers and the command, with a run made by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.core.checksums import write_record
from engine.portability.catalog import target_named
from engine.portability.records import Answer
from engine.runs.manifest import FILE_NAME
from engine.runs.run import LAYERS, WORK, Run
from engine.tasks.targets import answer_file
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened

PAGE = ROOT / "pages" / "dashboard" / "layers.py"


@pytest.fixture
def run(own_store: Path) -> Run:
    made = tiny_run(own_store / "runs" / "tiny")
    (made.folder / WORK).mkdir()
    shutil.copyfile(made.file("float32"), made.folder / WORK / "float32.tflite")
    return made


def test_the_page_measures_and_keeps_what_it_found(run: Run) -> None:
    test = opened(PAGE)
    assert not test.exception
    assert "int8" in test.title[0].value
    assert len(list((run.folder / LAYERS).glob("int8-*.json"))) == 1
    table = next(t.value for t in test.dataframe if "on its own, dB" in t.value.columns)
    assert list(table["operator"]) == ["reshape 0"]
    assert "cycles" not in table.columns
    npu = target_named("ethos-u55-256")
    write_record(
        answer_file(run, "int8", npu), Answer(support="whole", operators=1, cycles={0: 164_434.0})
    )
    test.session_state["qlab_target"] = npu.name
    test.run()
    assert not test.exception
    table = next(t.value for t in test.dataframe if "on its own, dB" in t.value.columns)
    assert list(table["cycles"]) == ["164,434"]
    # Beside name and cause, where nobody has to scroll to it.
    assert list(table.columns).index("cycles") == 2
    assert "estimated by Vela for its NPU" in " ".join(c.value for c in test.caption)


def test_a_run_without_integers_says_so(run: Run) -> None:
    cards = tuple(card for card in run.manifest.artifacts if card.variant == "float32")
    (run.folder / FILE_NAME).write_bytes(replace(run.manifest, artifacts=cards).to_json())
    test = opened(PAGE)
    assert not test.exception
    assert test.title[0].value == "No variant of this run computes in integers"


def test_a_run_without_its_float32_file_says_what_to_do(run: Run) -> None:
    shutil.rmtree(run.folder / WORK)
    cards = tuple(card for card in run.manifest.artifacts if card.variant == "int8")
    (run.folder / FILE_NAME).write_bytes(replace(run.manifest, artifacts=cards).to_json())
    test = opened(PAGE)
    assert not test.exception
    assert "no float32 file" in " ".join(element.value for element in test.error)


def test_the_command_writes_rows_and_node_data(run: Run, photos: Path, tmp_path: Path) -> None:
    rows, nodes = tmp_path / "rows.json", tmp_path / "nodes.json"
    code = main(
        [
            "layers",
            *("--run", str(run.folder), "--variant", "int8", "--images", str(photos)),
            *("--count", "3", "--json", str(rows), "--model-explorer", str(nodes)),
        ]
    )
    assert code == 0
    (row,) = json.loads(rows.read_text())
    assert row["op"] == "RESHAPE"
    assert row["own_sqnr_db"] is None
    assert row["own_error_ratio"] == 0
    assert json.loads(nodes.read_text())["name"] == "int8: own SQNR, dB"
    assert (tmp_path / "nodes.sqnr_db.json").is_file()


@pytest.mark.parametrize(
    ("variant", "count", "said"),
    [("float32", 3, "no activation in integers"), ("int4", 3, "'int4'"), ("int8", 0, "0 pictures")],
)
def test_mistakes_are_sentences(
    run: Run,
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    variant: str,
    count: int,
    said: str,
) -> None:
    code = main(
        [
            "layers",
            *("--run", str(run.folder), "--variant", variant),
            *("--images", str(photos), "--count", str(count)),
        ]
    )
    assert code == 2
    assert said in capsys.readouterr().err
