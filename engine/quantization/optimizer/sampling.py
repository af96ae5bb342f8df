"""Rows of a layer's input and output at sampled positions.

A convolution at one position is a product of its weights with one row, the window it looks at.
All layers get one form: ``groups`` products of their own, each of ``out`` channels with rows of
``length`` numbers. A plain convolution or a fully connected layer is one group, a depthwise
convolution one a channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.types import FloatArray, IntArray
from engine.tflite.graph import Graph, Operator, expose, pack_model
from engine.tflite.interpreter import Interpreters

ROW_NUMBERS = 8_000_000
"""Numbers in all rows of a layer, about; more rows say little more about a covariance."""
FEWEST_ROWS = 4700
HELD_OUT = 8
"""Every 8th picture is held out for validation."""
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Geometry:
    """Order of a layer's weights in its file.

    Attributes:
        groups: Products of their own.
        channels: Output channels a group.
        length: Numbers in a row.
        window: Height and width of what a convolution looks at; (1, 1) for a fully connected layer.
        depthwise: Whether channels are the last axis of the weights.
    """

    groups: int
    channels: int
    length: int
    window: tuple[int, int]
    depthwise: bool

    @classmethod
    def of(cls, graph: Graph, op: Operator) -> Geometry:
        """Read how the weights of an operator lie."""
        weights, source = graph.shape(op.inputs[1]), graph.shape(op.inputs[0])
        if op.opcode == "FULLY_CONNECTED":
            return cls(1, weights[0], weights[1], (1, 1), False)
        if op.opcode == "DEPTHWISE_CONV_2D":
            _, height, width, out = weights
            return cls(source[-1], out // source[-1], height * width, (height, width), True)
        out, height, width, depth = weights
        groups = source[-1] // depth
        return cls(groups, out // groups, height * width * depth, (height, width), False)

    def group(self, weights: np.ndarray) -> np.ndarray:
        """Bring weights as in the file to shape (groups, channels, length)."""
        if self.depthwise:
            weights = weights.reshape(self.length, -1).T
        return weights.reshape(self.groups, self.channels, self.length)

    def ungroup(self, grouped: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Bring weights of `group` back to the file's shape."""
        flat = grouped.reshape(self.groups * self.channels, self.length)
        return (flat.T if self.depthwise else flat).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A layer's input and output at sampled positions.

    Attributes:
        source: Input, zero point removed, in steps; shape (groups, rows, length), float32.
        target: What the float model gives there; shape (outputs, rows), float32.
        fitted: How many of the rows, from the first on, are for the fit; the others are of
            pictures that are kept out of it.
    """

    source: FloatArray
    target: FloatArray
    fitted: int


def choose_held_out(pictures: int) -> NDArray[np.bool_]:
    """Choose which of so many pictures are kept out of the fit."""
    held_out: NDArray[np.bool_] = np.arange(pictures) % HELD_OUT == HELD_OUT - 1
    return held_out


class Positions:
    """Positions sampled in every image, the same for all that is asked about them.

    Args:
        pictures: How many pictures.
        cut: Images of each picture: its windows, where the network cuts it, and its repetitions,
            where the network takes several pictures at once.
        places: Positions in each image.
        most: Rows wanted in all.
        seed: Of the choice.

    Attributes:
        rows: How many there are.
        fitted: How many of them, from the first on, are of pictures that the fit may use.
    """

    def __init__(self, pictures: int, cut: int, places: int, most: int, seed: int) -> None:
        images = pictures * cut
        self._places = places
        self._each = min(places, max(1, -(-most // images)))
        if self._each == places:
            self.chosen = np.broadcast_to(np.arange(places), (images, places))
        else:
            rng = np.random.default_rng(seed)
            self.chosen = np.stack(
                [
                    rng.choice(places, self._each, replace=False, shuffle=False)
                    for _ in range(images)
                ]
            )
        # By picture: what its windows or repetitions say of each other is no proof.
        held = np.repeat(choose_held_out(pictures), cut)
        self.order = np.argsort(held, kind="stable")
        self._rank = np.argsort(self.order, kind="stable")
        self.rows = images * self._each
        self.fitted = int((~held).sum()) * self._each

    def of(self, values: np.ndarray) -> np.ndarray:
        """Take rows of values of shape (images, places, channels); shape (rows, channels).

        Those of pictures that are kept out of the fit come last.
        """
        taken = [values[image][self.chosen[image]] for image in self.order]
        return np.concatenate(taken)

    def copy(self, values: np.ndarray, picture: int, rows: FloatArray) -> None:
        """Copy the rows of one picture to their place.

        Args:
            values: What an operator makes of the picture; last axis the channels.
            picture: Which one it is.
            rows: Rows of all pictures, shape (channels, rows); written to.
        """
        images = values.reshape(-1, self._places, values.shape[-1])
        for number, image in enumerate(images, picture * len(images)):
            start = self._rank[number] * self._each
            rows[:, start : start + self._each] = image[self.chosen[number]].T


def positions_of(graph: Graph, op: Operator, pictures: int) -> Positions:
    """Choose the positions at which a layer with weights is sampled."""
    geometry, shape = Geometry.of(graph, op), graph.shape(op.output)
    outputs = geometry.groups * geometry.channels
    cut = 1 if op.opcode == "FULLY_CONNECTED" else shape[0]
    whole = geometry.groups * geometry.length
    most = max(ROW_NUMBERS // max(whole, outputs), FEWEST_ROWS, 2 * geometry.length)
    places = math.prod(shape) // outputs // cut
    return Positions(pictures, cut, places, most, op.index)


def rows_of(
    graph: Graph, op: Operator, source: np.ndarray, target: FloatArray, positions: Positions
) -> Rows:
    """Take the rows of a layer's input, beside those of the float output.

    Args:
        graph: The integer model.
        op: The layer.
        source: Its integer input, first axis the pictures.
        target: The float output at the positions; shape (outputs, rows).
        positions: Where to look.
    """
    geometry = Geometry.of(graph, op)
    grid = graph.grid(op.inputs[0])
    assert grid is not None, "the input of an integer layer has one scale"
    if op.opcode == "FULLY_CONNECTED":
        windows = positions.of(source.reshape(len(source), -1, geometry.length))
    else:
        images = source.reshape(-1, *source.shape[2:])
        windows = _windows(graph, op, images, positions, grid.zero_point)
    grouped = _group_windows(windows, geometry)
    grouped -= np.float32(grid.zero_point)
    return Rows(grouped, target, positions.fitted)


def _group_windows(windows: IntArray, geometry: Geometry) -> FloatArray:
    if geometry.groups == 1:
        return windows.astype(np.float32)[None]
    rows = len(windows)
    height, width = geometry.window
    parted = windows.reshape(rows, height * width, geometry.groups, -1)
    # Contiguous, since batched products of strided matrices are tens of times slower; some rows at
    # a time, since the transpose of a block that stays in the cache is quicker.
    grouped = np.empty((geometry.groups, rows, geometry.length), np.float32)
    for start in range(0, rows, _BLOCK):
        block = parted[start : start + _BLOCK].transpose(2, 0, 1, 3)
        grouped[:, start : start + _BLOCK] = block.reshape(geometry.groups, -1, geometry.length)
    return grouped


def _windows(
    graph: Graph, op: Operator, images: IntArray, positions: Positions, zero: int
) -> IntArray:
    """Take windows of every image at its positions; shape (rows, height * width * channels)."""
    options, (height, width) = op.raw.builtinOptions, Geometry.of(graph, op).window
    strides = int(options.strideH), int(options.strideW)
    dilations = int(options.dilationHFactor), int(options.dilationWFactor)
    if (height, width) == (1, 1) and strides == (1, 1):
        return positions.of(images.reshape(len(images), -1, images.shape[-1]))
    columns = graph.shape(op.output)[2]
    spread = [
        _padding(int(options.padding), size, out, kernel, stride, dilation)
        for size, out, kernel, stride, dilation in zip(
            images.shape[1:3],
            graph.shape(op.output)[1:3],
            (height, width),
            strides,
            dilations,
            strict=True,
        )
    ]
    windows = []
    for image in positions.order:
        chosen = positions.chosen[image]
        padded = np.pad(images[image], (*spread, (0, 0)), constant_values=zero)
        top, left = chosen // columns * strides[0], chosen % columns * strides[1]
        y = top[:, None, None] + np.arange(height)[:, None] * dilations[0]
        x = left[:, None, None] + np.arange(width)[None, :] * dilations[1]
        windows.append(padded[y, x].reshape(len(chosen), -1))
    return np.concatenate(windows)


def _padding(
    rule: int, size: int, out: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
    """Count the places to pad before and after one axis; SAME puts the odd one after."""
    if rule != 0:
        return 0, 0
    whole = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return whole // 2, whole - whole // 2


HELD_NUMBERS = 100_000_000
"""Sampled values held at once; a network with more of them is run several times."""


class Targets:
    """Rows of what operators of the float model make, read once each, in order.

    Args:
        floating: The float model.
        start: Its input, first axis the pictures.
        wanted: Where to sample what, by tensor, in the order in which it will be read.
        held_numbers: Values to hold at once; at least one tensor's are.
    """

    def __init__(
        self,
        floating: Graph,
        start: np.ndarray,
        wanted: Mapping[int, Positions],
        held_numbers: int = HELD_NUMBERS,
    ) -> None:
        self._floating, self._start = floating, start
        self._waiting = dict(wanted)
        self._most = held_numbers
        self._rows: dict[int, FloatArray] = {}

    def take(self, tensor: int) -> FloatArray:
        """Give the rows of a tensor; shape (channels, rows), float32, those held out last.

        Raises:
            ConversionError: LiteRT refuses the model.
        """
        # Those passed over are sampled on the way.
        while tensor not in self._rows:
            self._run()
        return self._rows.pop(tensor)

    def _run(self) -> None:
        """Sample the next tensors, as many as may be held."""
        held = 0
        sampled: dict[int, Positions] = {}
        for tensor, positions in self._waiting.items():
            channels = self._floating.shape(tensor)[-1]
            held += positions.rows * channels
            if sampled and held > self._most:
                break
            sampled[tensor] = positions
            self._rows[tensor] = np.empty((channels, positions.rows), np.float32)
        for tensor in sampled:
            del self._waiting[tensor]

        def sample(picture: int, outputs: list[np.ndarray]) -> None:
            for (tensor, positions), values in zip(sampled.items(), outputs, strict=True):
                positions.copy(values, picture, self._rows[tensor])

        part = self._part(list(sampled))
        Interpreters(part, "the float32 model", len(self._start)).run([self._start], sample)

    def _part(self, tensors: list[int]) -> bytes:
        """Cut the float model behind the last of some tensors, with these as its outputs."""
        last = max(self._floating.producer[tensor].index for tensor in tensors)
        model, part = copy(self._floating.model), copy(self._floating.raw)
        part.operators = part.operators[: last + 1]
        model.subgraphs = [part]
        expose(model, tensors)
        return pack_model(model, len(self._floating.content))
