"""TFLite Metadata: what a model's edges mean, written into the file itself and read back.

Two places of a ``.tflite`` file hold it: a FlatBuffer of the metadata schema (identifier ``M001``)
in one of the model's buffers, under the name ``TFLITE_METADATA``, and a ZIP archive behind the
model with the files that it names, such as the labels. LiteRT passes over both.

The schema's slots stand here as numbers: the packages that bring generated code for it pin an old
protobuf (tflite-support) or bring OpenCV (mediapipe). Source: ``metadata_schema.fbs`` of TensorFlow
Lite Support, version 1.1.0; a test reads the result with mediapipe's generated code.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from engine.core.errors import FileError
from engine.tflite.graph import packed, parsed
from engine.tflite.metadata_tables import Byte, Floats, Table, TableView, UInt, Value, written

NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
"""The oldest version of the schema that has everything written here."""
_AXIS_LABELS, _FEATURE, _IMAGE, _NORMALIZATION = 2, 1, 2, 1
_COLORS = {"RGB": 1, "L": 2}
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class _Model(IntEnum):
    NAME, DESCRIPTION, VERSION, SUBGRAPHS, AUTHOR, LICENSE, FILES, PARSER = range(8)


class _Graph(IntEnum):
    NAME, DESCRIPTION, INPUTS, OUTPUTS = range(4)


class _Tensor(IntEnum):
    NAME, DESCRIPTION, DIMENSIONS, CONTENT, UNITS, STATS, FILES = range(7)


class _File(IntEnum):
    NAME, DESCRIPTION, TYPE = range(3)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """What a picture input wants.

    The value fed is ``(pixel - mean) / std`` with pixels of 0 to 255; integer inputs are then
    quantized with the tensor's own scale and zero point.

    Attributes:
        name: A short name.
        description: For people.
        height: Rows, in pixels.
        width: Columns, in pixels.
        channel_order: ``RGB``, or ``L`` (the schema's GRAYSCALE); it has no word for another order,
            which is then unknown.
        mean: One a channel, in pixels.
        std: One a channel, in pixels.
        minimum: Smallest value fed, one a channel.
        maximum: Largest value fed, one a channel.
    """

    name: str
    description: str
    height: int
    width: int
    channel_order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoresOutput:
    """What the scores of the classes are.

    Attributes:
        name: A short name.
        description: For people.
        labels_file: Name of the file of class names inside the model file; empty where there is
            none.
    """

    name: str
    description: str
    labels_file: str = ""


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a file says about itself.

    Attributes:
        name: Of the model.
        description: For people.
        version: Of the model.
        image: Its picture input.
        scores: Its output.
        labels: Class names in the order of the scores; empty where there are none.
    """

    name: str
    description: str
    version: str
    image: ImageInput
    scores: ScoresOutput
    labels: tuple[str, ...] = ()


def with_metadata(model: bytes, metadata: ModelMetadata) -> bytes:
    """Put metadata into a TFLite file.

    Args:
        model: Content of the file; metadata that it has is replaced.
        metadata: What to say.

    Returns:
        Content of the new file; operators and weights are those of the old one.
    """
    from ai_edge_litert import schema_py_generated as schema

    objects = parsed(model)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(written(_model_table(metadata), IDENTIFIER), dtype=np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(objects.buffers)
    kept = [found for found in objects.metadata or [] if _name(found) != NAME]
    objects.metadata = [*kept, entry]
    objects.buffers = [*objects.buffers, buffer]
    made = packed(objects, len(model) + len(buffer.data))
    if not metadata.labels:
        return made
    content = io.BytesIO(made)
    # Stored, not deflated: readers on phones take the labels from the mapped file as they are.
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        place = zipfile.ZipInfo(metadata.scores.labels_file, _ZIP_TIME)
        archive.writestr(place, "".join(f"{label}\n" for label in metadata.labels))
    return content.getvalue()


def read_metadata(model: bytes) -> ModelMetadata:
    """Read what `with_metadata` wrote.

    Args:
        model: Content of a TFLite file.

    Returns:
        The metadata.

    Raises:
        FileError: The file has none, or other than that of a picture classifier.
    """
    objects = parsed(model)
    entry = next((e for e in objects.metadata or [] if _name(e) == NAME), None)
    if entry is None:
        raise _unreadable("a file without TFLite Metadata")
    data = bytes(bytearray(objects.buffers[entry.buffer].data))
    if data[4:8] != IDENTIFIER:
        raise _unreadable(f"metadata of the kind {data[4:8]!r}")
    root = TableView.root(data)
    graphs = root.tables(_Model.SUBGRAPHS)
    edges = [graphs[0].tables(slot) for slot in (_Graph.INPUTS, _Graph.OUTPUTS)] if graphs else []
    if [len(edge) for edge in edges] != [1, 1]:
        raise _unreadable("metadata of more or fewer than one input and one output")
    scores = _scores_read(edges[1][0])
    return ModelMetadata(
        name=root.text(_Model.NAME),
        description=root.text(_Model.DESCRIPTION),
        version=root.text(_Model.VERSION),
        image=_image_read(edges[0][0]),
        scores=scores,
        labels=_labels_read(model, scores.labels_file),
    )


def _unreadable(got: str) -> FileError:
    return FileError(
        "Reading TFLite Metadata",
        got=got,
        expected="the metadata of a picture classifier",
        todo="Make the kit again.",
    )


def _name(entry: Any) -> bytes:
    return entry.name if isinstance(entry.name, bytes) else str(entry.name).encode()


def _model_table(metadata: ModelMetadata) -> Table:
    graph = Table(
        {
            _Graph.NAME: metadata.name,
            _Graph.INPUTS: [_image_table(metadata.image)],
            _Graph.OUTPUTS: [_scores_table(metadata.scores)],
        }
    )
    return Table(
        {
            _Model.NAME: metadata.name,
            _Model.DESCRIPTION: metadata.description,
            _Model.VERSION: metadata.version,
            _Model.SUBGRAPHS: [graph],
            _Model.PARSER: PARSER_VERSION,
        }
    )


def _image_table(image: ImageInput) -> Table:
    size = Table({0: UInt(image.width), 1: UInt(image.height)})
    properties = Table({0: Byte(_COLORS.get(image.channel_order, 0)), 1: size})
    options = Table({0: Floats(image.mean), 1: Floats(image.std)})
    return Table(
        {
            _Tensor.NAME: image.name,
            _Tensor.DESCRIPTION: image.description,
            _Tensor.CONTENT: Table({0: Byte(_IMAGE), 1: properties}),
            _Tensor.UNITS: [Table({0: Byte(_NORMALIZATION), 1: options})],
            _Tensor.STATS: Table({0: Floats(image.maximum), 1: Floats(image.minimum)}),
        }
    )


def _scores_table(scores: ScoresOutput) -> Table:
    slots: dict[int, Value] = {
        _Tensor.NAME: scores.name,
        _Tensor.DESCRIPTION: scores.description,
        _Tensor.CONTENT: Table({0: Byte(_FEATURE), 1: Table({})}),
    }
    if scores.labels_file:
        labels = Table(
            {
                _File.NAME: scores.labels_file,
                _File.DESCRIPTION: "Class names in the order of the scores",
                _File.TYPE: Byte(_AXIS_LABELS),
            }
        )
        slots[_Tensor.FILES] = [labels]
    return Table(slots)


def _image_read(tensor: TableView) -> ImageInput:
    content, units = tensor.table(_Tensor.CONTENT), tensor.tables(_Tensor.UNITS)
    stats = tensor.table(_Tensor.STATS)
    properties = content.table(1) if content is not None and content.byte(0) == _IMAGE else None
    options = units[0].table(1) if units and units[0].byte(0) == _NORMALIZATION else None
    size = properties.table(1) if properties is not None else None
    if properties is None or size is None or options is None or stats is None:
        raise _unreadable("an input that is no picture with a normalization")
    colors = {number: word for word, number in _COLORS.items()}
    return ImageInput(
        name=tensor.text(_Tensor.NAME),
        description=tensor.text(_Tensor.DESCRIPTION),
        height=size.uint(1),
        width=size.uint(0),
        channel_order=colors.get(properties.byte(0), "unknown"),
        mean=options.floats(0),
        std=options.floats(1),
        minimum=stats.floats(1),
        maximum=stats.floats(0),
    )


def _scores_read(tensor: TableView) -> ScoresOutput:
    files = [f for f in tensor.tables(_Tensor.FILES) if f.byte(_File.TYPE) == _AXIS_LABELS]
    return ScoresOutput(
        name=tensor.text(_Tensor.NAME),
        description=tensor.text(_Tensor.DESCRIPTION),
        labels_file=files[0].text(_File.NAME) if files else "",
    )


def _labels_read(model: bytes, name: str) -> tuple[str, ...]:
    if not name:
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            return tuple(archive.read(name).decode().removesuffix("\n").split("\n"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise _unreadable(f"a file without the labels {name} that it names") from error
