"""The catalogue: EfficientNet-Lite0, and the classification networks of torchvision and timm."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError, OptionError, first_line
from engine.core.limits import demand_fits
from engine.core.store import SAMPLE_IMAGES
from engine.images.labels import check_class_names, read_labels
from engine.images.pictures import pictures_in
from engine.images.preprocess import InputSize, PreprocessSpec
from engine.networks import efficientnet_lite, timm_networks, torchvision_networks
from engine.networks.catalog_network import (
    CatalogEntry,
    CatalogNetwork,
    imagenet_names,
    parameters_of,
)
from engine.networks.checkpoint_fitting import FittedNetwork, fit_network
from engine.networks.checkpoints import (
    Checkpoint,
    checkpoint_files,
    read_checkpoint,
    sha256_of_checkpoint,
    state_digest,
)
from engine.networks.random_weights import give_ordinary_values, settle
from engine.networks.source import (
    FileFacts,
    ModelChoice,
    ModelIdentity,
    TorchSource,
    WeightsKind,
)

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

RANDOM_WEIGHTS_SEED = 0
_SOURCES = (efficientnet_lite, torchvision_networks, timm_networks)
"""Modules with `names`, `entries` and `network_named`."""
_REFUSALS = (RuntimeError, ValueError, AssertionError)


def catalog() -> tuple[CatalogEntry, ...]:
    """List what can be chosen by name, the default first."""
    return tuple(entry for source in _SOURCES for entry in source.entries())


def torch_source(choice: ModelChoice, input_size: InputSize | None = None) -> TorchSource:
    """Find the network that a person chose, with its weights.

    Args:
        choice: Name, and where the weights come from.
        input_size: Both sides it will be fed, or height and width; None for its own.

    Returns:
        The source; nothing is left to fail in its `build`.

    Raises:
        ModelError: The name is unknown, the network is too large for a TFLite file, the
            checkpoint does not fit, or the weights cannot be had.
        LabelsError: The label file does not fit.
        OptionError: A checkpoint and random weights were asked for at once.
    """
    if choice.checkpoint and choice.random_weights:
        raise OptionError(
            "Choosing the weights",
            got="a checkpoint and random weights at once",
            expected="one of them",
            todo="Leave one out.",
        )
    network = _network(choice.name, input_size)
    if network.parameters is not None:
        demand_fits(choice.name, network.parameters)
    weights, fitted, digest = _with_weights(network, choice)
    module = fitted.network.eval()
    classes = _classes_of_head(module, network.preprocess)
    assumed = () if choice.checkpoint is None else note_assumed_names(choice, classes)
    return TorchSource(
        identity=ModelIdentity(
            name=choice.name,
            kind=network.kind,
            weights=weights,
            weights_sha256=digest,
            weights_file=choice.checkpoint,
            weights_of=fitted.weights_of,
            parameters=parameters_of(module),
            classes=classes,
        ),
        preprocess=network.preprocess,
        labels=labels_for(choice, classes),
        build=lambda: module,
        notes=(*network.notes, *fitted.notes, *assumed),
        facts=None
        if choice.checkpoint is None
        else FileFacts(
            bytes=sum(file.stat().st_size for file in checkpoint_files(Path(choice.checkpoint))),
            input="",
            shape=(None, network.preprocess.channels, *_sides(network.preprocess)),
            dtype="float32",
            layout="NCHW",
            output="",
            classes=classes,
            opset=None,
            parameters=parameters_of(module),
        ),
    )


def _sides(preprocess: PreprocessSpec) -> tuple[int, int]:
    return preprocess.height, preprocess.width


def labels_for(choice: ModelChoice, classes: int) -> tuple[str, ...] | None:
    """Read the class names: the person's own, else ImageNet's for as many classes, else None."""
    if choice.names is not None:
        return check_class_names(choice.names, classes)
    if choice.labels is not None:
        return read_labels(Path(choice.labels), classes)
    return imagenet_names(classes)


def note_assumed_names(choice: ModelChoice, classes: int) -> tuple[str, ...]:
    """Say that `labels_for` takes ImageNet's names for a file that may be of other classes."""
    if choice.labels or choice.names or imagenet_names(classes) is None:
        return ()
    return (
        f"ImageNet's names are assumed, since the file has {classes:,} classes and none were "
        "given. If its classes are others, give their names (--labels FILE).",
    )


def _classes_of_head(module: torch.nn.Module, preprocess: PreprocessSpec) -> int:
    import torch

    try:
        with torch.no_grad():
            logits = module(torch.zeros(2, 3, preprocess.height, preprocess.width))
    except _REFUSALS as error:
        raise _size_refused(preprocess, error) from error
    return int(logits.shape[1])


def _size_refused(preprocess: PreprocessSpec, error: Exception) -> OptionError:
    return OptionError(
        f"Trying the network with an input of {preprocess.height} x {preprocess.width}",
        got=f"a refusal ({first_line(error)})",
        expected="logits",
        todo="Choose another input size, or leave it out to take the network's own.",
    )


def _with_weights(
    network: CatalogNetwork, choice: ModelChoice
) -> tuple[WeightsKind, FittedNetwork, str]:
    """Build the network with the weights that were asked for; give their SHA-256."""
    if choice.random_weights:
        return "random", *_random(network)
    if choice.checkpoint is not None:
        path = Path(choice.checkpoint)
        fitted = _fit_checkpoint(network, read_checkpoint(path), choice.weights_of)
        return "checkpoint", fitted, sha256_of_checkpoint(path)
    path = network.weights_file()
    trained = _fit_checkpoint(network, read_checkpoint(path), None).network
    return network.weights, FittedNetwork(trained, None, ()), sha256_of_checkpoint(path)


def _random(network: CatalogNetwork) -> tuple[FittedNetwork, str]:
    import torch

    torch.manual_seed(RANDOM_WEIGHTS_SEED)
    try:
        module = network.build(network.classes)
        give_ordinary_values(module)
        # Before settling, whose figures are rounded differently with other threads.
        digest = state_digest(module.state_dict())
        pictures = [
            network.preprocess.apply(picture.decode()) for picture in pictures_in(SAMPLE_IMAGES)
        ]
        channels_first = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
        settle(module, torch.from_numpy(channels_first))
    except _REFUSALS as error:
        raise _size_refused(network.preprocess, error) from error
    return FittedNetwork(module, None, ()), digest


def _fit_checkpoint(
    network: CatalogNetwork, checkpoint: Checkpoint, weights_of: str | None
) -> FittedNetwork:
    """Load a checkpoint, whose names are the network's own or those of its authors."""

    def fit(tensors: StateDict) -> FittedNetwork:
        return fit_network(
            network.build,
            tensors,
            network.name,
            weights_of=weights_of,
            architecture=checkpoint.architecture,
        )

    try:
        return fit(checkpoint.tensors)
    except ModelError:
        converted = {} if network.converted is None else _rename_tensors(network, checkpoint)
        if not converted:
            raise
    fitted = fit(converted)
    note = f"The tensors were renamed by {network.kind}'s own function for {network.name}."
    return replace(fitted, notes=(note, *fitted.notes))


def _rename_tensors(network: CatalogNetwork, checkpoint: Checkpoint) -> StateDict:
    """Rename each dict of tensors that could be the network's by its source's own function."""
    assert network.converted is not None
    least = max(map(len, checkpoint.dicts.values())) // 2
    converted: StateDict = {}
    for start, keys in checkpoint.dicts.items():
        if len(keys) < least:
            continue
        state = {key: checkpoint.tensors[start + key] for key in keys}
        first = {key.partition(".")[0] for key in keys}
        if len(first) == 1:  # such as "module"
            state = {key.partition(".")[2]: tensor for key, tensor in state.items()}
        try:
            renamed = network.converted(state)
        except Exception:  # it raises whatever names of another network provoke
            continue
        converted |= {start + key: tensor for key, tensor in renamed.items()}
    return converted


def _network(name: str, input_size: InputSize | None) -> CatalogNetwork:
    for source in _SOURCES:
        if name in source.names():
            network: CatalogNetwork = source.network_named(name, input_size)
            return network
    every = [name for source in _SOURCES for name in source.names()]
    near = _near_names(name, every)
    raise ModelError(
        "Choosing the model",
        got=f"'{name}', which is not in the catalogue",
        expected=f"one of {len(every)} names" + (f", such as {', '.join(near)}" if near else ""),
        todo="List them with: python -m engine models --search WORD. A file goes to --onnx, or to "
        "--checkpoint beside the name of its network.",
    )


def _near_names(name: str, every: list[str]) -> list[str]:
    """Find names like one, in any case, with or without ``timm/`` or ``hf-hub:timm/``."""
    by_word: dict[str, list[str]] = {}
    for entry in every:
        by_word.setdefault(entry.rpartition("/")[2], []).append(entry)
    near = get_close_matches(name.lower().rpartition("/")[2], by_word, n=5)
    return [entry for word in near for entry in by_word[word]]
