from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.core.errors import ConversionError, HopError
from engine.deployment.description import raw_pixel_steps
from engine.deployment.golden_set import GoldenArrays, GoldenSet, KernelDifference, tolerance_of
from engine.deployment.golden_set import golden_set as made_golden_set
from engine.deployment.kit import golden_pictures
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec
from engine.tflite.artifact import TensorInfo
from engine.tflite.graph import pack_model, parse_model
from tests.helpers.kits import SPEC, run_of
from tests.helpers.tiny_run import SIDE

PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def golden_set(model: bytes, original: bytes | None = None) -> tuple[GoldenSet, GoldenArrays]:
    return made_golden_set(
        model,
        original or model,
        "NHWC",
        ["a", "b"],
        PIXELS,
        SPEC.normalized,
        threads=2,
        report=lambda _: None,
    )


def test_a_slow_model_has_the_pictures_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.deployment.golden_set.SECONDS", -1.0)
    found, arrays = golden_set(run_of(tmp_path / "run", "int8").file("int8").read_bytes())
    assert (found.pictures, len(found.answers)) == (("a",), 1)
    assert [len(a) for a in (arrays.pixels, arrays.inputs, arrays.outputs)] == [1, 1, 1]


def test_integers_answer_with_the_input_that_follows_by_hand(tmp_path: Path) -> None:
    found, arrays = golden_set(run_of(tmp_path / "run", "int8").file("int8").read_bytes())
    expected = np.stack([np.rint(SPEC.normalized(p) / np.float32(0.05)) for p in PIXELS])
    np.testing.assert_array_equal(arrays.inputs, expected)
    np.testing.assert_array_equal(arrays.outputs, expected.reshape(2, -1))
    assert arrays.outputs.dtype == np.int8
    assert found.answers == tuple(expected.reshape(2, -1).argmax(axis=1))
    assert found.unit == "steps"
    assert [difference.largest for difference in found.kernels] == [0, 0, 0]
    assert [difference.pictures for difference in found.kernels] == [2, 2, 2]
    assert found.tolerance == 1


def test_floats_may_differ_by_a_share_of_the_largest_output(tmp_path: Path) -> None:
    found, arrays = golden_set(run_of(tmp_path / "run", "float32").file("int8").read_bytes())
    largest = max(float(np.abs(SPEC.normalized(picture)).max()) for picture in PIXELS)
    assert found.unit == "values"
    assert found.largest == pytest.approx(largest)
    assert found.tolerance == pytest.approx(1e-5 * largest)
    assert arrays.outputs.dtype == np.float32


def test_the_tolerance_is_twice_what_kernels_differ_by() -> None:
    measured = [KernelDifference("a", 5, 3.0), KernelDifference("b", 1, None)]
    assert tolerance_of(measured, 1.0) == 6.0
    assert tolerance_of(measured[1:], 1.0) == 1.0


def test_other_answers_than_before_are_no_kit(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "int8")
    model = run.file("int8").read_bytes()
    other = parse_model(model)
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [0.05], [3]
    for tensor in other.subgraphs[0].tensors:
        tensor.quantization = quantization
    with pytest.raises(HopError, match="other answers with metadata"):
        golden_set(model, pack_model(other, len(model)))


def test_nan_is_no_golden_answer(tmp_path: Path) -> None:
    model = run_of(tmp_path / "run", "float32").file("int8").read_bytes()
    with pytest.raises(HopError, match="NaN or Inf"):
        made_golden_set(
            model,
            model,
            "NHWC",
            ["a"],
            PIXELS[:1],
            lambda pixels: np.full(pixels.shape, np.nan, dtype=np.float32),
            threads=1,
            report=lambda _: None,
        )


def test_a_refused_model_is_a_sentence() -> None:
    with pytest.raises(ConversionError, match="a refusal"):
        golden_set(b"no model at all, but long enough")


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (5, [0, 1, 2, 3, 4]), (10, [0, 2, 4, 6, 8])]
)
def test_five_pictures_at_equal_distances(count: int, expected: list[int]) -> None:
    pictures = tuple(Picture(str(index), Path(), "") for index in range(count))
    assert [picture.name for picture in golden_pictures(pictures)] == [str(i) for i in expected]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "steps"),
    [
        ("uint8", 1 / 255, 0, 0),
        ("int8", 1 / 255, -128, 0),
        ("uint8", 1 / 255, 2, 2),
        ("uint8", 4 / 255, 0, 191),
        ("float32", None, None, None),
        ("int16", 1 / 255, 0, None),
    ],
)
def test_whether_pixels_may_be_passed_on(
    dtype: str, scale: float | None, zero_point: int | None, steps: int | None
) -> None:
    spec = PreprocessSpec(mean=(0, 0, 0), std=(1, 1, 1))
    tensor = TensorInfo("x", (1, 224, 224, 3), dtype, scale, zero_point)
    assert raw_pixel_steps(spec, tensor) == steps
    if steps == 0:
        swayed = replace(spec, mean=(0, 0, 0.5))
        assert raw_pixel_steps(swayed, tensor) == 128
