"""What the float model gives where the layers look: sampled while the model runs as a whole.

The float model does not change during the pass, so it need not be run operator by operator, and
of what its operators make only the rows that somebody reads are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import numpy as np

from engine.core.types import FloatArray
from engine.optimization.rows import Positions
from engine.tflite.graph import Graph, expose, packed
from engine.tflite.interpreter import Crew

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
        """Rows of a tensor; shape (channels, rows), float32, those kept out of the fit last.

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
        places: dict[int, Positions] = {}
        for tensor, positions in self._waiting.items():
            channels = self._floating.shape(tensor)[-1]
            held += positions.rows * channels
            if places and held > self._most:
                break
            places[tensor] = positions
            self._rows[tensor] = np.empty((channels, positions.rows), np.float32)
        for tensor in places:
            del self._waiting[tensor]
        crew = Crew(self._part(list(places)), "the float32 model", len(self._start))

        def sample(picture: int, made: list[np.ndarray]) -> None:
            for (tensor, positions), values in zip(places.items(), made, strict=True):
                positions.copy(values, picture, self._rows[tensor])

        crew.run([self._start], sample)

    def _part(self, tensors: list[int]) -> bytes:
        """The float model as far as the last of some tensors, with these as its outputs."""
        last = max(self._floating.producer[tensor].index for tensor in tensors)
        model, part = copy(self._floating.model), copy(self._floating.raw)
        part.operators = part.operators[: last + 1]
        model.subgraphs = [part]
        expose(model, tensors)
        return packed(model, self._floating.size)
