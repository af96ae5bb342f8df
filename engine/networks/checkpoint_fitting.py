"""A network with the weights of a checkpoint, found wherever they stand in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.errors import ModelError, OptionError
from engine.core.formats import join_names, list_some
from engine.networks.catalog_network import IMAGENET_CLASSES
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


def fit_network(
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
    fitting = [candidate for candidate in sets if shapes.fit(candidate, tensors)]
    if not fitting:
        nearest = max(
            sets, key=lambda candidate: len(candidate.names), default=WeightSet("", {}, ())
        )
        raise misfit(
            name,
            tensors,
            nearest,
            shapes=shapes.of(shapes.classes_of(nearest, tensors)),
            head=shapes.head,
            architecture=architecture,
        )
    chosen = _choose_set(fitting, weights_of, name)
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
        """Build the tensors for so many classes, without their numbers where that is possible."""
        import torch

        if classes not in self._built:
            try:
                with torch.device("meta"):
                    self._built[classes] = self._build(classes).state_dict()
            except (NotImplementedError, RuntimeError):  # RegNet computes its widths with tensors
                self._built[classes] = self._build(classes).state_dict()
        return self._built[classes]

    def classes_of(self, weights: WeightSet, tensors: StateDict) -> int:
        """Read the number of classes of a set's head; the usual one where it does not say."""
        usual = self.of(IMAGENET_CLASSES)
        for key in self.head:
            # Only the number of classes may differ: another head would be built in vain.
            shape = tuple(tensors[weights.names[key]].shape) if key in weights.names else ()
            if len(shape) == usual[key].ndim and shape[1:] == tuple(usual[key].shape[1:]):
                return shape[0] or IMAGENET_CLASSES
        return IMAGENET_CLASSES

    def fit(self, weights: WeightSet, tensors: StateDict) -> bool:
        """Tell whether a set has every tensor of the network, in its shape, and no others."""
        shapes = self.of(self.classes_of(weights, tensors))
        return not weights.unexpected and all(
            tensors[weights.names[key]].shape == shapes[key].shape
            if key in weights.names
            else key.endswith(COUNTERS)
            for key in shapes
        )


def _choose_set(fitting: list[WeightSet], weights_of: str | None, name: str) -> WeightSet:
    wanted = fitting
    if weights_of is not None:
        wanted = [
            candidate for candidate in fitting if f"{candidate.name}.".startswith(f"{weights_of}.")
        ]
    if not wanted:
        raise OptionError(
            f"Choosing the weights of {name}",
            got=f"'{weights_of}'",
            expected=" or ".join(f"'{candidate.name}'" for candidate in fitting),
            todo="Give one of these names (--weights-of NAME), or leave it out.",
        )
    return next((candidate for candidate in wanted if candidate.averaged), wanted[0])


def _choice_note(
    chosen: WeightSet, fitting: list[WeightSet], weights_of: str | None
) -> tuple[str, ...]:
    others = [f"'{candidate.name}'" for candidate in fitting if candidate is not chosen]
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
    return (f"The head was taken from {join_names(beside)}, beside the rest in '{chosen.name}'.",)


def _left_out_note(fitting: list[WeightSet], tensors: Mapping[str, object]) -> tuple[str, ...]:
    taken = {full for candidate in fitting for full in candidate.names.values()}
    starts = [candidate.start for candidate in fitting]
    counts = Counter(
        _outside(name, starts)
        for name in tensors
        if name not in taken and not name.endswith(COUNTERS) and not OF_OPTIMIZER.fullmatch(name)
    )
    if not counts:
        return ()
    shown = list_some([f"{name} ({count})" for name, count in counts.most_common()])
    return (
        f"Left out of the checkpoint, by number of tensors: {shown}. If the "
        "network needs them, convert it with its code: engine.convert(network) in Python.",
    )


def _outside(name: str, starts: list[str]) -> str:
    """Cut a name behind the part with which it leaves all sets of weights."""
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
    return (f"Weights of type {join_names(names)} were cast to float32.",) if names else ()


_EXPORT = (
    "Export the network with its code: torch.onnx.export(network, (torch.zeros(1, {channels}, "
    "height, width),), 'model.onnx'), and give that file (--onnx model.onnx); or in Python: "
    "engine.convert(network)."
)
_OTHER_NAMES = (
    "Every shape is there under another name, so this may be the same network of another library: "
    "choose torchvision's or timm's (timm/NAME). "
)
_REWRITTEN = (
    (("_orig", "_mask"), "pruned weights", "torch.nn.utils.prune.remove(module, '{weight}')"),
    (("_orig", "_u"), "spectral norms", "torch.nn.utils.remove_spectral_norm(module)"),
    (("_g", "_v"), "weight norms", "torch.nn.utils.remove_weight_norm(module)"),
)
"""Ends that a utility of torch gives the names of two tensors that stand for one weight."""
_ADDED = (
    (
        (".lora_",),
        "tensors of LoRA adapters",
        "Merge them into the network first (PEFT: model = model.merge_and_unload()), then "
        "torch.save(model.state_dict(), 'weights.pth').",
    ),
    (
        (".weight_fake_quant.", ".activation_post_process.", ".fake_quant_enabled"),
        "observers of training for quantization",
        "Give the weights from before torch prepared the network for it (prepare_qat), since the "
        "quantization is made here.",
    ),
)
"""Parts of names of what a library adds to a network, its words, and the way out."""
_BY_INPUT_SIZE = ("pos_embed", "pos_embedding", "position", "rel_pos", "attention_bias")


def misfit(
    name: str,
    tensors: StateDict,
    nearest: WeightSet,
    *,
    shapes: StateDict,
    head: tuple[str, ...],
    architecture: str | None,
) -> ModelError:
    """Say why a checkpoint does not fit."""
    names = nearest.names
    missing = [key for key in shapes if key not in names and not key.endswith(COUNTERS)]
    wrong = [key for key in names if tensors[names[key]].shape != shapes[key].shape]
    changed = _no_weights_of_a_network(tensors) or _explain_rewritten(nearest, missing, tensors)
    if changed is not None:
        return _error(name, shapes, *changed)
    unexpected = list(nearest.unexpected)
    body_fits = not {*missing, *wrong} - set(head)
    # A head of the person's own may stand where the network's is, or under a name of its own.
    parts = {nearest.start + key.rpartition(".")[0] for key in head}
    if body_fits and all(_within(key, parts) for key in unexpected):
        own = [key for key in tensors if _within(key, parts)]
        head_given = f"a head of its own, {_count_some('tensors', own)}" if own else "no head"
        got = f"{head_given}; all others fit"
        return _error(name, shapes, got, _EXPORT.format(channels=3))
    if wrong and not missing and not unexpected:
        pairs = {_channels_of(tensors[names[key]].shape, shapes[key].shape) for key in wrong}
        pair = pairs.pop() if len(pairs) == 1 else None
        if pair is not None:
            got = f"{wrong[0]} for pictures of {_channels(pair[0])} instead of {pair[1]}"
            return _error(name, shapes, got, _EXPORT.format(channels=pair[0]))
    wrong_shapes = [
        f"{key} {list(tensors[names[key]].shape)} instead of {list(shapes[key].shape)}"
        for key in wrong
    ]
    parts_of_got = [
        _count_some("missing", missing),
        _count_some("unexpected", unexpected if names else list(tensors)),
        _count_some("of another shape", wrong_shapes),
    ]
    body = {key: tensor for key, tensor in shapes.items() if key not in head}
    if missing and not _shape_counts(body) - _shape_counts(tensors):
        todo = _OTHER_NAMES + _EXPORT.format(channels=3)
    elif wrong and not missing and all(any(p in key for p in _BY_INPUT_SIZE) for key in wrong):
        todo = "Give the input size that it was trained with (--input-size)."
    elif architecture is not None:
        todo = f"Choose the network that the checkpoint names: '{architecture[:80]}'."
    else:
        todo = "Choose the network that the checkpoint was trained with."
    return _error(name, shapes, "; ".join(part for part in parts_of_got if part), todo)


def _channels_of(given: torch.Size, own: torch.Size) -> tuple[int, int] | None:
    """Compare the channels that two kernels read, where they differ in nothing else."""
    differs = len(given) == len(own) == 4 and given[:1] + given[2:] == own[:1] + own[2:]
    return (given[1], own[1]) if differs else None


def _shape_counts(tensors: StateDict) -> Counter[tuple[int, ...]]:
    """Count each shape, without its ones, which libraries set by layers of their own."""
    return Counter(
        tuple(size for size in tensor.shape if size > 1)
        for key, tensor in tensors.items()
        if not key.endswith(COUNTERS)
    )


def _no_weights_of_a_network(tensors: StateDict) -> tuple[str, str] | None:
    """Name files that training writes beside the weights, or instead of them."""
    if all(OF_OPTIMIZER.fullmatch(key) for key in tensors):
        return (
            _count_some("tensors of an optimizer's state alone", list(tensors)),
            "Give the file that holds the network's weights.",
        )
    for parts, what, todo in _ADDED:
        if added := [key for key in tensors if any(part in key for part in parts)]:
            return _count_some(what, added), todo
    return None


def _explain_rewritten(
    nearest: WeightSet, missing: list[str], tensors: Mapping[str, object]
) -> tuple[str, str] | None:
    """Explain weights in the place of which a utility of torch has put other tensors."""
    for key in missing:
        full = nearest.start + key
        module, _, weight = full.rpartition(".")
        if f"{module}.parametrizations.{weight}.original0" in tensors or (
            f"{module}.parametrizations.{weight}.original" in tensors
        ):
            way = f"torch.nn.utils.parametrize.remove_parametrizations(module, '{weight}')"
            what = "parametrizations"
        else:
            fitting = [row for row in _REWRITTEN if all(full + end in tensors for end in row[0])]
            if not fitting:
                continue
            _, what, way = fitting[0]
        return (
            f"{what}: other tensors in the place of {key}",
            f"Before saving, put the weights back: {way.format(weight=weight)} for each module "
            "that has them, then torch.save(network.state_dict(), 'weights.pth').",
        )
    return None


def _within(key: str, parts: set[str]) -> bool:
    return any(key.startswith(f"{part}.") for part in parts)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _error(name: str, shapes: Mapping[str, object], got: str, todo: str) -> ModelError:
    return ModelError(
        f"Fitting the checkpoint to {name}",
        got=got,
        expected=f"the {len(shapes)} tensors of {name}",
        todo=todo,
    )


def _count_some(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    return f"{len(keys)} {what}: {list_some(keys)}"
