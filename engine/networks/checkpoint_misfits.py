"""Why the tensors of a checkpoint are not a network's, in a sentence with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.networks.weight_sets import COUNTERS, WeightSet

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

_EXPORT = (
    "Export the network with its code: torch.onnx.export(network, (torch.zeros(1, {channels}, "
    "height, width),), 'model.onnx'), and give that file (--onnx model.onnx); or in Python: "
    "engine.convert(network)."
)
_REWRITTEN = (
    (("_orig", "_mask"), "pruned weights", "torch.nn.utils.prune.remove(module, '{weight}')"),
    (("_orig", "_u"), "spectral norms", "torch.nn.utils.remove_spectral_norm(module)"),
    (("_g", "_v"), "weight norms", "torch.nn.utils.remove_weight_norm(module)"),
)
"""Ends that a utility of torch gives the names of two tensors that stand for one weight."""
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
    """Say why a checkpoint does not fit.

    Args:
        name: What to call the network.
        tensors: Tensors of the checkpoint.
        nearest: The set of weights that has most of the network's tensors.
        shapes: The network's tensors, for as many classes as that set has.
        head: Names of those whose shapes depend on the number of classes.
        architecture: What the checkpoint calls its network; None where it does not.
    """
    names = nearest.names
    missing = [key for key in shapes if key not in names and not key.endswith(COUNTERS)]
    wrong = [key for key in names if tensors[names[key]].shape != shapes[key].shape]
    rewritten = _rewritten(nearest, missing, tensors)
    if rewritten is not None:
        return _error(name, shapes, *rewritten)
    unexpected = list(nearest.unexpected)
    body_fits = not {*missing, *wrong} - set(head)
    # A head of the person's own may stand where the network's is, or under a name of its own.
    parts = {nearest.start + key.rpartition(".")[0] for key in head}
    if body_fits and all(_within(key, parts) for key in unexpected):
        own = [key for key in tensors if _within(key, parts)]
        head_given = f"a head of its own, {_listed('tensors', own)}" if own else "no head"
        got = f"{head_given}; all others fit"
        return _error(name, shapes, got, _EXPORT.format(channels=3))
    if not missing and not unexpected and len(wrong) == 1:
        given, own_shape = tensors[names[wrong[0]]].shape, shapes[wrong[0]].shape
        if len(given) == 4 and given[:1] + given[2:] == own_shape[:1] + own_shape[2:]:
            got = f"{wrong[0]} for pictures of {_channels(given[1])} instead of {own_shape[1]}"
            return _error(name, shapes, got, _EXPORT.format(channels=given[1]))
    wrong_shapes = [
        f"{key} {list(tensors[names[key]].shape)} instead of {list(shapes[key].shape)}"
        for key in wrong
    ]
    parts_of_got = [
        _listed("missing", missing),
        _listed("unexpected", unexpected if names else list(tensors)),
        _listed("of another shape", wrong_shapes),
    ]
    if wrong and not missing and all(any(p in key for p in _BY_INPUT_SIZE) for key in wrong):
        todo = "Give the input size that it was trained with (--input-size)."
    elif architecture is not None:
        todo = f"Choose the network that the checkpoint names: '{architecture[:80]}'."
    else:
        todo = "Choose the network that the checkpoint was trained with."
    return _error(name, shapes, "; ".join(part for part in parts_of_got if part), todo)


def _rewritten(
    nearest: WeightSet, missing: list[str], tensors: Mapping[str, object]
) -> tuple[str, str] | None:
    """Weights that a utility of torch has put something else in the place of."""
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


def _listed(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return f"{len(keys)} {what}: {shown}"
