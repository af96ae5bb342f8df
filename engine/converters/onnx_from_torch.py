"""PyTorch to ONNX."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.converters.adaptive_pooling import register_adaptive_pooling
from engine.errors import ConversionError, OperatorError, OptionError

if TYPE_CHECKING:
    import torch

LOWEST_OPSET, BASE_OPSET, HIGHEST_OPSET = 9, 13, 17
"""What a person may ask for, and where the search for the lowest that works begins."""
INPUT_NAME, OUTPUT_NAME = "input", "logits"
_STAGE = "PyTorch to ONNX"


def onnx_from_torch(
    network: torch.nn.Module, file: Path, *, height: int, width: int, opset: int | None
) -> int:
    """Export a network for one picture with the TorchScript exporter, and check the file.

    The newer exporter starts at operator set 18, which onnx-tf cannot read.

    Args:
        network: Takes (1, 3, height, width), float32, and gives logits.
        file: Where to write.
        height: Rows of the picture.
        width: Columns of the picture.
        opset: ONNX operator set; None takes the lowest from `BASE_OPSET` on that has what the
            network needs.

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
            _export(network, file, height, width, candidate)
        except OnnxExporterError as error:  # later sets know more operators, and more of them
            missing = error
        except Exception as error:  # the exporter raises many kinds
            raise ConversionError(
                _STAGE,
                got=f"a refusal of the exporter ({_first_line(error)})",
                expected=f"a graph of operator set {candidate}",
                todo="Try another operator set (--opset), up to 17, or export the model to ONNX "
                "yourself and convert that file (--onnx).",
            ) from error
        else:
            return candidate
    raise OperatorError(
        _STAGE,
        got=_operator_refused(missing),
        expected="operators that PyTorch exports to operator set "
        + " to ".join(str(number) for number in dict.fromkeys((candidates[0], candidates[-1]))),
        todo="Leave --opset out to search for one that has it."
        if opset is not None
        else "Write that part of the network with other operators.",
    ) from missing


def _operator_refused(error: Exception) -> str:
    unknown = re.search(r"operator '(\w+::\w+)'", _first_line(error))
    if unknown:
        return f"the operator {unknown[1]}"
    # "Unsupported: ONNX export of operator x, reason. Please ... URL [Caused by the value ..."
    known = re.search(r"ONNX export of operator (.+?)(?:\. |$)", _first_line(error))
    return f"the operator {known[1]}" if known else _first_line(error)


def _export(network: torch.nn.Module, file: Path, height: int, width: int, opset: int) -> None:
    import onnx
    import torch

    register_adaptive_pooling()
    with warnings.catch_warnings(), _unheard():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, height, width),),
            str(file),
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    onnx.checker.check_model(str(file))


@contextmanager
def _unheard() -> Iterator[None]:
    """Drop what is printed meanwhile: the exporter's C++ prints the whole graph when it fails."""
    kept = [os.dup(stream) for stream in (1, 2)]
    with open(os.devnull, "wb") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    try:
        yield
    finally:
        for stream, before in zip((1, 2), kept, strict=True):
            os.dup2(before, stream)
            os.close(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
