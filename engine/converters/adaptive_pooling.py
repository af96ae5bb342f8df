"""Export adaptive average pooling to any size.

PyTorch's exporter refuses sizes that do not divide those of the input, which VGG and AlexNet need
for pictures of other sizes than their own (8 x 8 to 7 x 7).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

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
    rows, columns = (
        averaging_matrix(size, number) for size, number in zip(sizes, wanted, strict=True)
    )
    across = graph.op("MatMul", picture, graph.op("Constant", value_t=columns.T.contiguous()))
    return graph.op("MatMul", graph.op("Constant", value_t=rows), across)


def averaging_matrix(size: int, number: int) -> torch.Tensor:
    """The matrix whose product with a column is its adaptive average.

    Cell ``i`` averages the elements from ``floor(i size / number)`` to before
    ``ceil((i + 1) size / number)``, as in PyTorch's ``AdaptiveAvgPool2d``.

    Args:
        size: Elements of the column.
        number: Cells.

    Returns:
        Shape (number, size), float32; each row sums to 1.
    """
    import torch

    matrix = torch.zeros(number, size)
    for cell in range(number):
        first, end = cell * size // number, -(-(cell + 1) * size // number)
        matrix[cell, first:end] = 1 / (end - first)
    return matrix
