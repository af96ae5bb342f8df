"""Which output of an ONNX file is taken for the logits; features, maps and numbers are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.core.errors import ModelError, OptionError
from engine.networks.onnx_files import onnx_source, with_fixed_input
from engine.networks.onnx_reading import read_onnx
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.source import ModelChoice

CLASSES = 6
RANKS = {"features": 4, "mean": 4, "rows_of_two": 3, "label": 1}
FLOAT, INT64, INT32, BOOL = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
)


def classifier(
    folder: Path, outputs: dict[str, int], *, batch: int | str = "n", nodes: tuple[str, ...] = ()
) -> str:
    """A file whose value ``logits`` is N x 6, with some outputs derived from it.

    Args:
        folder: Where to write it.
        outputs: Element type of each output, in order.
        batch: First dimension of the input.
        nodes: Lines of ONNX's text form, each one node.
    """
    weight = np.random.default_rng(0).normal(size=(3, CLASSES)).astype(np.float32)
    parts = [
        "features = Conv <kernel_shape = [1, 1]> (x, kernel)",
        "mean = GlobalAveragePool (features)",
        "flat = Flatten (mean)",
        "logits = MatMul (flat, weight)",
        *nodes,
    ]
    graph = onnx.parser.parse_graph(
        f"g (float[{batch},3,8,8] x) => (float[n,6] logits) {{" + "\n".join(parts) + "}"
    )
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(n, t, [None] * RANKS.get(n, 2)) for n, t in outputs.items()
    )
    kernel = np.eye(3, dtype=np.float32)[:, :, None, None]
    graph.initializer.extend(
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(kernel, "kernel")]
    )
    constants = {
        "k": np.array([5]),
        "four": np.array([4, -1]),
        "rows": np.array([-1, 2, 3]),
        "zero": np.float32(0),
    }
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
        if name in read
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    file = folder / "m.onnx"
    file.write_bytes(model.SerializeToString())
    return str(file)


PROBABILITIES = "p = Softmax <axis = 1> (logits)"
LABEL = "label = ArgMax <axis = 1, keepdims = 0> (logits)"
FEATURES = "features (float32, 1 x 3 x 8 x 8)"
TOP = "top, places = TopK (logits, k)"
ROWS = "rows_of_two = Reshape (logits, rows)"
POSITIVE = "positive = Greater (logits, zero)"
WHOLE = "whole = Cast <to = 6> (logits)"


@pytest.mark.parametrize(
    ("outputs", "nodes", "taken", "unused"),
    [
        ({"logits": FLOAT}, (), "logits", ()),
        (
            {"features": FLOAT, "logits": FLOAT},
            (),
            "logits",
            ("features (float32, 1 x 3 x 8 x 8)",),
        ),
        ({"label": INT64, "p": FLOAT}, (PROBABILITIES, LABEL), "p", ("label (int64, 1)",)),
        ({"top": FLOAT, "logits": FLOAT}, (TOP,), "logits", ("top (float32, 1 x 5)",)),
        ({"mean": FLOAT}, (), "mean", ()),
    ],
)
def test_the_only_output_that_can_hold_logits_is_taken(
    tmp_path: Path,
    outputs: dict[str, int],
    nodes: tuple[str, ...],
    taken: str,
    unused: tuple[str, ...],
) -> None:
    source = onnx_source(ModelChoice(onnx=classifier(tmp_path, outputs, nodes=nodes)))
    assert source.output == taken
    assert source.identity.classes == (3 if taken == "mean" else CLASSES)
    assert source.notes == tuple(
        f"The answer is the output {taken}; left out: {name}." for name in unused
    )


@pytest.mark.parametrize(
    ("outputs", "nodes", "named"),
    [
        ({"features": FLOAT}, (), "features (float32, 1 x 3 x 8 x 8): more than one row"),
        ({"rows_of_two": FLOAT}, (ROWS,), "rows_of_two (float32, 1 x 2 x 3): more than one row"),
        ({"label": INT64}, (LABEL,), "label (int64, 1): numbers of type int64, which ArgMax gives"),
        ({"top": FLOAT, "places": INT64}, (TOP,), "the largest values alone, which TopK gives"),
        ({"positive": BOOL}, (POSITIVE,), "positive (bool, 1 x 6): numbers of type bool"),
        ({"whole": INT32}, (WHOLE,), "whole (int32, 1 x 6): numbers of type int32"),
    ],
)
def test_a_file_without_logits_is_refused_by_name_and_shape(
    tmp_path: Path, outputs: dict[str, int], nodes: tuple[str, ...], named: str
) -> None:
    with pytest.raises(ModelError) as caught:
        onnx_source(ModelChoice(onnx=classifier(tmp_path, outputs, nodes=nodes)))
    assert named in caught.value.got


def test_of_several_that_can_the_person_names_one(tmp_path: Path) -> None:
    file = classifier(tmp_path, {"mean": FLOAT, "logits": FLOAT})
    with pytest.raises(OptionError, match="--output NAME") as caught:
        onnx_source(ModelChoice(onnx=file))
    assert "mean (float32, 1 x 3 x 1 x 1); logits (float32, 1 x 6)" in caught.value.got
    source = onnx_source(ModelChoice(onnx=file, output="logits"))
    assert (source.output, source.identity.classes) == ("logits", CLASSES)
    with pytest.raises(OptionError, match="'probabilities'"):
        onnx_source(ModelChoice(onnx=file, output="probabilities"))


def test_a_named_output_that_holds_none_is_refused(tmp_path: Path) -> None:
    file = classifier(tmp_path, {"logits": FLOAT, "features": FLOAT})
    with pytest.raises(ModelError, match="Name another output"):
        onnx_source(ModelChoice(onnx=file, output="features"))


def test_a_fixed_batch_is_no_axis_of_the_logits(tmp_path: Path) -> None:
    source = onnx_source(ModelChoice(onnx=classifier(tmp_path, {"logits": FLOAT}, batch=4)))
    assert source.identity.classes == CLASSES


def test_a_fixed_batch_is_noted_and_whether_answers_depend_on_it(tmp_path: Path) -> None:
    source = onnx_source(ModelChoice(onnx=classifier(tmp_path, {"logits": FLOAT}, batch=4)))
    (note,) = [note for note in source.notes if "4 pictures at once" in note]
    assert "a latency is that of 4 pictures" in note
    assert "others of the same call" not in note
    mixing = ("most = ReduceMax <axes = [0]> (logits)", "mixed = Sub (logits, most)")
    file = classifier(tmp_path, {"mixed": FLOAT}, batch=4, nodes=mixing)
    assert any("others of the same call" in n for n in onnx_source(ModelChoice(onnx=file)).notes)


def test_a_batch_that_only_a_constant_shape_fixes_is_fed(tmp_path: Path) -> None:
    nodes = ("again = Reshape (logits, four)", "score = Identity (again)")
    file = classifier(tmp_path, {"score": FLOAT}, nodes=nodes)
    source = onnx_source(ModelChoice(onnx=file))
    assert (source.batch, source.output_shape, source.identity.classes) == (4, (4, 6), 6)
    copy = with_fixed_input(read_onnx(Path(file)), 8, 8, "score", (4, 6), source.batch)
    pictures = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype(np.float32)
    with OnnxRunner(copy.SerializeToString()) as runner:
        weight = np.random.default_rng(0).normal(size=(3, CLASSES)).astype(np.float32)
        expected = pictures.mean(axis=(1, 2)) @ weight
        np.testing.assert_allclose(runner.infer(pictures), expected, rtol=1e-4, atol=1e-5)


def test_the_copy_has_the_chosen_output_alone(tmp_path: Path) -> None:
    file = Path(classifier(tmp_path, {"features": FLOAT, "logits": FLOAT}))
    copy = with_fixed_input(read_onnx(file), 8, 8, "logits")
    assert [value.name for value in copy.graph.output] == ["logits"]
    picture = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    with OnnxRunner(file) as whole, OnnxRunner(copy.SerializeToString()) as alone:
        expected = whole.infer_outputs(picture)["logits"]
        assert np.array_equal(alone.infer(picture), expected)
