"""Conversion time: the engine against the plain script that people write.

Both make the same seven variants of the same model with the same calibration pictures, each in a
process of its own, one after the other. Run it with ``make bench-conversion``.

The plain script: export, ``onnx_tf.backend.prepare``, ``export_graph``, one ``TFLiteConverter`` a
variant, each with its own representative dataset.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.core.store import CALIBRATION_IMAGES
from engine.quantization.recipes import RECIPES

COUNT = 100
RESULTS = Path(__file__).parent / "plain_script.json"


def plain_script(folder: Path) -> None:
    """Convert as the usual recipe on the web does, in this process."""
    import onnx
    import tensorflow as tf
    import torch

    from engine.conversion.savedmodel_from_onnx import import_onnx_tf
    from engine.images.preprocess import in_layout
    from engine.networks.catalog import torch_source
    from engine.networks.source import ModelChoice
    from engine.quantization.calibration import CalibrationChoice, representative_dataset

    source = torch_source(ModelChoice())
    dataset = representative_dataset(CalibrationChoice(count=COUNT), CALIBRATION_IMAGES)
    torch.onnx.export(
        source.build(),
        (torch.zeros(1, 3, 224, 224),),
        str(folder / "m.onnx"),
        dynamo=False,
        opset_version=13,
        input_names=["input"],
    )
    import_onnx_tf().prepare(onnx.load(folder / "m.onnx")).export_graph(str(folder / "saved"))
    for recipe in RECIPES:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
        if recipe.weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if recipe.weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if recipe.calibrated:
            converter.representative_dataset = lambda: (
                [in_layout(picture[None], "NCHW")] for picture in dataset.inputs(source.preprocess)
            )
            sets = tf.lite.OpsSet
            converter.target_spec.supported_ops = [
                sets.TFLITE_BUILTINS_INT8
                if recipe.activations == "int8"
                else sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            ]
        if recipe.edges != "float32":
            dtype = tf.dtypes.as_dtype(recipe.edges)
            converter.inference_input_type = converter.inference_output_type = dtype
        (folder / f"{recipe.name}.tflite").write_bytes(converter.convert())


def ours(folder: Path) -> None:
    """Convert with the engine, checks of every hop included."""
    import engine

    engine.convert(calibration_count=COUNT, out=folder / "run")


def _time(name: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "benchmarks.plain_script", name, folder],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        )
        return time.perf_counter() - started


def main() -> None:
    """Time both and write the result."""
    if len(sys.argv) == 3:
        {"plain": plain_script, "ours": ours}[sys.argv[1]](Path(sys.argv[2]))
        return
    seconds = {name: _time(name) for name in ("plain", "ours")}
    ratio = seconds["ours"] / seconds["plain"]
    result = {"calibration_count": COUNT, "seconds": seconds, "ours_over_plain": ratio}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"efficientnet_lite0, {len(RECIPES)} variants, {COUNT} calibration pictures: "
        f"plain script {seconds['plain']:.1f} s, engine {seconds['ours']:.1f} s, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
