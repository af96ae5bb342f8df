"""Descriptions of a kit's model: ``model.json`` for the script, metadata for the file itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.core.types import Layout
from engine.deployment.golden_set import GoldenSet
from engine.images.preprocess import PreprocessSpec
from engine.runs.run import Run
from engine.tflite.artifact import Artifact, TensorInfo
from engine.tflite.metadata import ImageInput, ModelMetadata, ScoresOutput

LABELS_FILE = "labels.txt"
Scores = Literal["logits", "probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """Everything that an app needs to feed a model and read its answers.

    Attributes:
        name: Of the network.
        variant: Of the run.
        file: The model in the kit.
        sha256: Hex digest of that file.
        classes: Number of scores.
        labels: Name of the file of class names; None where the run has none.
        layout: Order of the input's dimensions.
        input: The picture input.
        output: The scores.
        scores: What they are.
        preprocess: How a picture becomes an input.
        golden: The golden set.
    """

    name: str
    variant: str
    file: str
    sha256: str
    classes: int
    labels: str | None
    layout: Layout
    input: TensorInfo
    output: TensorInfo
    scores: Scores
    preprocess: PreprocessSpec
    golden: GoldenSet

    def to_json(self) -> bytes:
        """Convert the record to indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def model_file(run: Run, variant: str) -> str:
    """Name of a variant's model file in its kit, which no shell reads otherwise."""
    name = f"{run.manifest.model.file_stem}_{variant}.tflite"
    return "".join(c if c.isalnum() or c in "_-." else "_" for c in name)


def metadata_of(run: Run, card: Artifact, scores: Scores) -> ModelMetadata:
    """Describe a variant's file by TFLite Metadata.

    Returns:
        The metadata; mean and standard deviation are in pixels of 0 to 255.
    """
    spec, labels = run.manifest.preprocess, run.manifest.labels or ()
    edges = spec.normalized(_grey_levels(spec, [0, 255]))[0]
    entry, end = card.inputs[0], card.outputs[0]
    fitting = {
        "shorter_side": f"the shorter side scaled to {spec.resize_size}, the centre cut out",
        "squash": "scaled without regard to proportions",
        "letterbox": f"scaled to lie inside, margins of {spec.pad_value} around it",
    }[spec.resize]
    return ModelMetadata(
        name=run.manifest.model.name,
        description=(
            f"{run.manifest.model.name} as {card.variant}, for pictures of {spec.height} x "
            f"{spec.width}, {run.manifest.model.classes} classes. Made by Quantization Lab."
        ),
        version=run.manifest.key[:12],
        image=ImageInput(
            name="image",
            description=(
                f"Picture of {spec.height} x {spec.width} in {spec.channel_order}, {card.layout}: "
                f"{fitting}, {spec.interpolation}.{_quantization_words(entry)}"
            ),
            height=spec.height,
            width=spec.width,
            channel_order=spec.channel_order,
            mean=tuple(value / spec.scale for value in spec.mean),
            std=tuple(value / spec.scale for value in spec.std),
            minimum=tuple(float(value) for value in edges[0]),
            maximum=tuple(float(value) for value in edges[1]),
        ),
        scores=ScoresOutput(
            name=scores,
            description=f"One of the {scores} for each class.{_quantization_words(end)}",
            labels_file=LABELS_FILE if labels else "",
        ),
        labels=labels,
    )


def _quantization_words(tensor: TensorInfo) -> str:
    if tensor.scale is None:
        return ""
    return (
        f" In {tensor.dtype}: the real value is ({tensor.dtype} - {tensor.zero_point}) x "
        f"{tensor.scale:.9g}."
    )


def raw_pixel_steps(spec: PreprocessSpec, tensor: TensorInfo) -> int | None:
    """Compute the distance between raw pixels and the right input of an integer model.

    Where preprocessing and quantization undo each other, an app may pass pixels of 0 to 255
    (less 128 for int8) straight on; some libraries do so without asking.

    Returns:
        The largest difference over all pixel values and channels, in steps; None for inputs that
        are not 8-bit integers.
    """
    if tensor.dtype not in {"int8", "uint8"} or tensor.scale is None or tensor.zero_point is None:
        return None
    pixels = np.arange(256)
    real = spec.normalized(_grey_levels(spec, pixels))[0]
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    right = np.clip(steps, limits.min, limits.max)
    raw = pixels + limits.min
    return int(np.abs(right - raw[:, None]).max())


def _grey_levels(spec: PreprocessSpec, levels: ArrayLike) -> NDArray[np.uint8]:
    """One row of pixels, each with the same value in all channels."""
    row = np.asarray(levels, dtype=np.uint8)[None, :, None]
    return np.repeat(row, len(spec.picture_mode), axis=2)
