"""What every source of catalogue networks gives: entries to choose from, and networks to build."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.core.errors import ModelError
from engine.core.types import NetworkKind
from engine.images.preprocess import PreprocessSpec
from engine.networks.source import WeightsKind

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

IMAGENET_CLASSES = 1000
DOWNLOAD_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One line of the catalogue.

    Attributes:
        name: What to choose it by.
        input_size: Height and width of its input in pixels.
        parameters: Number of parameters with 1,000 classes; None where not published.
        top1: Published ImageNet top-1 accuracy, 0 to 1; None where not published.
        weights_file: Where its weights are, or will be once downloaded; ``*`` in its place stands
            for the revision of a hub. Empty where none are published.
    """

    name: str
    input_size: int
    parameters: int | None
    top1: float | None
    weights_file: str

    @property
    def offline(self) -> bool:
        """Whether its weights are on this machine."""
        before, star, after = self.weights_file.partition("*")
        if not star:
            return Path(self.weights_file).is_file()
        return any(Path(before).glob(f"*{after}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogNetwork:
    """How to get one network of the catalogue.

    Attributes:
        name: Name in the catalogue.
        kind: Whose it is.
        preprocess: What its input expects, at the size that it shall be fed.
        classes: Number of classes that its published weights know.
        parameters: Number of parameters with so many classes; None where it is not published and
            nothing but building it could say.
        build: Makes it with fresh weights for a number of classes.
        weights: What its trained weights are called.
        weights_file: Gets the file of its trained weights, by download where it is not here;
            raises `ModelError`.
        converted: Turns a state dict of the network's authors into one with the names of `build`'s
            network, which raises where it cannot; None where there is no such thing.
        notes: What a reader of the run has to know of it, one sentence each.
    """

    name: str
    kind: NetworkKind
    preprocess: PreprocessSpec
    classes: int
    parameters: int | None
    build: Callable[[int], torch.nn.Module]
    weights: WeightsKind
    weights_file: Callable[[], Path]
    converted: Callable[[StateDict], StateDict] | None = None
    notes: tuple[str, ...] = ()


def parameters_of(network: torch.nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def no_trained_weights(name: str, got: str, expected: str = "a download") -> ModelError:
    """Refuse trained weights that cannot be had, with the two other ways."""
    return ModelError(
        f"Getting the trained weights of {name}",
        got=got,
        expected=expected,
        todo="Give a checkpoint (--checkpoint FILE), or take random weights "
        "(--random-weights) to see size and latency only.",
    )


_SETS = {
    11221: "imagenet-21k-miil",
    11821: "imagenet-12k",
    21841: "imagenet-22k",
    21842: "imagenet-22k-ms",
    21843: "imagenet-21k-goog",
}
"""timm's names of the sets that it trains networks for; no two are of one size."""


@cache
def imagenet_names(classes: int) -> tuple[str, ...] | None:
    """Name the classes of ImageNet, in the order of the logits.

    Returns:
        The first word of each; None where no set of ImageNet has so many classes.
    """
    if classes == IMAGENET_CLASSES:
        # A file of lists: torchvision and the compiler of PyTorch, which it imports, take seconds.
        (folder,) = _folders_of_torchvision()
        return tuple(runpy.run_path(str(folder / "models" / "_meta.py"))["_IMAGENET_CATEGORIES"])
    if classes not in _SETS:
        return None

    words = import_timm().data.ImageNetInfo(_SETS[classes]).label_descriptions()
    return tuple(line.partition(",")[0].strip() for line in words)


_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def import_torchvision() -> ModuleType:
    """Import torchvision, whichever build of it is installed.

    Returns:
        The module ``torchvision``.
    """
    import torch

    for library in (path for folder in _folders_of_torchvision() for path in folder.glob("_C*.so")):
        try:
            ctypes.CDLL(str(library))
        except OSError:
            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", _NMS)
    return importlib.import_module("torchvision")


def _folders_of_torchvision() -> tuple[Path, ...]:
    """Find where torchvision is installed, without importing it."""
    spec = importlib.util.find_spec("torchvision")
    return tuple(map(Path, spec.submodule_search_locations or ())) if spec else ()


@cache
def import_timm() -> ModuleType:
    """Import timm, which imports torchvision, whichever build of that is installed."""
    import_torchvision()
    import timm

    return timm
