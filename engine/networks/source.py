"""`ModelSource`: one record for a model from anywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.core.types import (
    Layout,
    NetworkKind,
)
from engine.images.preprocess import (
    INTERPOLATIONS,
    PreprocessChoice,
    PreprocessSpec,
    ResizeRule,
)
from engine.networks.onnx_contents import tensors_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What was read from a person's model file.

    Attributes:
        bytes: Size of the file; of a checkpoint in several files, of all of them.
        input: Name of the picture input; empty for a checkpoint, which names none.
        shape: Dimensions of that input as the file states them; None where it leaves one open.
        dtype: Type of that input.
        layout: Order of its dimensions.
        output: Name of the output with the logits; empty for a checkpoint.
        classes: Number of logits.
        opset: ONNX operator set; None for a checkpoint.
        parameters: Number of parameters.
    """

    bytes: int
    input: str
    shape: tuple[int | None, ...]
    dtype: str
    layout: Layout
    output: str
    classes: int
    opset: int | None
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessOrigin:
    """How the preprocessing of a run was determined.

    Attributes:
        how: ``catalogue``: the network's publisher says it; ``network``: a record that the network
            carries does; ``confirmed``: the file holds none, and the person gave every value;
            ``assumed``: the file holds none, and nobody gave some of the values.
        given: Names of the values that the person gave.
        assumed: Names of the values that nobody gave.
    """

    how: Literal["catalogue", "network", "confirmed", "assumed"]
    given: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


BY_CATALOGUE = PreprocessOrigin(how="catalogue")


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchSource:
    """A PyTorch network, ready to be built.

    Attributes:
        identity: Name and weights.
        preprocess: What its input expects.
        labels: Class names, or None.
        build: Makes the network with its weights, in evaluation mode.
        notes: What a reader of the run has to know of the model, one sentence each.
        origin: How its preprocessing was determined.
        facts: What was read from a checkpoint; None for the network's own weights.
    """

    identity: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    build: Callable[[], torch.nn.Module]
    notes: tuple[str, ...] = ()
    origin: PreprocessOrigin = BY_CATALOGUE
    facts: FileFacts | None = None

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every tensor of the network by its name."""
        for name, tensor in self.build().state_dict().items():
            yield name, tensor.numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """A person's own ONNX file.

    Attributes:
        identity: Name and digest.
        preprocess: What its input expects, as far as the person said.
        labels: Class names, or None.
        file: The file as given.
        layout: Order of the picture input's dimensions.
        output: Name of the output that holds the logits.
        output_shape: Its dimensions for one batch.
        batch: Pictures that the network takes at once.
        takes_pixels: Whether the input is uint8, whose normalization is in the graph.
        arithmetic: Operators with which the graph begins; see `first_arithmetic`.
        notes: What a reader of the run has to know of the model, one sentence each.
        facts: What was read from the file.
        origin: How its preprocessing was determined.
    """

    identity: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    file: Path
    layout: Layout
    output: str
    output_shape: tuple[int, ...]
    facts: FileFacts
    batch: int = 1
    takes_pixels: bool = False
    arithmetic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: PreprocessOrigin = BY_CATALOGUE

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every tensor that the file holds, by its name."""
        from onnx import numpy_helper

        from engine.networks.onnx_reading import read_onnx

        for tensor in tensors_of(read_onnx(self.file)):
            if tensor.data_type != tensor.UNDEFINED:
                yield tensor.name, numpy_helper.to_array(tensor)


ModelSource = TorchSource | OnnxSource
DEFAULT_MODEL = "efficientnet_lite0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedNetwork:
    """A network of the person's own process, from which the ONNX file was exported there.

    The files are gone when the run is made: what is added to it later needs their digest alone.

    Attributes:
        name: What to call it.
        sha256: Hex digest of the ONNX file.
        pictures: File with the pictures that it was checked on, as `PreprocessSpec.fitted` gives
            them.
        logits: File with its own logits on them, shape (pictures, classes), float32.
        seconds: Wall time of the export and its check.
        notes: What a reader of the run has to know of it, one sentence each.
        recorded: Names of the values of its preprocessing that a record in it gave.
    """

    name: str
    sha256: str
    pictures: str
    logits: str
    seconds: float
    notes: tuple[str, ...]
    recorded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which network with which weights.

    Attributes:
        name: Name in the catalogue; not used with ``onnx``.
        checkpoint: A state dict for that network (``.pth``, ``.pt``, ``.bin`` or
            ``.safetensors``), the index of one in several files, or the folder of either.
        weights_of: Name of the set of weights to take of a checkpoint that holds several, such as
            ``state_dict_ema``; None takes the average over the training (EMA) where there is one.
        onnx: An ONNX file, or a zip of one and its data, instead of a catalogue network.
        random_weights: Fresh weights: for size and latency only.
        labels: File with class names: one a line, or JSON, YAML or CSV with indices.
        names: The class names themselves, where a person gave them in Python.
        output: Name of the output of the ONNX file that holds the logits; None takes the only
            one that can.
        network: What ``onnx`` was exported from by `engine.convert`; None for a person's own file.
    """

    name: str = DEFAULT_MODEL
    checkpoint: str | None = None
    onnx: str | None = None
    random_weights: bool = False
    labels: str | None = None
    names: tuple[str, ...] | None = None
    output: str | None = None
    network: ExportedNetwork | None = None
    weights_of: str | None = None


WeightsKind = Literal["package", "pretrained", "checkpoint", "random", "file", "network"]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which network with which weights a run was made from.

    Attributes:
        name: Catalogue name, the stem of an ONNX file, or the class of a network.
        kind: ``torchvision``, ``efficientnet_lite``, ``timm`` or ``onnx``.
        weights: Where the weights came from; ``network`` for one of a person's own process, which
            was exported to ONNX there.
        weights_sha256: Hex digest of the weights file; for random weights of the state dict, for
            ``network`` of the ONNX file that was exported.
        weights_file: Path of a checkpoint or ONNX file that a person gave; otherwise None.
        parameters: Number of parameters.
        classes: Number of logits.
        weights_of: Name of the set of weights that was taken of a checkpoint that holds several;
            None where it holds one, and for runs from before it was kept.
    """

    name: str
    kind: NetworkKind
    weights: WeightsKind
    weights_sha256: str
    weights_file: str | None
    parameters: int
    classes: int
    weights_of: str | None = None

    @property
    def file_stem(self) -> str:
        """The name as a part of a file's name: timm's names hold a slash."""
        return self.name.replace("/", "_")

    @property
    def random(self) -> bool:
        """Whether figures about accuracy or agreement mean nothing for this model."""
        return self.weights == "random"


_RECORDS = ("pretrained_cfg", "default_cfg")
_CROP_PCT = 0.875
"""timm's ``crop_pct`` where a record has none."""


@dataclasses.dataclass(frozen=True, slots=True)
class OwnPreprocess:
    """Preprocessing read off a network.

    Attributes:
        choice: What the record says; None for what it does not.
        record: Name of the attribute that it stands in.
        architecture: What the record calls the network, or None.
    """

    choice: PreprocessChoice
    record: str
    architecture: str | None


def own_preprocess(
    network: torch.nn.Module, size: tuple[int, int] | None = None
) -> OwnPreprocess | None:
    """Read the preprocessing that a network carries, by timm's rules.

    The shorter side is scaled to ``floor(size / crop_pct)``.

    Returns:
        The preprocessing; None where the network has no such record.
    """
    for name in _RECORDS:
        record = _mapping(getattr(network, name, None))
        if record.get("mean") and record.get("std"):
            return _read(record, name, size)
    return None


def resize_of(
    height: int, width: int, crop_mode: str | None, crop_pct: float
) -> tuple[ResizeRule, int]:
    """Give how timm fits pictures, and the length of the shorter side before the crop in pixels.

    What timm squashes and crops, or frames, has its shorter side scaled here.
    """
    longest = max(height, width)
    squashes = crop_mode == "squash" and crop_pct == 1
    resize_size = max(longest, math.floor(longest / crop_pct))
    return ("squash" if squashes else "shorter_side"), resize_size


def _mapping(record: object) -> Mapping[str, Any]:
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.asdict(record)
    return record if isinstance(record, Mapping) else {}


def _read(record: Mapping[str, Any], name: str, size: tuple[int, int] | None) -> OwnPreprocess:
    height, width = size or tuple(record.get("input_size") or (3, 224, 224))[1:]
    crop_pct = record.get("crop_pct") or _CROP_PCT
    resize, resize_size = resize_of(height, width, record.get("crop_mode"), crop_pct)
    interpolation, architecture = record.get("interpolation"), record.get("architecture")
    return OwnPreprocess(
        PreprocessChoice(
            input_size=(height, width),
            resize=resize,
            resize_size=resize_size,
            interpolation=interpolation if interpolation in INTERPOLATIONS else None,
            channel_order="RGB" if len(record["mean"]) == 3 else None,
            scale=1 / 255,
            mean=tuple(record["mean"]),
            std=tuple(record["std"]),
        ),
        name,
        str(architecture) if architecture else None,
    )
