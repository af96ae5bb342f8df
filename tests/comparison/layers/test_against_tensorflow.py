"""The ranking of layers beside TensorFlow's QuantizationDebugger, on the same quantized model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.comparison.layers.analysis import layer_errors
from engine.comparison.layers.records import LayerErrors
from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.run import WORK, Run, float32_file
from tests.helpers.real_run import real_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning"),
]
CLOSE = 0.9
PICTURES = 8


@pytest.fixture(scope="module")
def both() -> tuple[LayerErrors, dict[str, dict[str, Any]]]:
    run = real_run()
    inputs = [
        run.manifest.preprocess.apply(picture.decode())[None]
        for picture in pictures_in(SAMPLE_IMAGES)[:PICTURES]
    ]
    debugger = debugged(run, inputs)
    found = layer_errors(
        float32_file(run).read_bytes(),
        debugger.get_nondebug_quantized_model(),
        lambda: iter(inputs),
        run="run",
        variant="theirs",
        pictures=len(inputs),
        threads=2,
    )
    debugger.run()
    return found, theirs(debugger)


def debugged(run: Run, inputs: list[np.ndarray]) -> Any:
    import tensorflow as tf

    def representative() -> Iterator[list[np.ndarray]]:
        return ([batch] for batch in inputs)

    folder: Path = run.folder / WORK / "savedmodel"
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=representative
    )


def theirs(debugger: Any) -> dict[str, dict[str, Any]]:
    """Statistics of each operator that TensorFlow looked at, by the name of its output."""
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    text.seek(0)
    return {row["tensor_name"]: row for row in csv.DictReader(text)}


def test_layers_rank_as_tensorflow_ranks_them(
    both: tuple[LayerErrors, dict[str, dict[str, Any]]],
) -> None:
    from scipy.stats import spearmanr

    found, debugged = both
    ours = {layer.name: layer for layer in found.layers if layer.own is not None}
    common = sorted(ours.keys() & debugged.keys())
    assert len(common) >= 0.9 * len(debugged)
    errors, scaled = [], []
    for name in common:
        layer, row = ours[name], debugged[name]
        assert layer.own is not None
        assert layer.own.error_ratio is not None
        mine = layer.own.error_ratio * layer.rms
        other = float(row["mean_squared_error"]) ** 0.5
        errors.append((mine, other))
        scaled.append((mine / float(row["scale"]), other / float(row["scale"])))
    for pairs in (errors, scaled):
        one, other = zip(*pairs, strict=True)
        assert spearmanr(one, other).statistic >= CLOSE
        # The same statistic, not only the same order; kernels differ on few values.
        assert np.abs(np.log(np.array(one) / np.array(other))).max() < 0.05
