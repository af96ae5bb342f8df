"""From what a person chose to a `ModelSource`, and back to the original of a finished run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path

from engine.core.errors import ModelError, OptionError
from engine.images.preprocess import CHANNELS, PreprocessChoice, PreprocessSpec, demand_plausible
from engine.networks.source import (
    BY_CATALOGUE,
    ExportedNetwork,
    ModelChoice,
    ModelIdentity,
    ModelSource,
    OnnxSource,
    PreprocessOrigin,
)


def model_source(choice: ModelChoice, preprocess: PreprocessChoice) -> ModelSource:
    """Find the model that a person chose, with the preprocessing they want.

    Raises:
        UserMistake: The model cannot be had, or the preprocessing contradicts it.
    """
    if choice.network is not None and not Path(str(choice.onnx)).is_file():
        raise ModelError(
            f"Making the run of {choice.network.name}",
            got="a file that went with the Python process in which the network was",
            expected="the network, from which the file is exported",
            todo="Convert it there once more, as the command in the run's manifest says.",
        )
    if choice.onnx is not None:
        from engine.networks.onnx_files import onnx_source

        if choice.checkpoint is not None or choice.random_weights:
            raise OptionError(
                "Choosing the model",
                got="an ONNX file together with a checkpoint or random weights",
                expected="the ONNX file alone, which holds its weights",
                todo="Leave the other out.",
            )
        source: ModelSource = onnx_source(choice, preprocess.input_size)
    else:
        from engine.networks.catalog import torch_source

        source = torch_source(choice, preprocess.input_size)
    spec = with_choice(source.preprocess, preprocess)
    demand_plausible(spec)
    notes = source.notes
    if isinstance(source, OnnxSource):
        if (network := choice.network) is not None:
            source = replace(source, identity=_identity_of(network, source.identity))
            notes = (*network.notes, *notes)
        file = "an ONNX file" if network is None else "a network"
        if source.takes_pixels and not spec.feeds_pixels:
            raise OptionError(
                "Reading the preprocessing",
                got=f"a scale, mean or std for {file} of uint8 pixels",
                expected="pixels as they are (--scale 1 --mean 0 --std 1)",
                todo="Leave them out: the file prepares its pixels itself.",
            )
        origin = _origin(spec, preprocess, source.takes_pixels, network)
        notes = (*notes, *_note_assumed(file, spec, origin))
        if not source.takes_pixels:
            notes = (*notes, *_own_normalization(source.arithmetic))
    elif choice.checkpoint is not None:
        origin = _origin(spec, preprocess)
        notes = (*notes, *_note_assumed("a checkpoint", spec, origin))
    else:
        origin = replace(BY_CATALOGUE, given=_given(preprocess))
    return replace(source, preprocess=spec, notes=notes, origin=origin)


def _identity_of(network: ExportedNetwork, file: ModelIdentity) -> ModelIdentity:
    """Say whose weights the file holds, which itself is not kept."""
    return replace(file, name=network.name, weights="network", weights_file=None)


def _given(choice: PreprocessChoice) -> tuple[str, ...]:
    return tuple(name for name, value in asdict(choice).items() if value is not None)


def _origin(
    spec: PreprocessSpec,
    choice: PreprocessChoice,
    takes_pixels: bool = False,
    network: ExportedNetwork | None = None,
) -> PreprocessOrigin:
    """Say how the preprocessing of a file was determined, which itself holds none."""
    of_graph = {"mean", "std", "scale"} if takes_pixels else set()
    given = _given(choice)
    values = _values_in_words(spec)
    assumed = tuple(name for name in values if name not in {*given, *of_graph})
    recorded = () if network is None else network.recorded
    return PreprocessOrigin(
        how="assumed" if assumed else "network" if recorded else "confirmed",
        given=tuple(name for name in given if name not in recorded),
        assumed=assumed,
    )


def _note_assumed(file: str, spec: PreprocessSpec, origin: PreprocessOrigin) -> tuple[str, ...]:
    """Name the values of a file's preprocessing that nobody gave."""
    words = preprocess_words(spec, origin.assumed)
    return (f"Preprocessing assumed, since {file} holds none: {words}.",) if words else ()


def describe_origin(origin: PreprocessOrigin, spec: PreprocessSpec) -> str:
    """Say in one sentence how a preprocessing was determined."""
    given = preprocess_words(spec, origin.given)
    changed = f", but for what was given: {given}" if given else ""
    match origin.how:
        case "assumed":
            assumed = preprocess_words(spec, origin.assumed)
            return f"Preprocessing not confirmed by anybody; assumed: {assumed}."
        case "confirmed":
            values = f": {given}" if given else ""
            return f"Preprocessing confirmed by the person who converted the model{values}."
        case "network":
            return f"Preprocessing as a record in the network says{changed}."
        case "catalogue":
            return f"Preprocessing of the catalogue's own network{changed}."


def preprocess_words(spec: PreprocessSpec, names: Collection[str]) -> str:
    """Give some values of a preprocessing in words.

    Args:
        spec: The preprocessing.
        names: Which of its attributes; size and what has no part in it are left out.

    Returns:
        Such as ``mean 0.5, 0.5, 0.5; std 0.5, 0.5, 0.5``.
    """
    words = (f"{k.replace('_', ' ')} {v}" for k, v in _values_in_words(spec).items() if k in names)
    return "; ".join(words)


def _values_in_words(spec: PreprocessSpec) -> dict[str, str]:
    """Write every value that has a part in a preprocessing, but the size."""
    values = {
        "mean": _numbers(spec.mean),
        "std": _numbers(spec.std),
        "scale": f"{spec.scale:.6g}",
        "channel_order": spec.channel_order,
        "resize": spec.resize,
        "resize_size": f"{spec.resize_size}",
        "interpolation": spec.interpolation,
        "pad_value": f"{spec.pad_value}",
    }
    for rule, name in (("shorter_side", "resize_size"), ("letterbox", "pad_value")):
        if spec.resize != rule:
            del values[name]
    return values


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _own_normalization(operators: tuple[str, ...]) -> tuple[str, ...]:
    """Tell of arithmetic at the start of an ONNX file that may prepare the picture once more."""
    if not operators:
        return ()
    return (
        f"The file begins with {', '.join(operators)} on the picture: if that is its own "
        "preprocessing, give the scale, mean and std that leave the rest to it "
        "(for pixels of 0 to 255: --scale 1 --mean 0 --std 1).",
    )


def with_choice(spec: PreprocessSpec, choice: PreprocessChoice) -> PreprocessSpec:
    """Change a preprocessing, but for its size, by what a person chose."""
    order = choice.channel_order or spec.channel_order
    if CHANNELS.get(order, spec.channels) != spec.channels:
        possible = [name for name, count in CHANNELS.items() if count == spec.channels]
        raise OptionError(
            "Reading the preprocessing",
            got=f"channel order {order}",
            expected=f"{' or '.join(possible)}, since the network's input has {spec.channels} "
            f"channel{'' if spec.channels == 1 else 's'}",
            todo="Give that channel order, or leave it out.",
        )
    chosen = {
        name: value
        for name, value in asdict(choice).items()
        if value is not None and name != "input_size"
    }
    for name in {"mean", "std"} & chosen.keys():
        if len(chosen[name]) == 1:
            chosen[name] = chosen[name] * spec.channels
    return replace(spec, **chosen)
