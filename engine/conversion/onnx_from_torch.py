"""PyTorch to ONNX."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.errors import ConversionError, OperatorError, OptionError, first_line
from engine.networks.network_outputs import OUTPUT_NAME

if TYPE_CHECKING:
    import onnx
    import torch

LOWEST_OPSET, BASE_OPSET, HIGHEST_OPSET = 9, 13, 17
"""What a person may ask for, and where the search for the lowest that works begins."""
LOWEST_DYNAMO_OPSET = 18
INPUT_NAME = "input"
STAGE = "PyTorch to ONNX"


def onnx_from_torch(
    network: torch.nn.Module,
    file: Path,
    *,
    height: int,
    width: int,
    opset: int | None,
    channels: int = 3,
    output: str = OUTPUT_NAME,
) -> int:
    """Export a network for one picture with the TorchScript exporter, and check the file.

    Args:
        network: Takes (1, channels, height, width), float32, and gives logits.
        file: Where to write.
        height: Rows of the picture.
        width: Columns of the picture.
        opset: ONNX operator set; None takes the lowest from `BASE_OPSET` on that has what the
            network needs.
        channels: Numbers of a pixel.
        output: What to call the logits.

    Returns:
        The operator set of the file.

    Raises:
        OptionError: The operator set is out of range.
        OperatorError: The exporter has no translation of an operator.
        ConversionError: The exporter or onnx.checker refuses.
    """
    from torch.onnx.errors import OnnxExporterError

    check_opset(opset)
    candidates = range(BASE_OPSET, HIGHEST_OPSET + 1) if opset is None else (opset,)
    for candidate in candidates:
        try:
            _export(network, file, (1, channels, height, width), candidate, output)
        except OnnxExporterError as error:  # later sets know more operators, and more of them
            missing = error
        except Exception as error:  # the exporter raises many kinds
            raise ConversionError(
                STAGE,
                got=f"a refusal of the exporter ({first_line(error)})",
                expected=f"a graph of operator set {candidate}",
                todo="Try another operator set (--opset), up to 17, or export the model to ONNX "
                "yourself and convert that file (--onnx).",
            ) from error
        else:
            return candidate
    raise OperatorError(
        STAGE,
        got=_operator_refused(missing),
        expected="operators that PyTorch exports to operator set "
        + " to ".join(str(number) for number in dict.fromkeys((candidates[0], candidates[-1]))),
        todo="Leave --opset out to search for one that has it."
        if opset is not None
        else "Write that part of the network with other operators.",
    ) from missing


def _operator_refused(error: Exception) -> str:
    unknown = re.search(r"operator '(\w+::\w+)'", first_line(error))
    if unknown:
        return f"the operator {unknown[1]}"
    # "Unsupported: ONNX export of operator x, reason. Please ... URL [Caused by the value ..."
    match = re.search(r"ONNX export of operator (.+?)(?:\. |$)", first_line(error))
    return f"the operator {match[1]}" if match else first_line(error)


def _export(
    network: torch.nn.Module, file: Path, shape: tuple[int, ...], opset: int, output: str
) -> None:
    import onnx
    import torch

    register_adaptive_pooling()
    picture = torch.zeros(shape)
    scripted = [isinstance(module, torch.jit.ScriptModule) for module in network.modules()]
    with warnings.catch_warnings(), _unheard():
        warnings.simplefilter("ignore")
        if any(scripted) and not scripted[0]:  # the exporter's own trace refuses such parts
            trace: Any = torch.jit.trace
            network = trace(network.eval(), picture, check_trace=False)
        torch.onnx.export(
            network.eval(),
            (picture,),
            str(file),
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=[output],
        )
    onnx.checker.check_model(str(file))


def onnx_from_exported_program(
    network: torch.nn.Module,
    file: Path,
    *,
    height: int,
    width: int,
    channels: int = 3,
    output: str = OUTPUT_NAME,
) -> int:
    """Export a network for one picture with the exporter that is built on `torch.export`.

    It takes some networks that the TorchScript exporter refuses, in other operators and from
    `LOWEST_DYNAMO_OPSET` on. What it notes of source files and lines is left out of the file.

    Raises:
        ConversionError: The exporter or onnx.checker refuses.
    """
    import onnx
    import torch

    picture = torch.zeros(1, channels, height, width)
    try:
        with warnings.catch_warnings(), _unheard(), torch.nn.utils.parametrize.cached():
            warnings.simplefilter("ignore")
            network(picture)  # a computed weight, such as an orthogonal one, becomes a constant
            program = torch.onnx.export(
                network,
                (picture,),
                dynamo=True,
                opset_version=LOWEST_DYNAMO_OPSET,
                input_names=[INPUT_NAME],
                output_names=[output],
                verbose=False,
            )
            assert program is not None, "the exporter gives a program where it writes no file"
            model = program.model_proto
        _drop_notes(model)
        onnx.checker.check_model(model)
    except Exception as error:  # the exporter raises many kinds
        raise ConversionError(
            STAGE,
            got=f"a refusal of torch.export's exporter ({first_line(error.__cause__ or error)})",
            expected=f"a graph of operator set {LOWEST_DYNAMO_OPSET}",
            todo="Write that part of the network with other operators, or export the model to "
            "ONNX yourself and convert that file (--onnx).",
        ) from error
    file.write_bytes(model.SerializeToString())
    return LOWEST_DYNAMO_OPSET


def onnx_from_either_exporter(
    network: torch.nn.Module, file: Path, *, height: int, width: int, opset: int | None
) -> int:
    """Export a network by TorchScript, or by `torch.export` where that has no translation.

    Raises:
        OptionError: The operator set is out of range.
        OperatorError: The TorchScript exporter has no translation of an operator, and the other
            refuses the network as well.
        ConversionError: The TorchScript exporter or onnx.checker refuses.
    """
    try:
        return onnx_from_torch(network, file, height=height, width=width, opset=opset)
    except OperatorError as error:
        if opset is not None:
            raise
        try:
            return onnx_from_exported_program(network, file, height=height, width=width)
        except ConversionError:
            raise error from None


def torch_export_note(reason: str) -> str:
    """Say that a network was exported by way of `torch.export`, and why not by TorchScript."""
    return (
        f"Exported for operator set {LOWEST_DYNAMO_OPSET} by way of torch.export, since the "
        f"TorchScript exporter {reason}."
    )


def _drop_notes(model: onnx.ModelProto) -> None:
    graphs = [model.graph]
    del model.metadata_props[:]
    for graph in graphs:
        del graph.metadata_props[:]
        for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
            del part.metadata_props[:]
            part.ClearField("doc_string")
        del graph.value_info[:]
        attributes = [attribute for node in graph.node for attribute in node.attribute]
        graphs += [inner for a in attributes for inner in (a.g, *a.graphs) if inner.node]


@contextmanager
def _unheard() -> Iterator[None]:
    """Drop what is printed meanwhile: the exporter's C++ prints the whole graph when it fails."""
    copies = [os.dup(stream) for stream in (1, 2)]
    with open(os.devnull, "wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    try:
        yield
    finally:
        for stream, before in zip((1, 2), copies, strict=True):
            os.dup2(before, stream)
            os.close(before)


def check_opset(opset: int | None) -> None:
    """Refuse an operator set that cannot be exported or read on.

    Raises:
        OptionError: It is out of range.
    """
    if opset is not None and not LOWEST_OPSET <= opset <= HIGHEST_OPSET:
        raise OptionError(
            "Choosing the ONNX operator set",
            got=str(opset),
            expected=f"{LOWEST_OPSET} to {HIGHEST_OPSET}",
            todo="Give another --opset, or none to take the lowest that works.",
        )


_FROM_OPSET = 9


@cache
def register_adaptive_pooling() -> None:
    """Make the exporter use the translation below, in this process."""
    from torch.onnx import utils

    utils.register_custom_op_symbolic(
        "aten::adaptive_avg_pool2d", _adaptive_avg_pool2d, _FROM_OPSET
    )


def _adaptive_avg_pool2d(graph: Any, picture: Any, output_size: Any) -> Any:
    from torch.onnx import symbolic_helper
    from torch.onnx.errors import SymbolicValueError

    helper: Any = symbolic_helper
    wanted = helper._get_const(output_size, "is", "output_size")
    if list(wanted) == [1, 1]:
        return graph.op("GlobalAveragePool", picture)
    sizes = (helper._get_tensor_sizes(picture) or [None] * 4)[2:]
    if None in sizes:
        raise SymbolicValueError(
            "Unsupported: ONNX export of operator adaptive_avg_pool2d, input of unknown size",
            picture,
        )
    if all(size % number == 0 for size, number in zip(sizes, wanted, strict=True)):
        kernel = [size // number for size, number in zip(sizes, wanted, strict=True)]
        return graph.op("AveragePool", picture, kernel_shape_i=kernel, strides_i=kernel)
    across = _average(graph, picture, cells(sizes[1], wanted[1]), axis=3)
    return _average(graph, across, cells(sizes[0], wanted[0]), axis=2)


def _average(graph: Any, picture: Any, intervals: list[tuple[int, int]], axis: int) -> Any:
    """Average intervals of an axis by slices, because int8 spoils a product with a matrix."""
    import torch

    def constant(value: int) -> Any:
        return graph.op("Constant", value_t=torch.tensor([value]))

    means = []
    for first, end in intervals:
        part = graph.op("Slice", picture, constant(first), constant(end), constant(axis))
        kernel = [end - first, 1] if axis == 2 else [1, end - first]
        means.append(graph.op("AveragePool", part, kernel_shape_i=kernel, strides_i=[1, 1]))
    return graph.op("Concat", *means, axis_i=axis) if len(means) > 1 else means[0]


def cells(size: int, number: int) -> list[tuple[int, int]]:
    """List the interval of each cell of an adaptive average, as PyTorch's ``AdaptiveAvgPool2d``.

    Returns:
        First element of each cell, and the one after its last:
        ``floor(i size / number)`` and ``ceil((i + 1) size / number)``.
    """
    return [(cell * size // number, -(-(cell + 1) * size // number)) for cell in range(number)]
