"""In which order layers are best computed in float32, told from the noise of each rounding.

A layer in float32 has no rounded weights. The rounding of an activation falls away only where the
operator that makes it and all that read it are in float32; so layers that follow each other win
more together than each alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from engine.optimization.noise import Noise
from engine.tflite.graph import EDGES, WEIGHTED, Graph

_MOST_AT_ONCE = 4
"""Layers added in one step: a block of three, and the layer that reads its sum."""


@dataclass(frozen=True, slots=True)
class Step:
    """Layers that are next best in float32.

    Attributes:
        layers: Operators with weights, by their place in the integer model.
        left: Mean square of the logits' error that is expected with these and all before in
            float32.
    """

    layers: tuple[int, ...]
    left: float


class Wiring:
    """Who reads whom in an integer model, among the operators that could be in float32.

    Args:
        graph: The integer model.
        partners: Operators that have a counterpart in the float32 model.
    """

    def __init__(self, graph: Graph, partners: Iterable[int]) -> None:
        self.operators = frozenset(partners)
        self.layers = [i for i in sorted(self.operators) if graph.operators[i].name in WEIGHTED]
        self._edges = {op.index for op in graph.operators if op.name in EDGES}
        self._sums = {op.index for op in graph.operators if op.name == "ADD"}
        self._readers = {
            op.index: [reader.index for t in op.outputs for reader in graph.consumers(t)]
            for op in graph.operators
        }
        self._makers = {
            op.index: [graph.producer[t].index for t in op.inputs if t in graph.producer]
            for op in graph.operators
        }

    def kept(self, layers: Collection[int]) -> frozenset[int]:
        """Operators that are in float32 when these layers are.

        An operator without weights joins them where that spares a rounding: where it reads what
        one of them makes, and all others that read it are among them.
        """
        kept = set(layers)
        waiting = list(kept)
        while waiting:
            for reader in self._readers[waiting.pop()]:
                if reader in kept or reader not in self.operators or reader in self.layers:
                    continue
                if any(self.spared(m, kept | {reader}) for m in self._makers[reader] if m in kept):
                    kept.add(reader)
                    waiting.append(reader)
        return frozenset(kept)

    def spared(self, index: int, kept: Collection[int]) -> bool:
        """Whether what an operator makes is nowhere rounded."""
        readers = self._readers[index]
        return bool(readers) and all(r in kept or r in self._edges for r in readers)

    def behind(self, layers: Collection[int]) -> frozenset[int]:
        """The next layers, reached through operators without weights, but not through sums."""
        return self._next(layers, self._readers, self._sums)

    def around(self, layers: Collection[int]) -> frozenset[int]:
        """These, and the next layers behind and in front of them, also through sums."""
        near = self._next(layers, self._readers, set())
        return near | self._next(near | frozenset(layers), self._makers, set()) | frozenset(layers)

    def _next(
        self, layers: Collection[int], ways: Mapping[int, list[int]], barred: set[int]
    ) -> frozenset[int]:
        waiting, seen, found = list(layers), set(layers), set()
        while waiting:
            for near in ways[waiting.pop()]:
                if near in seen or near not in self.operators or near in barred:
                    continue
                seen.add(near)
                if near in self.layers:
                    found.add(near)
                else:
                    waiting.append(near)
        return frozenset(found)


def float_steps(wiring: Wiring, noise: Collection[Noise]) -> tuple[Step, ...]:
    """Put all layers in order, the best first, in steps of a few that belong together.

    Args:
        wiring: Of the integer model.
        noise: A record for each of its operators that could be in float32.

    Returns:
        Each step wins more a layer than any other could.
    """
    found = {record.operator: record for record in noise}
    total = sum(record.output + record.weights for record in noise)

    def won(layers: Collection[int]) -> float:
        kept = wiring.kept(layers)
        weights = sum(found[i].weights for i in layers)
        return weights + sum(found[i].output for i in kept if wiring.spared(i, kept))

    candidates = {c: wiring.around(c) for c in _candidates(wiring)}
    gains = dict.fromkeys(candidates, 0.0)
    stale = set(candidates)
    chosen: frozenset[int] = frozenset()
    before, steps = 0.0, []
    while len(chosen) < len(wiring.layers):
        for candidate in stale:
            gains[candidate] = (won(chosen | candidate) - before) / len(candidate - chosen)
        best = max(gains, key=lambda c: (gains[c], -len(c), -min(c)))
        added, chosen = best - chosen, chosen | best
        before = won(chosen)
        steps.append(Step(tuple(sorted(added)), max(total - before, 0.0)))
        gains = {c: gain for c, gain in gains.items() if not c <= chosen}
        stale = {c for c in gains if candidates[c] & best}
    return tuple(steps)


def _candidates(wiring: Wiring) -> set[frozenset[int]]:
    """Sets of layers that may win something together: each, and each with those behind it."""
    found = set()
    for layer in wiring.layers:
        together = frozenset({layer})
        while together not in found and len(together) <= _MOST_AT_ONCE:
            found.add(together)
            together |= wiring.behind(together)
    return found
