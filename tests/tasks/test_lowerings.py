from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import engine
from engine.core.errors import ConversionError, OptionError, RunError
from engine.reporting import plots
from engine.reporting.text import runs as sentences
from engine.runs.run import Run
from engine.tasks import lowerings
from engine.tasks.lowerings import Lowerings, LoweringSide, lowering_rows, read_lowerings
from engine.tflite.artifact import Artifact
from engine.workers.process import Foreground
from tests.helpers.factories import artifact, latency
from tests.helpers.tiny_run import tiny_run
from tests.networks.test_own_onnx import classifier


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
            "The NHWC lowering makes float32 2.0\xa0× faster, with 0 TRANSPOSE operators "
            "instead of 6",
        ),
        (
            made(2.0, 2.01),
            "No difference found: both lowerings are equally fast, with 0 TRANSPOSE "
            "operators instead of 6",
        ),
        (
            made(2.0, 3.0),
            "The NHWC lowering makes float32 1.5\xa0× slower, with 0 TRANSPOSE operators instead "
            "of 6",
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
    assert rows["float32: latency"] == ("4.00\xa0ms", "2.00\xa0ms", "2.00")
    assert rows["float32: operators"] == ("9", "2", "4.50")
    assert rows["float32: TRANSPOSE"] == ("6", "0", "–")
    assert rows["float32: PAD"] == ("1", "0", "–")
    missing = {row.title: row.stock for row in lowering_rows(NO_STOCK)}
    assert set(missing.values()) == {"–"}


def test_figures() -> None:
    bars = plots.lowering_latency(made())
    assert [trace.y[0] for trace in bars.data[::2]] == ["float32, stock", "float32, nhwc"]
    assert [trace.x[0] for trace in bars.data[::2]] == [4.0, 2.0]
    assert [trace.text[0].strip() for trace in bars.data[1::2]] == ["4.0\xa0ms", "2.0\xa0ms"]
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
    assert asked == [("float32", "int8")]
    assert found.stock.failures["float32"] == "ONNX to SavedModel: no handler"
    assert [entry.variant for entry in found.latency.entries] == ["float32 nhwc", "int8 nhwc"]
    assert read_lowerings(run) == found
    assert run.columns == Run.open(run.folder).columns


def test_a_side_that_is_of_no_more_use_is_made_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = run.folder / "lowering" / "stock"
    stale.mkdir(parents=True)
    (stale / "file").write_text("of another version")

    def make(request: object, host: object) -> Run:
        if stale.exists():
            raise RunError("Choosing", got="another version", expected="", todo="")
        return tiny_run(stale)

    monkeypatch.setattr(lowerings, "convert_request", make)
    found = lowerings.compare_lowerings(run, Foreground(), rounds=3)
    assert [a.variant for a in found.stock.artifacts] == ["float32", "int8"]
    assert len(found.latency.entries) == 4
    assert found.speedup("int8") is not None


@pytest.mark.slow
def test_a_real_model_both_ways(tmp_path: Path) -> None:
    file = classifier(tmp_path / "m.onnx", shape=[1, 3, 32, 32])
    run = engine.convert(onnx=file, variants=["float32"], out=tmp_path / "run")
    found = lowerings.compare_lowerings(run, Foreground(), rounds=3)
    counts = [
        made.operators.get("TRANSPOSE", 0)
        for side in (found.stock, found.nhwc)
        for made in side.artifacts
    ]
    assert counts[0] > counts[1] == 0
    assert read_lowerings(run) == found


def test_what_was_found_about_other_files_is_not_shown(run: Run) -> None:
    assert read_lowerings(run) is None
    (run.folder / "lowering").mkdir()
    (run.folder / "lowering" / "lowerings.json").write_bytes(msgspec.json.encode(made()))
    assert read_lowerings(run) is None


def test_a_run_without_float32_and_int8_is_refused(run: Run) -> None:
    only = replace(run.manifest, artifacts=(replace(artifact("uint8")),))
    with pytest.raises(OptionError, match="Add float32"):
        lowerings.compare_lowerings(Run(run.folder, only), Foreground())
