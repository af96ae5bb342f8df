"""Changing a model's edges against TensorFlow's own converter with these edges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
# In a process of its own: TensorFlow is not for the process of the other tests.
SCRIPT = """
import sys
from pathlib import Path
import numpy as np, tensorflow as tf
from engine.quantization.recipes import recipe_named
from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel, with_edges
from engine.networks.runners.tflite import TfliteRunner

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
module = tf.Module()
module.w = tf.Variable(rng.normal(0, .3, (3, 3, 3, 8)).astype("float32"))
module.v = tf.Variable(rng.normal(0, 1, (8, 5)).astype("float32"))
spec = tf.TensorSpec((1, 16, 16, 3), tf.float32)

@tf.function(input_signature=[spec])
def serve(x):
    y = tf.nn.relu(tf.nn.conv2d(x, module.w, 2, "SAME"))
    return {"logits": tf.reduce_mean(y, (1, 2)) @ module.v}

tf.saved_model.save(module, str(folder / "saved"), signatures=serve)
batches = lambda: (rng.normal(0, 1, (1, 16, 16, 3)).astype("float32") for rng in
                   map(np.random.default_rng, range(8)))
core = tflite_from_savedmodel(folder / "saved", recipe_named("int8_float_io"), batches=batches)
pictures = rng.normal(0, 1, (6, 16, 16, 3)).astype("float32")
for edges in ("int8", "uint8"):
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([b] for b in batches())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(edges)
    answers = []
    for name, model in (("theirs", converter.convert()), ("ours", with_edges(core, edges))):
        (folder / name).write_bytes(model)
        with TfliteRunner(folder / name, layout="NHWC") as runner:
            answers.append(runner.infer(pictures))
    assert np.ptp(answers[0]) > 0.1, "the model answers something"
    np.testing.assert_array_equal(answers[0], answers[1])
print("equal")
"""


def test_edges_equal_those_of_tensorflow(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
