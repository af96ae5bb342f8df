from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.activation_ranges import (
    ActivationRanges,
    MinMax,
    observe_activations,
)
from engine.quantization.recipes import FLOAT32, recipe_named
from engine.tflite.artifact import artifact_of
from engine.tflite.graph import Graph

pytestmark = pytest.mark.slow
SIZE = 8
RNG = np.random.default_rng(0)
PICTURES = RNG.normal(size=(8, SIZE, SIZE, 3)).astype(np.float32)


def saved(folder: Path, activation: Callable[[Any], Any]) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(RNG.normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32))
    module.head = tf.Variable(RNG.normal(size=(4, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32)])
    def serve(x: Any) -> dict[str, Any]:
        y = activation(tf.nn.conv2d(x, module.kernel, 2, "SAME"))
        return {"logits": tf.matmul(tf.reduce_mean(y, (1, 2)), module.head)}

    tf.saved_model.save(module, str(folder / "saved"), signatures=serve)
    return folder / "saved"


@pytest.mark.parametrize("variant", ["float32", "int8_float_io"])
def test_files_are_those_of_the_public_converter(tmp_path: Path, variant: str) -> None:
    import tensorflow as tf

    folder = saved(tmp_path, tf.nn.relu)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if variant == "int8_float_io":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([picture[None]] for picture in PICTURES)
    assert converter.convert() == tflite_from_savedmodel(
        folder,
        recipe_named(variant),
        batches=lambda: (picture[None] for picture in PICTURES),
    )


def seen_ranges(model: bytes) -> ActivationRanges:
    seen = MinMax()
    observe_activations(model, lambda: (picture[None] for picture in PICTURES), seen)
    return seen.ranges()


@pytest.mark.parametrize("ranges_of", [seen_ranges, lambda _: None], ids=["ours", "TensorFlow's"])
def test_a_weight_has_one_scale_where_that_is_asked_for(
    tmp_path: Path, ranges_of: Callable[[bytes], ActivationRanges | None]
) -> None:
    import tensorflow as tf

    folder = saved(tmp_path, tf.nn.relu)
    scales = {}
    for name in ("int8_float_io", "int8_float_io_per_tensor"):
        content = tflite_from_savedmodel(
            folder,
            recipe_named(name),
            batches=lambda: (picture[None] for picture in PICTURES),
            ranges_of=ranges_of,
        )
        graph = Graph(content)
        weighted = [op for op in graph.operators if op.opcode in {"CONV_2D", "FULLY_CONNECTED"}]
        scales[name] = {op.opcode: len(graph.scales(op.inputs[1])) for op in weighted}
    assert scales["int8_float_io"] == {"CONV_2D": 4, "FULLY_CONNECTED": 5}
    assert scales["int8_float_io_per_tensor"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1}


@pytest.mark.parametrize(("activation", "in_float"), [("relu", {}), ("elu", {"ELU": 1})])
def test_what_has_no_int16_form_stays_in_float32(
    tmp_path: Path, activation: str, in_float: dict[str, int]
) -> None:
    import tensorflow as tf

    folder = saved(tmp_path, getattr(tf.nn, activation))
    answers = []
    for recipe in (FLOAT32, recipe_named("int16x8")):
        file = tmp_path / f"{recipe.name}.tflite"
        file.write_bytes(
            tflite_from_savedmodel(
                folder, recipe, batches=lambda: (picture[None] for picture in PICTURES)
            )
        )
        with TfliteRunner(file, layout="NHWC") as runner:
            answers.append(runner.infer(PICTURES))
    exact, rounded = answers
    assert np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()
    found = artifact_of(file, variant="int16x8", layout="NHWC")
    assert found.float_operators == in_float
    assert found.operators["CONV_2D"] == 1


def test_a_file_of_float32_is_not_said_to_compute_in_it_nevertheless(tmp_path: Path) -> None:
    import tensorflow as tf

    folder = saved(tmp_path, tf.nn.relu)
    for name in ("float32", "dynamic_range", "float16"):
        file = tmp_path / f"{name}.tflite"
        file.write_bytes(tflite_from_savedmodel(folder, recipe_named(name)))
        assert artifact_of(file, variant=name, layout="NHWC").float_operators == {}
