"""An ONNX file of uint8 pixels, whose normalization is in its graph."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import engine
from engine.core.errors import OptionError
from engine.core.store import SAMPLE_IMAGES
from engine.images.preprocess import PreprocessChoice
from engine.networks.load import model_source
from engine.networks.source import ModelChoice


def of_pixels(file: Path) -> Path:
    """Mean of each channel of pixels / 255 - 0.5, from N x H x W x C."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (uint8[1,8,8,3] x) => (float[1,3] y) '
        "<float k = {255.0}, float h = {0.5}> { t = Transpose <perm = [0, 3, 1, 2]> (x)"
        "  c = Cast <to = 1> (t)  d = Div (c, k)  e = Sub (d, h)"
        "  b = GlobalAveragePool (e)  y = Flatten (b) }"
    )
    onnx.save(model, file)
    return file


def test_pixels_are_fed_as_they_are(tmp_path: Path) -> None:
    choice = ModelChoice(onnx=str(of_pixels(tmp_path / "m.onnx")))
    source = model_source(choice, PreprocessChoice())
    spec = source.preprocess
    assert (spec.scale, spec.mean, spec.std) == (1.0, (0.0,) * 3, (1.0,) * 3)
    assert "uint8 pixels and prepares them itself (Div, Sub)" in source.notes[0]
    assert "mean" not in source.notes[-1]
    with pytest.raises(OptionError, match="prepares its pixels itself"):
        model_source(choice, PreprocessChoice(scale=1 / 255))


@pytest.mark.slow
def test_answers_and_the_8_bit_input_by_hand(tmp_path: Path) -> None:
    file = of_pixels(tmp_path / "m.onnx")
    run = engine.convert(
        onnx=file, variants=["float32", "uint8"], calibration_count=8, out=tmp_path / "run"
    )
    (pixels,) = run.artifact("uint8").inputs
    assert (pixels.dtype, pixels.scale, pixels.zero_point) == ("uint8", 1.0, 0)
    comparison = engine.compare(run, SAMPLE_IMAGES)
    assert comparison.variant("float32").logit_max < 1e-5
