"""PyTorch to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConversionError, OptionError

if TYPE_CHECKING:
    import torch

LOWEST_OPSET, HIGHEST_OPSET = 9, 17
INPUT_NAME, OUTPUT_NAME = "input", "logits"


def onnx_from_torch(
    network: torch.nn.Module, file: Path, *, height: int, width: int, opset: int
) -> None:
    """Export a network for one picture with the TorchScript exporter, and check the file.

    The newer exporter starts at operator set 18, which onnx-tf cannot read.

    Args:
        network: Takes (1, 3, height, width), float32, and gives logits.
        file: Where to write.
        height: Rows of the picture.
        width: Columns of the picture.
        opset: ONNX operator set.

    Raises:
        OptionError: The operator set is out of range.
        ConversionError: The exporter or onnx.checker refuses.
    """
    import onnx
    import torch

    check_opset(opset)
    example = torch.zeros(1, 3, height, width)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (example,),
                str(file),
                dynamo=False,
                opset_version=opset,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
            )
        onnx.checker.check_model(str(file))
    except Exception as error:  # the exporter raises many kinds
        raise ConversionError(
            "PyTorch to ONNX",
            got=f"a refusal of the exporter ({str(error).strip().splitlines()[0]})",
            expected=f"a graph of operator set {opset}",
            todo="Try another operator set (--opset), up to 17.",
        ) from error


def check_opset(opset: int) -> None:
    """Refuse an operator set that cannot be exported or read on.

    Raises:
        OptionError: It is out of range.
    """
    if not LOWEST_OPSET <= opset <= HIGHEST_OPSET:
        raise OptionError(
            "Choosing the ONNX operator set",
            got=str(opset),
            expected=f"{LOWEST_OPSET} to {HIGHEST_OPSET}",
            todo="Give another --opset; 13 suits most models.",
        )
