"""Export adaptive average pooling to any size.

PyTorch's exporter refuses sizes that do not divide those of the input, which VGG and AlexNet need
for pictures of other sizes than their own (8 x 8 to 7 x 7).
"""

from __future__ import annotations

from functools import cache
from typing import Any

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
    across = _averaged(graph, picture, cells(sizes[1], wanted[1]), axis=3)
    return _averaged(graph, across, cells(sizes[0], wanted[0]), axis=2)


def _averaged(graph: Any, picture: Any, intervals: list[tuple[int, int]], axis: int) -> Any:
    """Mean over each interval of an axis; slices, because int8 spoils a product with a matrix."""
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
    """What each cell of an adaptive average covers, as in PyTorch's ``AdaptiveAvgPool2d``.

    Args:
        size: Elements along the axis.
        number: Cells along it.

    Returns:
        First element of each cell, and the one after its last:
        ``floor(i size / number)`` and ``ceil((i + 1) size / number)``.
    """
    return [(cell * size // number, -(-(cell + 1) * size // number)) for cell in range(number)]
