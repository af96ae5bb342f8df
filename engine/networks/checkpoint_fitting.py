"""A network with the weights of a checkpoint, found wherever they stand in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.errors import OptionError
from engine.core.formats import listed
from engine.networks.catalog_network import IMAGENET_CLASSES
from engine.networks.checkpoint_misfits import misfit
from engine.networks.weight_sets import COUNTERS, OF_OPTIMIZER, WeightSet, weight_sets

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A network with the weights of a checkpoint.

    Attributes:
        network: The network.
        weights_of: Name of the set of weights that was taken, where the file holds several.
        notes: What was chosen, left out and changed, one sentence each.
    """

    network: torch.nn.Module
    weights_of: str | None
    notes: tuple[str, ...]


def fitted_network(
    build: Callable[[int], torch.nn.Module],
    tensors: StateDict,
    name: str,
    *,
    weights_of: str | None = None,
    architecture: str | None = None,
) -> FittedNetwork:
    """Build a network with as many classes as a checkpoint's head has, and load it.

    The head is found by building the network for two numbers of classes: its parameters are
    those whose shape differs.

    Args:
        build: Makes the network for a number of classes.
        tensors: Tensors of the checkpoint by name.
        name: What to call the network in messages.
        weights_of: Name of the set of weights to take; None takes an average over the training
            before others, and the first before later ones.
        architecture: What the checkpoint calls its network, for the message.

    Returns:
        The network, and what was chosen.

    Raises:
        ModelError: Keys are missing or unexpected, or a shape is wrong; the message says which,
            and what it may come from.
        OptionError: No set that fits has the name.
    """
    shapes = _Shapes(build)
    sets = weight_sets(tensors, shapes.of(IMAGENET_CLASSES), shapes.head)
    fitting = [one for one in sets if shapes.fit(one, tensors)]
    if not fitting:
        nearest = max(sets, key=lambda one: len(one.names), default=WeightSet("", {}, ()))
        raise misfit(
            name,
            tensors,
            nearest,
            shapes=shapes.of(shapes.classes_of(nearest, tensors)),
            head=shapes.head,
            architecture=architecture,
        )
    chosen = _chosen(fitting, weights_of, name)
    state = {key: tensors[full] for key, full in chosen.names.items()}
    network = build(shapes.classes_of(chosen, tensors))
    network.load_state_dict(state, strict=False)
    notes = (
        *_choice_note(chosen, fitting, weights_of),
        *_head_note(chosen, shapes.head),
        *_left_out_note(fitting, tensors),
        *_type_note(state),
    )
    return FittedNetwork(network, chosen.name if len(fitting) > 1 else None, notes)


class _Shapes:
    """State dicts of one network for numbers of classes, for their shapes."""

    def __init__(self, build: Callable[[int], torch.nn.Module]) -> None:
        self._build = build
        self._built: dict[int, StateDict] = {}
        usual, more = self.of(IMAGENET_CLASSES), self.of(IMAGENET_CLASSES + 1)
        self.head = tuple(key for key in usual if usual[key].shape != more[key].shape)

    def of(self, classes: int) -> StateDict:
        """Tensors for so many classes; without their numbers where that is possible."""
        import torch

        if classes not in self._built:
            try:
                with torch.device("meta"):
                    self._built[classes] = self._build(classes).state_dict()
            except (NotImplementedError, RuntimeError):  # RegNet computes its widths with tensors
                self._built[classes] = self._build(classes).state_dict()
        return self._built[classes]

    def classes_of(self, one: WeightSet, tensors: StateDict) -> int:
        """Number of classes of a set's head; the usual one where it does not say."""
        usual = self.of(IMAGENET_CLASSES)
        for key in self.head:
            # Only the number of classes may differ: another head would be built in vain.
            shape = tuple(tensors[one.names[key]].shape) if key in one.names else ()
            if len(shape) == usual[key].ndim and shape[1:] == tuple(usual[key].shape[1:]):
                return shape[0] or IMAGENET_CLASSES
        return IMAGENET_CLASSES

    def fit(self, one: WeightSet, tensors: StateDict) -> bool:
        """Whether a set has every tensor of the network, in its shape, and no others."""
        shapes = self.of(self.classes_of(one, tensors))
        return not one.unexpected and all(
            tensors[one.names[key]].shape == shapes[key].shape
            if key in one.names
            else key.endswith(COUNTERS)
            for key in shapes
        )


def _chosen(fitting: list[WeightSet], weights_of: str | None, name: str) -> WeightSet:
    wanted = fitting
    if weights_of is not None:
        wanted = [one for one in fitting if f"{one.name}.".startswith(f"{weights_of}.")]
    if not wanted:
        raise OptionError(
            f"Choosing the weights of {name}",
            got=f"'{weights_of}'",
            expected=" or ".join(f"'{one.name}'" for one in fitting),
            todo="Give one of these names (--weights-of NAME), or leave it out.",
        )
    return next((one for one in wanted if one.averaged), wanted[0])


def _choice_note(
    chosen: WeightSet, fitting: list[WeightSet], weights_of: str | None
) -> tuple[str, ...]:
    others = [f"'{one.name}'" for one in fitting if one is not chosen]
    if not others or weights_of is not None:
        return ()
    why = "the average over the training" if chosen.averaged else "which stands first"
    return (
        f"The checkpoint holds {len(fitting)} sets of weights that fit. '{chosen.name}' was "
        f"taken, {why}; another is taken by its name: --weights-of {' or '.join(others)}.",
    )


def _head_note(chosen: WeightSet, head: tuple[str, ...]) -> tuple[str, ...]:
    beside = [chosen.names[key] for key in head if not chosen.names[key].startswith(chosen.start)]
    if not beside:
        return ()
    return (f"The head was taken from {listed(beside)}, beside the rest in '{chosen.name}'.",)


def _left_out_note(fitting: list[WeightSet], tensors: Mapping[str, object]) -> tuple[str, ...]:
    taken = {full for one in fitting for full in one.names.values()}
    starts = [one.start for one in fitting]
    counts = Counter(
        _outside(name, starts)
        for name in tensors
        if name not in taken and not name.endswith(COUNTERS) and not OF_OPTIMIZER.fullmatch(name)
    )
    if not counts:
        return ()
    shown = [f"{name} ({count})" for name, count in counts.most_common(5)]
    more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
    return (
        f"Left out of the checkpoint, by number of tensors: {', '.join(shown)}{more}. If the "
        "network needs them, convert it with its code: engine.convert(network) in Python.",
    )


def _outside(name: str, starts: list[str]) -> str:
    """The beginning of a name, up to the part with which it leaves all sets of weights."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        beginning = ".".join(parts[:count])
        if not any(start.startswith(f"{beginning}.") for start in starts):
            return beginning
    return name


def _type_note(state: StateDict) -> tuple[str, ...]:
    import torch

    types = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    names = sorted(str(kind).removeprefix("torch.") for kind in types - {torch.float32})
    return (f"Weights of type {listed(names)} were cast to float32.",) if names else ()
