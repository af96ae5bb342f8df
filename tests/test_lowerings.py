from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine import lowerings, plots, sentences
from engine.errors import ConversionError, OptionError
from engine.lowerings import lowering_rows, stored_lowerings
from engine.runs import Run
from engine.service import Foreground
from engine.types import Artifact, Lowerings, LoweringSide
from tests.made_up import artifact, latency
from tests.tiny_run import tiny_run


def with_operators(name: str, **operators: int) -> Artifact:
    return replace(artifact(name), operators=operators)


def made(stock_ms: float = 4.0, nhwc_ms: float = 2.0) -> Lowerings:
    return Lowerings(
        stock=LoweringSide((with_operators("float32", CONV_2D=2, TRANSPOSE=6, PADV2=1),), {}),
        nhwc=LoweringSide((with_operators("float32", CONV_2D=2),), {}),
        latency=latency({"float32 stock": stock_ms, "float32 nhwc": nhwc_ms}),
    )


NO_STOCK = replace(
    made(),
    stock=LoweringSide((), {"float32": "ONNX to SavedModel: got a failure"}),
    latency=latency({"float32 nhwc": 2.0}),
)


@pytest.mark.parametrize(
    ("found", "headline"),
    [
        (
            made(),
            "The NHWC lowering makes float32 2.0 × quicker, with 0 TRANSPOSE operators "
            "instead of 6",
        ),
        (
            made(2.0, 2.01),
            "No difference found: both lowerings are equally quick, with 0 TRANSPOSE "
            "operators instead of 6",
        ),
        (
            made(2.0, 3.0),
            "The NHWC lowering makes float32 1.5 × slower, with 0 TRANSPOSE operators instead of 6",
        ),
        (
            NO_STOCK,
            "Only the NHWC lowering converts this model: onnx-tf's own handlers fail on it",
        ),
    ],
)
def test_headlines(found: Lowerings, headline: str) -> None:
    assert sentences.lowering_headline(found) == headline


def test_the_table_has_ratios_and_dashes() -> None:
    rows = {row.title: (row.stock, row.nhwc, row.ratio) for row in lowering_rows(made())}
    assert rows["float32: latency"] == ("4.00 ms", "2.00 ms", "2.00")
    assert rows["float32: operators"] == ("9", "2", "4.50")
    assert rows["float32: TRANSPOSE"] == ("6", "0", "–")
    assert rows["float32: PAD"] == ("1", "0", "–")
    missing = {row.title: row.stock for row in lowering_rows(NO_STOCK)}
    assert set(missing.values()) == {"–"}


def test_figures() -> None:
    bars = plots.lowering_latency(made())
    assert [trace.y[0] for trace in bars.data] == ["float32, stock", "float32, nhwc"]
    assert [trace.x[0] for trace in bars.data] == [4.0, 2.0]
    counts = plots.lowering_operators(made(), "float32")
    assert list(counts.data[0].y) == ["TRANSPOSE", "PADV2"]
    assert [list(trace.x) for trace in counts.data] == [[6, 1], [0, 0]]
    without = plots.lowering_latency(NO_STOCK)
    assert "could not be made" in str(without.layout.annotations)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


def test_what_cannot_be_made_is_kept_as_a_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fail(request: object, host: object) -> Run:
        asked.append(request.variants)  # type: ignore[attr-defined]
        raise ConversionError("ONNX to SavedModel", got="no handler", expected="", todo="")

    monkeypatch.setattr(lowerings, "convert_request", fail)
    found = lowerings.compare_lowerings(run, Foreground(), rounds=3)
    assert asked == [("float32", "int8"), ("float32",)]
    assert found.stock.failures["float32"] == "ONNX to SavedModel: no handler"
    assert [entry.variant for entry in found.latency.entries] == ["float32 nhwc", "int8 nhwc"]
    assert stored_lowerings(run) == found
    assert run.columns == Run.open(run.folder).columns


def test_what_was_found_about_other_files_is_not_shown(run: Run) -> None:
    assert stored_lowerings(run) is None
    (run.folder / "lowering").mkdir()
    (run.folder / "lowering" / "lowerings.json").write_bytes(msgspec.json.encode(made()))
    assert stored_lowerings(run) is None


def test_a_run_without_float32_and_int8_is_refused(run: Run) -> None:
    only = replace(run.manifest, artifacts=(replace(artifact("uint8")),))
    with pytest.raises(OptionError, match="Add float32"):
        lowerings.compare_lowerings(Run(run.folder, only), Foreground())
