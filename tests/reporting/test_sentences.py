from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.core.types import Interval
from engine.quantization.calibration import CalibrationInfo
from engine.reporting.text import runs as sentences
from tests.helpers.factories import LOGITS, artifact, comparison, latency, manifest

FLIPPED = LOGITS[:, [1, 0, 2]]  # the first two answers change places, the third stays


def test_predictions_headline() -> None:
    headline = sentences.predictions_headline
    assert headline(comparison({"int8": LOGITS})) == (
        "int8 answers like the original on all 3 pictures: no difference found"
    )
    assert headline(comparison({"int8": LOGITS, "uint8": LOGITS})) == (
        "All 2 variants answer like the original on all 3 pictures: no difference found"
    )
    assert headline(comparison({"int8": LOGITS[:1]})) == (
        "int8 answers like the original on the one picture: no difference found"
    )
    assert headline(comparison({"int8": FLIPPED, "float16": LOGITS})) == (
        "Two of 3 pictures get a different answer from int8"
    )
    assert headline(comparison({"int8": FLIPPED[:1], "uint8": FLIPPED[:1]})) == (
        "The one picture gets a different answer from int8 or uint8"
    )
    many = dict.fromkeys(("a", "b", "c", "d"), FLIPPED)
    assert headline(comparison(many)).endswith("from at least one variant")
    broken = LOGITS.copy()
    broken[0, 0] = np.nan
    assert "not numbers" in headline(comparison({"int8": broken}))
    assert headline(comparison({"original": broken, "int8": LOGITS})) == (
        "On 1 of 3 pictures, the original gives answers that are not numbers"
    )


def test_what_a_file_of_integers_computes_in_float() -> None:
    note = sentences.float_operators_note
    assert note(artifact("int8")) is None
    mixed = replace(artifact("int16x8"), float_operators={"ELU": 1, "SQRT": 2})
    assert note(mixed) == "Computed in float32: 1 ELU, 2 SQRT."


def test_evidence() -> None:
    assert sentences.evidence(Interval(0.78, 1.0), 14).startswith(
        "14 pictures are too few to be sure"
    )
    assert "One picture is too few" in sentences.evidence(Interval(0.2, 1.0), 1)
    assert "is 95 to 99\xa0%" in sentences.evidence(Interval(0.95, 0.99), 250)


def test_logits_headline() -> None:
    headline = sentences.logits_headline
    assert headline(comparison({"int8": LOGITS, "uint8": LOGITS})).startswith("No difference found")
    moved = LOGITS + np.array([[0.3, -0.3, 0.0]], np.float32)
    assert headline(comparison({"int8": moved, "uint8": moved, "float32": LOGITS})) == (
        "int8 and uint8 move the logits most, by 0.245 (rms); float32 least"
    )
    assert headline(comparison({"int8": moved})) == "int8 moves the logits by 0.245 (rms)"
    assert "can be compared" in headline(comparison({"int8": np.full_like(LOGITS, np.nan)}))


SIZES = {"float32": 400, "int8": 100, "dynamic_range": 90}


@pytest.mark.parametrize(
    ("medians", "sizes", "text"),
    [
        (
            None,
            SIZES,
            "dynamic_range is 4.4\xa0× smaller than float32; its speed is not measured yet",
        ),
        (
            {"float32": 8.0, "int8": 4.0, "dynamic_range": 10.0},
            SIZES,
            "int8 is 2.0\xa0× faster than float32, dynamic_range the smallest file",
        ),
        (
            {"float32": 8.0, "int8": 4.0},
            {"float32": 400, "int8": 100},
            "int8 is 4.0\xa0× smaller and 2.0\xa0× faster than float32",
        ),
        (
            {"float32": 8.0, "int8": 8.1, "dynamic_range": 12.0},
            SIZES,
            "No variant is faster than float32 on this machine; dynamic_range is slower",
        ),
        ({"int8": 4.0}, {"int8": 100}, "int8 is 4.0\xa0× smaller than float32"),
        (
            {"float32": 8.0, "int8": 4.0, "uint8": 3.99},
            {"float32": 400, "int8": 100, "uint8": 101},
            "int8 and uint8 are 4.0\xa0× smaller and at least 2.0\xa0× faster than float32",
        ),
        (
            {"float32": 8.0, "int8": 4.0},
            {"float32": 400, "int8": 100, "uint8": 100},
            "int8 is 4.0\xa0× smaller and 2.0\xa0× faster than float32; uint8 is not timed",
        ),
        (
            {"float32": 8.0},
            {"float32": 400, "int8": 100},
            "int8 is 4.0\xa0× smaller than float32; int8 is not timed",
        ),
    ],
)
def test_latency_headline(
    medians: dict[str, float] | None, sizes: dict[str, int], text: str
) -> None:
    timed = None if medians is None else latency(medians)
    assert sentences.latency_headline(timed, sizes, 400) == text


def test_an_unsteady_timing_is_not_called_faster_within_its_spread() -> None:
    timed = latency({"float32": 8.0, "int8": 7.0}, spread=0.5)
    assert sentences.latency_headline(timed, {"float32": 400, "int8": 100}, 400) == (
        "No variant is faster than float32 on this machine"
    )


def test_run_headlines() -> None:
    assert sentences.convert_headline(manifest()) == (
        "tiny became two TFLite variants, up to 4.0\xa0× smaller than float32"
    )
    assert sentences.convert_headline(manifest("float32")) == "tiny became one TFLite variant"
    assert sentences.details_headline(manifest(weights="random")) == (
        "tiny with random weights, for pictures of 224\xa0×\xa0224"
    )


def test_calibration_notes() -> None:
    def notes(count: int, *, demo: bool = False, passed: tuple[str, ...] = ()) -> tuple[str, ...]:
        folder = None if demo else "photos"
        info = CalibrationInfo(count, 0, "2" * 64, demo, folder, passed_over=passed)
        return sentences.calibration_notes(info)

    assert sentences.calibration_notes(None) == ()
    assert notes(20) == notes(4, demo=True) == ()
    assert notes(1)[0].startswith("Calibrated with 1 picture: 100 to 500 are advised")
    few, unread = notes(19, passed=("2 .cr2", "12 .heic"))
    assert few.startswith("Calibrated with 19 pictures")
    assert unread.startswith("Passed over in the calibration folder: 2 .cr2, 12 .heic.")
