"""A person's own ONNX file through the whole chain."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engine
from engine.core.errors import HopError, ModelError, OperatorError, OptionError
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import ORIGINAL
from engine.reporting.text.runs import opset_note

pytestmark = pytest.mark.slow
CLASSES, SIZE = 5, 32
Dims = list[int | str]


def classifier(
    path: Path,
    *,
    shape: Dims,
    tail: tuple[str, ...] = (),
    head_scale: float = 10.0,
    opset: int = 13,
    first_outputs: tuple[str, ...] = (),
) -> Path:
    """A convolution, a mean and a matrix product, then operators of ``tail``."""
    rng = np.random.default_rng(7)
    nhwc = shape[3] == 3
    weights = {
        "w1": rng.normal(0, 0.3, (8, 3 if nhwc else int(shape[1]), 3, 3)),
        "b1": rng.normal(0, 0.1, 8),
        "w2": rng.normal(0, head_scale, (8, CLASSES)),
        "b2": rng.normal(0, 0.1, CLASSES),
    }
    nodes = [helper.make_node("Transpose", ["picture"], ["x"], perm=[0, 3, 1, 2])] if nhwc else []
    first = "x" if nhwc else "picture"
    nodes += [
        helper.make_node("Conv", [first, "w1", "b1"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["t0"]),
    ]
    for index, op in enumerate(tail):
        nodes.append(helper.make_node(op, [f"t{index}"], [f"t{index + 1}"]))
    last = f"t{len(tail)}"
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)
                for name in first_outputs
            ),
            helper.make_tensor_value_info(last, TensorProto.FLOAT, [shape[0], CLASSES]),
        ],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "shape",
    [["n", 3, SIZE, SIZE], [1, SIZE, SIZE, 3], [4, 3, SIZE, SIZE], [8, 1, SIZE, 48]],
    ids=["NCHW, open batch", "NHWC", "batch of 4", "batch of 8, grey, not square"],
)
def test_layouts_and_batches(tmp_path: Path, shape: Dims) -> None:
    run = engine.convert(
        onnx=classifier(tmp_path / "mine.onnx", shape=shape),
        variants=["float32", "int8"],
        calibration_count=8,
        out=tmp_path / "run",
    )
    assert run.manifest.model.kind == "onnx"
    assert run.manifest.model.classes == CLASSES
    assert run.manifest.labels is None
    assert run.manifest.preprocess.height == SIZE
    assert run.layout("original") == ("NHWC" if shape[3] == 3 else "NCHW")
    size = run.manifest.preprocess
    batch = 1 if shape[0] == "n" else int(shape[0])
    assert run.artifact("int8").inputs[0].shape == (batch, SIZE, size.width, size.channels)
    assert (size.width, size.channels) == ((48, 1) if batch == 8 else (SIZE, 3))
    assert any("pictures at once" in note for note in run.manifest.notes) == (batch > 1)
    comparison = engine.compare(run, SAMPLE_IMAGES)
    assert comparison.reference == ORIGINAL
    assert comparison.variant("float32").logit_max < 1e-4
    assert comparison.variant("int8").logit_sqnr_db > 12


def test_features_beside_the_logits_are_left_out_and_the_run_names_them(tmp_path: Path) -> None:
    path = classifier(tmp_path / "two.onnx", shape=[1, 3, SIZE, SIZE], first_outputs=("r",))
    run = engine.convert(onnx=path, variants=["float32"], out=tmp_path / "run")
    assert run.manifest.model.classes == CLASSES
    note = "The answer is the output t0; left out: r (float32, 1 x 8 x 16 x 16)."
    chosen, assumed = run.manifest.notes
    assert chosen == note
    assert assumed.startswith("Preprocessing assumed")
    comparison = engine.compare(run, SAMPLE_IMAGES)
    assert note in comparison.notes
    assert comparison.variant("float32").logit_max < 1e-4
    again = engine.convert(onnx=path, output="t0", variants=["float32"], out=tmp_path / "named")
    assert "--output t0" in again.manifest.command


def test_a_softmax_of_a_newer_operator_set(tmp_path: Path) -> None:
    path = classifier(tmp_path / "soft.onnx", shape=[1, 3, SIZE, SIZE], tail=("Softmax",), opset=20)
    run = engine.convert(
        onnx=path, variants=["float32", "int8"], calibration_count=8, out=tmp_path / "run"
    )
    assert engine.compare(run, SAMPLE_IMAGES).probabilities
    assert run.manifest.opset == 20
    assert run.manifest.stages[0].against is None
    assert opset_note(run.manifest) is None


def test_an_open_size_is_a_choice_and_a_fixed_one_is_not(tmp_path: Path) -> None:
    free = classifier(tmp_path / "free.onnx", shape=["n", 3, "h", "w"])
    size = engine.PreprocessChoice(input_size=48)
    run = engine.convert(onnx=free, variants=["float32"], preprocess=size, out=tmp_path / "run")
    assert run.artifact("float32").inputs[0].shape == (1, 48, 48, 3)
    fixed = classifier(tmp_path / "fixed.onnx", shape=[1, 3, SIZE, SIZE])
    with pytest.raises(OptionError, match="32 x 32, which the file fixes"):
        engine.convert(onnx=fixed, variants=["float32"], preprocess=size, out=tmp_path / "no")


def test_operators_outside_the_builtin_set_are_named_and_can_be_allowed(tmp_path: Path) -> None:
    path = classifier(tmp_path / "atan.onnx", shape=[1, 3, SIZE, SIZE], tail=("Atan",))
    with pytest.raises(OperatorError, match=r"Atan.*--allow-flex"):
        engine.convert(onnx=path, variants=["float32"], lowering="stock", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = engine.convert(
        onnx=path, variants=["float32"], lowering="stock", allow_flex=True, out=tmp_path / "flex"
    )
    assert run.artifact("float32").select_tf == ("FlexAtan",)
    assert "SELECT_TF" in str(run.manifest.stages[-1].unchecked)
    assert "float32" not in run.columns


def test_a_model_that_answers_the_same_for_every_picture_is_refused(tmp_path: Path) -> None:
    path = classifier(tmp_path / "same.onnx", shape=[1, 3, SIZE, SIZE], head_scale=0.0)
    with pytest.raises(ModelError, match="Checking onnx: got the same logits for 4"):
        engine.convert(onnx=path, variants=["float32"], out=tmp_path / "run")


def test_a_model_that_answers_nan_is_refused_at_its_hop(tmp_path: Path) -> None:
    path = classifier(
        tmp_path / "nan.onnx", shape=[1, 3, SIZE, SIZE], tail=("Log",), head_scale=100.0
    )
    with pytest.raises(HopError, match="Checking onnx: got NaN or Inf"):
        engine.convert(onnx=path, variants=["float32"], out=tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["nan.onnx"]


def test_a_zip_of_a_half_precision_file_and_its_data(tmp_path: Path) -> None:
    path = classifier(tmp_path / "half.onnx", shape=[1, 3, SIZE, SIZE])
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.input[0].name = model.graph.node[0].input[0] = "self"
    onnx.save_model(model, path, save_as_external_data=True, location="half.data", size_threshold=0)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(path, "half.onnx")
        archive.write(tmp_path / "half.data", "half.data")
    run = engine.convert(onnx=tmp_path / "both.zip", variants=["float32"], out=tmp_path / "run")
    assert run.manifest.notes[0] == "The file computes in float16; here it is computed in float32."
    (stage,) = (stage for stage in run.manifest.stages if stage.name == "onnx")
    assert stage.against == "given file"
    assert stage.max_rel_error is not None
    assert stage.max_rel_error < 0.01
    assert engine.compare(run, SAMPLE_IMAGES).variant("float32").logit_max < 1e-4
    kept = onnx.load(run.onnx_file, load_external_data=False)
    assert {tensor.data_type for tensor in kept.graph.initializer} == {TensorProto.FLOAT}
    assert not any(tensor.external_data for tensor in kept.graph.initializer)
