"""TFLite Metadata: what a model's input and output mean, written into the file and read back.

Two places of a ``.tflite`` file hold it: a FlatBuffer of the metadata schema (identifier ``M001``)
in one of the model's buffers, under the name ``TFLITE_METADATA``, and a ZIP archive behind the
model with the files that it names, such as the labels. LiteRT passes over both. The schema's code
is ``metadata_schema_generated.py``, which flatc makes of ``metadata_schema.fbs``.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.errors import FileError
from engine.tflite.graph import pack_model, parse_model

NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
"""The oldest version of the schema that has everything written here."""
_COLORS = {"RGB": 1, "L": 2}
"""The schema's ``ColorSpaceType``; it has no number for another order of channels."""
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The picture input of a model.

    The value fed is ``(pixel - mean) / std`` with pixels of 0 to 255; integer inputs are then
    quantized with the tensor's own scale and zero point.

    Attributes:
        name: A short name.
        description: For people.
        height: Rows, in pixels.
        width: Columns, in pixels.
        channel_order: ``RGB``, or ``L`` (the schema's GRAYSCALE); ``unknown`` for another order,
            since the schema has no word for it.
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
    """The scores that a model gives.

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
    """The metadata of a TFLite file.

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
        metadata: What to write.

    Returns:
        Content of the new file; operators and weights are those of the old one.
    """
    from ai_edge_litert import schema_py_generated as schema

    objects = parse_model(model)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_pack(metadata), dtype=np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = NAME, len(objects.buffers)
    objects.metadata = [e for e in objects.metadata or [] if _name(e) != NAME] + [entry]
    objects.buffers = [*objects.buffers, buffer]
    file = pack_model(objects, len(model) + len(buffer.data))
    if not metadata.labels:
        return file
    content = io.BytesIO(file)
    # Stored, not deflated: readers on phones take the labels from the mapped file as they are.
    with zipfile.ZipFile(content, "a", zipfile.ZIP_STORED) as archive:
        labels = zipfile.ZipInfo(metadata.scores.labels_file, _ZIP_TIME)
        archive.writestr(labels, "".join(f"{label}\n" for label in metadata.labels))
    return content.getvalue()


def read_metadata(model: bytes) -> ModelMetadata:
    """Read what `with_metadata` wrote.

    Raises:
        FileError: The file has none, or other than that of a picture classifier.
    """
    from engine.tflite import metadata_schema_generated as schema

    objects = parse_model(model)
    entry = next((e for e in objects.metadata or [] if _name(e) == NAME), None)
    if entry is None:
        raise _unreadable("a file without TFLite Metadata")
    data = bytes(objects.buffers[entry.buffer].data)
    if data[4:8] != IDENTIFIER:
        raise _unreadable(f"metadata of the kind {data[4:8]!r}")
    root = schema.ModelMetadataT.InitFromPackedBuf(data)
    graph = next(iter(root.subgraphMetadata or ()), schema.SubGraphMetadataT())
    inputs, outputs = graph.inputTensorMetadata or [], graph.outputTensorMetadata or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise _unreadable("metadata of more or fewer than one input and one output")
    scores = _read_scores(outputs[0])
    return ModelMetadata(
        name=_text(root.name),
        description=_text(root.description),
        version=_text(root.version),
        image=_read_image(inputs[0]),
        scores=scores,
        labels=_read_labels(model, scores.labels_file),
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


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _pack(metadata: ModelMetadata) -> bytes:
    import flatbuffers

    from engine.tflite import metadata_schema_generated as schema

    graph = schema.SubGraphMetadataT(
        name=metadata.name,
        inputTensorMetadata=[_image_table(schema, metadata.image)],
        outputTensorMetadata=[_scores_table(schema, metadata.scores)],
    )
    root = schema.ModelMetadataT(
        name=metadata.name,
        description=metadata.description,
        version=metadata.version,
        subgraphMetadata=[graph],
        minParserVersion=PARSER_VERSION,
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _image_table(schema: Any, image: ImageInput) -> Any:
    properties = schema.ImagePropertiesT(
        colorSpace=_COLORS.get(image.channel_order, 0),
        defaultSize=schema.ImageSizeT(width=image.width, height=image.height),
    )
    return schema.TensorMetadataT(
        name=image.name,
        description=image.description,
        content=schema.ContentT(schema.ContentProperties.ImageProperties, properties),
        processUnits=[
            schema.ProcessUnitT(
                schema.ProcessUnitOptions.NormalizationOptions,
                schema.NormalizationOptionsT(mean=image.mean, std=image.std),
            )
        ],
        stats=schema.StatsT(max=image.maximum, min=image.minimum),
    )


def _scores_table(schema: Any, scores: ScoresOutput) -> Any:
    labels = schema.AssociatedFileT(
        name=scores.labels_file,
        description="Class names in the order of the scores",
        type=schema.AssociatedFileType.TENSOR_AXIS_LABELS,
    )
    return schema.TensorMetadataT(
        name=scores.name,
        description=scores.description,
        content=schema.ContentT(
            schema.ContentProperties.FeatureProperties, schema.FeaturePropertiesT()
        ),
        associatedFiles=[labels] if scores.labels_file else None,
    )


def _read_image(tensor: Any) -> ImageInput:
    properties = getattr(tensor.content, "contentProperties", None)
    size = getattr(properties, "defaultSize", None)
    options = next((unit.options for unit in tensor.processUnits or ()), None)
    if properties is None or size is None or options is None or tensor.stats is None:
        raise _unreadable("an input that is no picture with a normalization")
    colors = {number: word for word, number in _COLORS.items()}
    return ImageInput(
        name=_text(tensor.name),
        description=_text(tensor.description),
        height=size.height,
        width=size.width,
        channel_order=colors.get(properties.colorSpace, "unknown"),
        mean=_floats(options.mean),
        std=_floats(options.std),
        minimum=_floats(tensor.stats.min),
        maximum=_floats(tensor.stats.max),
    )


def _floats(values: Any) -> tuple[float, ...]:
    return () if values is None else tuple(float(value) for value in values)


def _read_scores(tensor: Any) -> ScoresOutput:
    from engine.tflite.metadata_schema_generated import AssociatedFileType

    labels = AssociatedFileType.TENSOR_AXIS_LABELS
    files = [file.name for file in tensor.associatedFiles or () if file.type == labels]
    return ScoresOutput(
        name=_text(tensor.name),
        description=_text(tensor.description),
        labels_file=_text(files[0]) if files else "",
    )


def _read_labels(model: bytes, name: str) -> tuple[str, ...]:
    if not name:
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            return tuple(archive.read(name).decode().removesuffix("\n").split("\n"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise _unreadable(f"a file without the labels {name} that it names") from error
