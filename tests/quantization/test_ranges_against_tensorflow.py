"""Ranges that LiteRT found against TensorFlow's own calibrator, on the default model.

Four ways to the same integer model: ``public``, TensorFlow's converter as it comes;
``injected``, the ranges of TensorFlow's calibrator handed in as ours are; ``kept``, the same with
every activation a graph output, so that no operator writes over its input; and ``ours``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.helpers.real_run import real_run

pytestmark = pytest.mark.slow
RECIPES = ("int8_float_io", "int16x8")
# In a process of its own: TensorFlow is not for the process of the other tests.
SCRIPT = """
import json, sys
from functools import cache
from pathlib import Path
import numpy as np, tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.optimize.calibrator import Calibrator, add_intermediate_tensors
from engine.quantization.activation_ranges import (
    ActivationRanges, CollectedRanges, activations)
from engine.tflite.graph import pack_model
from engine.quantization.calibration import CalibrationChoice, representative_dataset
from engine.quantization.recipes import recipe_named
from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
from engine.images.preprocess import PreprocessSpec
from engine.networks.runners.tflite import TfliteRunner
from engine.runs.run import Run
from engine.core.store import SAMPLE_IMAGES

run = Run.open(sys.argv[1])
place = Path(sys.argv[2])
saved = run.folder / "work" / "savedmodel"
dataset = representative_dataset(CalibrationChoice(count=8), SAMPLE_IMAGES)
pictures = np.stack(list(dataset.inputs(run.manifest.preprocess)))
batches = lambda: iter(pictures[:, None])
parse = lambda data: schema.ModelT.InitFromPackedBuf(data, 0)
collected, floats = CollectedRanges(batches), []

def ours(model):
    floats.append(model)
    return collected.of(model)

@cache
def kept(model):
    '''TensorFlow's calibrator, with every activation an output, which nothing overwrites.'''
    parsed = parse(model)
    graph = parsed.subgraphs[0]
    graph.outputs = [i for i in activations(parsed).values() if i not in list(graph.inputs)]
    parsed.signatureDefs = []
    model = add_intermediate_tensors(pack_model(parsed, len(model)))
    return read(Calibrator(model).calibrate(lambda: ([batch] for batch in batches())))

@cache
def injected(model):
    model = add_intermediate_tensors(model)
    return read(Calibrator(model).calibrate(lambda: ([batch] for batch in batches())))

def read(model):
    parsed = parse(model)
    tensors = parsed.subgraphs[0].tensors
    return ActivationRanges({
        name: (float(tensors[i].quantization.min[0]), float(tensors[i].quantization.max[0]))
        for name, i in activations(parsed).items()
    })

def constant(parsed, tensor):
    data = parsed.buffers[tensor.buffer].data
    kinds = {2: np.int32, 4: np.int64, 9: np.int8}
    return None if data is None else np.frombuffer(bytes(data), kinds[tensor.type]).astype(int)

def compared(one, two):
    one, two = parse(one), parse(two)
    pairs = list(zip(one.subgraphs[0].tensors, two.subgraphs[0].tensors, strict=True))
    result = dict(quantized=0, identical=0, scale=0.0, zero_point=0.0, weight=0.0, bias=0.0)
    for a, b in pairs:
        assert (a.name, a.type, list(a.shape)) == (b.name, b.type, list(b.shape))
        p, q = a.quantization, b.quantization
        if p is None or p.scale is None:
            continue
        apart = {
            "scale": np.abs(q.scale / p.scale - 1).max(),
            "zero_point": np.abs(p.zeroPoint - q.zeroPoint).max(),
        }
        steps = constant(one, a)
        if steps is not None:
            difference = np.abs(steps - constant(two, b))
            if a.type == schema.TensorType.INT8:
                apart["weight"] = difference.max()
            else:
                # Where a channel's weights are tiny, its bias has up to 31 bits: a step is less
                # than the scale's own rounding.
                apart["bias"] = np.maximum(difference - 1e-5 * np.abs(steps), 0).max()
                apart["same"] = difference.max()
        result["quantized"] += 1
        result["identical"] += not any(apart.values())
        for key in ("scale", "zero_point", "weight", "bias"):
            result[key] = max(result[key], float(apart.get(key, 0)))
    return result

def logits(name, content):
    (place / name).write_bytes(content)
    with TfliteRunner(place / name, layout="NHWC") as runner:
        return runner.infer(pictures)

answer = {}
for name in ("int8_float_io", "int16x8"):
    recipe = recipe_named(name)
    made = {
        way: tflite_from_savedmodel(saved, recipe, batches=batches, ranges_of=ranges_of)
        for way, ranges_of in (
            ("ours", ours), ("kept", kept), ("injected", injected), ("public", lambda _: None),
        )
    }
    answer[name] = {
        "public_and_injected": compared(made["public"], made["injected"]),
        "kept_and_ours": compared(made["kept"], made["ours"]),
        "public_and_ours": compared(made["public"], made["ours"]),
    }
    if name == "int8_float_io":
        reference = logits("float32", floats[0])
        answer["rms"] = {
            way: float(np.sqrt(np.mean((logits(way, made[way]) - reference) ** 2)))
            for way in ("ours", "kept", "public")
        }

found, public = ours(floats[0]).bounds, injected(floats[0]).bounds
parsed = parse(floats[0])
index_of = activations(parsed)
name_of = {index: name for name, index in index_of.items()}
unexplained = []
answer["wider"] = 0
for name, (low, high) in found.items():
    width = high - low
    if max(abs(public[name][0] - low), abs(public[name][1] - high)) <= 1e-5 * width:
        continue
    answer["wider"] += 1
    readers = [
        name_of[int(operator.outputs[0])]
        for operator in parsed.subgraphs[0].operators
        if index_of[name] in list(operator.inputs)
    ]
    hulls = [(min(low, found[r][0]), max(high, found[r][1])) for r in readers]
    if not any(np.allclose(public[name], hull, atol=1e-5 * width) for hull in hulls):
        unexplained.append(name)
answer["unexplained"] = unexplained
answer["float_models"] = len(set(floats))
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(real_run().folder), str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name in RECIPES:
        for pair, parameters in found[name].items():
            share = parameters["identical"] / parameters["quantized"]
            print(f"{name}, {pair}: {share:.1%} of the tensors identical; {parameters}")
    print(found["rms"], f"{found['wider']} ranges wider in TensorFlow's own")
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_given_ranges_make_the_very_model_of_the_public_converter(
    answer: dict[str, Any], recipe: str
) -> None:
    parameters = answer[recipe]["public_and_injected"]
    assert parameters["quantized"] > 100
    assert parameters["identical"] == parameters["quantized"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_parameters_are_those_of_tensorflow_where_nothing_is_overwritten(
    answer: dict[str, Any], recipe: str
) -> None:
    parameters = answer[recipe]["kept_and_ours"]
    assert parameters["identical"] > 0.5 * parameters["quantized"]
    assert parameters["scale"] < 1e-5
    assert parameters["zero_point"] <= 1
    assert parameters["weight"] == 0
    assert parameters["bias"] <= 1


def test_each_other_range_is_one_that_tensorflow_read_after_it_was_overwritten(
    answer: dict[str, Any],
) -> None:
    assert answer["wider"] > 0
    assert answer["unexplained"] == []


def test_the_logits_move_as_much_as_with_tensorflows_calibrator(answer: dict[str, Any]) -> None:
    rms = answer["rms"]
    assert rms["ours"] < 1.1 * rms["kept"]
    assert rms["ours"] < 1.1 * rms["public"]


def test_both_recipes_start_from_the_same_float_model(answer: dict[str, Any]) -> None:
    assert answer["float_models"] == 1
