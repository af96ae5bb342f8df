"""A person's own ONNX file: one picture in, logits out, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError, OptionError
from engine.core.formats import batch_note
from engine.core.types import Layout
from engine.images.preprocess import InputSize, PreprocessSpec, default_preprocess, height_and_width
from engine.networks.catalog import labels_for, note_assumed_names
from engine.networks.onnx_contents import WITH_WEIGHTS, first_arithmetic
from engine.networks.onnx_io import (
    PictureInput,
    choose_output,
    describe_dims,
    describe_output,
    dims_of,
    picture_input_of,
)
from engine.networks.onnx_parts import model_digest
from engine.networks.onnx_reading import onnx_reading, parameters_of
from engine.networks.onnx_tidying import operator_set
from engine.networks.runners.base import alone_and_beside, depends_on_batch
from engine.networks.source import FileFacts, ModelChoice, ModelIdentity, OnnxSource

if TYPE_CHECKING:
    import onnx


_LARGEST_BATCH, _MOST_BATCHES = 64, 3
"""What is tried where a file runs with a certain batch alone and its input does not say which."""


def onnx_source(choice: ModelChoice, input_size: InputSize | None = None) -> OnnxSource:
    """Read a person's ONNX file and find out how to feed it.

    Args:
        choice: Holds the path, the labels and the output, where the person named one.
        input_size: Both sides to feed, or height and width, where the file leaves them open.

    Returns:
        The source, with ImageNet's usual preprocessing at the size of its input.

    Raises:
        ModelError: The file is no ONNX model, not a classifier of one picture, or too large.
        OptionError: The file's input has a fixed size and another was asked for, or several of
            its outputs can hold the logits.
        LabelsError: The label file does not fit.
    """
    path = Path(str(choice.onnx))
    reading = onnx_reading(path)
    model = reading.model
    picture = picture_input(model, path.name)
    preprocess = default_preprocess(picture.channels)
    if picture.takes_pixels:
        preprocess = preprocess.of_pixels()
    preprocess = preprocess.with_input_size(_size_fed(picture, input_size, path.name))
    output, values, batch = _output(model, picture, preprocess, choice.output, path.name)
    classes = np.asarray(values[output]).size // batch
    unused = [describe_output(name, value) for name, value in values.items() if name != output]
    notes = (*reading.notes, *note_assumed_names(choice, classes))
    if unused:
        notes = (f"The answer is the output {output}; left out: {'; '.join(unused)}.", *notes)
    arithmetic = first_arithmetic(model)
    if picture.takes_pixels:
        operators = f" ({', '.join(arithmetic)})" if arithmetic else ""
        notes = (
            f"The file takes uint8 pixels and prepares them itself{operators}: they are fed as "
            "they are, without a second normalization.",
            *notes,
        )
    if batch > 1:
        depends = _depends_on_batch(model, picture.layout, preprocess, output, batch)
        notes = (batch_note("The file", batch, depends=depends), *notes)
    if picture.note:
        notes = (picture.note, *notes)
    return OnnxSource(
        identity=ModelIdentity(
            name=path.stem,
            kind="onnx",
            weights="file",
            weights_sha256=model_digest(path),
            weights_file=str(path),
            parameters=parameters_of(model),
            classes=classes,
        ),
        preprocess=preprocess,
        labels=labels_for(choice, classes),
        file=path,
        layout=picture.layout,
        output=output,
        output_shape=np.asarray(values[output]).shape,
        facts=FileFacts(
            bytes=path.stat().st_size,
            input=picture.name,
            shape=picture.shape,
            dtype="uint8" if picture.takes_pixels else "float32",
            layout=picture.layout,
            output=output,
            classes=classes,
            opset=operator_set(model),
            parameters=parameters_of(model),
        ),
        batch=batch,
        takes_pixels=picture.takes_pixels,
        arithmetic=arithmetic,
        notes=notes,
    )


def _size_fed(picture: PictureInput, asked: InputSize | None, file: str) -> tuple[int, int]:
    """Choose height and width: those that the file fixes, else those asked for, else 224."""
    height, width = height_and_width(224 if asked is None else asked)
    fed = picture.height or height, picture.width or width
    if asked is not None and fed != (height, width):
        rows, columns = (size or "any" for size in (picture.height, picture.width))
        raise OptionError(
            f"Reading {file}",
            got=f"input size {height} x {width}",
            expected=f"{rows} x {columns}, which the file fixes",
            todo="Leave the input size out, or export the model for the other size.",
        )
    return fed


def picture_input(model: onnx.ModelProto, name: str) -> PictureInput:
    """Find the one picture input of a model.

    Raises:
        ModelError: There is no single picture input; see `picture_input_of`.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    described = [
        f"{value.name} ({describe_dims(dims_of(value))} {_dtype(value)})" for value in inputs
    ]
    picture = picture_input_of(model, inputs[0]) if len(inputs) == 1 else None
    if picture is not None:
        return picture
    more = f" and {len(described) - 8} more" if len(described) > 8 else ""
    without_weights = len(inputs) > 1 and not weights
    raise ModelError(
        f"Reading {name}",
        got=f"inputs {'; '.join(described[:8]) or 'none'}{more}",
        expected="one picture input of float32 or uint8, N x C x H x W or N x H x W x C with 1, 3 "
        "or 4 channels",
        todo=WITH_WEIGHTS
        if without_weights
        else "Export the classifier alone, with one picture as its input.",
    )


def _dtype(value: onnx.ValueInfoProto) -> str:
    import onnx

    return str(onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)).lower()


def with_fixed_input(
    model: onnx.ModelProto,
    height: int,
    width: int,
    output: str | None = None,
    output_shape: tuple[int, ...] = (),
    batch: int = 1,
) -> onnx.ModelProto:
    """Fix the open dimensions of a model's picture input.

    Args:
        model: The model; not changed.
        height: Rows to feed.
        width: Columns to feed.
        output: The only output to keep; None keeps all.
        output_shape: Of that output, for where it does not follow from the operators.
        batch: Pictures to feed at once; a batch that the file fixes stays.

    Returns:
        A copy with a static input, and the shapes that follow from it.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    picture = picture_input(fixed, "the model")
    value = next(value for value in fixed.graph.input if value.name == picture.name)
    dims, channels = value.type.tensor_type.shape.dim, picture.channels
    nchw = picture.layout == "NCHW"
    sizes = (batch, channels, height, width) if nchw else (batch, height, width, channels)
    for dim, size in zip(dims, sizes, strict=True):
        if not (dim.HasField("dim_value") and dim.dim_value > 0):
            dim.dim_value = size
    # Shapes written for an open batch contradict the fixed one.
    del fixed.graph.value_info[:]
    for value in [value for value in fixed.graph.output if output not in {None, value.name}]:
        fixed.graph.output.remove(value)
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred: onnx.ModelProto = onnx.shape_inference.infer_shapes(fixed)
    # One symbol stands for the sizes of all parts of a sequence, also of those that differ; ONNX
    # Runtime gives values of one symbol the same memory.
    tensors = [v for v in inferred.graph.value_info if v.type.HasField("tensor_type")]
    for dim in (dim for tensor in tensors for dim in tensor.type.tensor_type.shape.dim):
        dim.ClearField("dim_param")
    del inferred.graph.value_info[:]
    inferred.graph.value_info.extend(tensors)
    for value in inferred.graph.output if output_shape else ():
        dims = value.type.tensor_type.shape.dim
        if not (dims and all(dim.HasField("dim_value") for dim in dims)):
            del dims[:]
            for size in output_shape:
                dims.add(dim_value=size)
    return inferred


def _output(
    model: onnx.ModelProto,
    picture: PictureInput,
    preprocess: PreprocessSpec,
    named: str | None,
    file: str,
) -> tuple[str, dict[str, object], int]:
    """Choose the output; give it, the value of each output for blank pictures, and the batch.

    Where the input leaves the batch open, it is 1, or else one that the file holds as a constant.
    """
    batches = (picture.batch,) if picture.batch else (1, *_batches_inside(model))
    first: ModelError | None = None
    for batch in batches:
        try:
            values = _run_once(model, picture.layout, preprocess, batch)
            return choose_output(model, values, batch, named, file), values, batch
        except ModelError as error:
            first = first or error
    assert first is not None, "one batch at least is tried"
    raise first


def _batches_inside(model: onnx.ModelProto) -> list[int]:
    """List the batches that outputs and constant shapes begin with."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    tensors.update(
        (node.output[0], a.t) for node in constants for a in node.attribute if a.name == "value"
    )
    shapes: list[list[int | None]] = [dims_of(value) for value in model.graph.output]
    shaping = (node for node in model.graph.node if node.op_type in {"Expand", "Reshape"})
    read = [name for node in shaping for name in node.input[1:2] if name in tensors]
    shapes += [numpy_helper.to_array(tensors[name]).reshape(-1).tolist() for name in read]
    first = [shape[0] for shape in shapes if shape and shape[0] is not None]
    return [batch for batch in dict.fromkeys(first) if 1 < batch <= _LARGEST_BATCH][:_MOST_BATCHES]


def _run_once(
    model: onnx.ModelProto, layout: Layout, preprocess: PreprocessSpec, batch: int
) -> dict[str, object]:
    """Run the model on blank pictures; give the value of each output."""
    from engine.networks.runners.onnx import OnnxRunner

    fixed = with_fixed_input(model, preprocess.height, preprocess.width, batch=batch)
    shape = batch, preprocess.height, preprocess.width, preprocess.channels
    with OnnxRunner(fixed.SerializeToString(), layout=layout) as runner:
        return runner.infer_outputs(np.zeros(shape, np.float32))


def _depends_on_batch(
    model: onnx.ModelProto, layout: Layout, preprocess: PreprocessSpec, output: str, batch: int
) -> bool:
    """Tell whether an output answers a picture by the others of a batch."""
    from engine.networks.runners.onnx import OnnxRunner

    sizes = preprocess.height, preprocess.width
    fixed = with_fixed_input(model, *sizes, output, batch=batch)
    with OnnxRunner(fixed.SerializeToString(), layout=layout) as runner:
        return depends_on_batch(*alone_and_beside(runner, preprocess.of_noise()))
