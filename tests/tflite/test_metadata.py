from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from engine.core.errors import FileError
from engine.deployment.description import metadata_of
from engine.tflite.graph import parse_model
from engine.tflite.metadata import NAME, ModelMetadata, read_metadata, with_metadata
from tests.helpers.kits import LABELS, SPEC, run_of
from tests.helpers.tiny_run import SIDE

MEDIAPIPE = "mediapipe==1.2.3"


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return run_of(tmp_path / "run", "int8").file("int8").read_bytes()


@pytest.fixture
def metadata(tmp_path: Path, model: bytes) -> ModelMetadata:
    from engine.runs.run import Run

    run = Run.open(tmp_path / "run")
    return metadata_of(run, run.artifact("int8"), "logits")


def float32s(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(np.float32(value)) for value in values)


def as_read(metadata: ModelMetadata) -> ModelMetadata:
    """What the file can keep: float32, and no word for BGR."""
    image = replace(
        metadata.image,
        channel_order="unknown",
        **{
            name: float32s(getattr(metadata.image, name))
            for name in ("mean", "std", "minimum", "maximum")
        },
    )
    return replace(metadata, image=image)


def test_what_is_written_is_read_back(model: bytes, metadata: ModelMetadata) -> None:
    assert read_metadata(with_metadata(model, metadata)) == as_read(metadata)
    assert metadata.labels == LABELS
    assert metadata.image.mean == pytest.approx((25.5, 51.0, 76.5))
    assert metadata.image.std == pytest.approx((127.5, 153.0, 178.5))
    assert metadata.image.minimum == pytest.approx((-0.2, -0.2 / 0.6, -0.3 / 0.7))
    assert metadata.image.maximum == pytest.approx((0.9 / 0.5, 0.8 / 0.6, 0.7 / 0.7))


def test_rgb_has_a_word_and_no_labels_need_no_archive(
    model: bytes, metadata: ModelMetadata
) -> None:
    plain = replace(
        metadata,
        image=replace(metadata.image, channel_order="RGB"),
        scores=replace(metadata.scores, labels_file=""),
        labels=(),
    )
    made = with_metadata(model, plain)
    assert read_metadata(made).image.channel_order == "RGB"
    assert read_metadata(made).labels == ()
    assert not zipfile.is_zipfile(io.BytesIO(made))


def test_labels_are_stored_as_they_are_for_readers_that_map_the_file(
    model: bytes, metadata: ModelMetadata
) -> None:
    made = with_metadata(model, metadata)
    text = "".join(f"{label}\n" for label in LABELS).encode()
    assert text in made
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == text


def answers(model: bytes) -> bytes:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    fed = np.arange(SIDE * SIDE * 3, dtype=np.int8).reshape(1, SIDE, SIDE, 3)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], fed)
    interpreter.invoke()
    found: bytes = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes()
    return found


def test_the_answers_stay_the_same_bit_by_bit(model: bytes, metadata: ModelMetadata) -> None:
    assert answers(with_metadata(model, metadata)) == answers(model)


def test_metadata_is_replaced_not_doubled(model: bytes, metadata: ModelMetadata) -> None:
    once = with_metadata(model, metadata)
    twice = with_metadata(once, replace(metadata, name="another"))
    assert read_metadata(twice).name == "another"
    names = [entry.name for entry in parse_model(twice).metadata]
    assert names.count(NAME) == 1
    assert twice.count(b"class, no. 7\n") == 1


def test_a_file_without_metadata_is_a_sentence(model: bytes, metadata: ModelMetadata) -> None:
    with pytest.raises(FileError, match="without TFLite Metadata"):
        read_metadata(model)
    made = with_metadata(model, metadata)
    archive_at = made.index(b"PK\x03\x04")
    with pytest.raises(FileError, match=r"without the labels labels\.txt"):
        read_metadata(made[:archive_at])


@pytest.mark.slow
def test_the_schema_of_mediapipe_reads_the_same(
    model: bytes, metadata: ModelMetadata, tmp_path: Path
) -> None:
    schema = schema_of_mediapipe(tmp_path)
    objects = parse_model(with_metadata(model, metadata))
    entry = next(entry for entry in objects.metadata if entry.name == NAME)
    data = bytearray(objects.buffers[entry.buffer].data)
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
    found = schema.ModelMetadataT.InitFromPackedBuf(data, 0)
    assert (found.name, found.minParserVersion) == (b"tiny", b"1.0.0")
    graph = found.subgraphMetadata[0]
    image, scores = graph.inputTensorMetadata[0], graph.outputTensorMetadata[0]
    kind = schema.ContentProperties
    assert image.content.contentPropertiesType == kind.ImageProperties
    assert image.content.contentProperties.defaultSize.width == SPEC.width
    assert image.processUnits[0].optionsType == schema.ProcessUnitOptions.NormalizationOptions
    options = image.processUnits[0].options
    assert tuple(options.mean) == float32s(metadata.image.mean)
    assert tuple(options.std) == float32s(metadata.image.std)
    assert tuple(image.stats.max) == float32s(metadata.image.maximum)
    assert tuple(image.stats.min) == float32s(metadata.image.minimum)
    assert scores.content.contentPropertiesType == kind.FeatureProperties
    assert scores.associatedFiles[0].name == b"labels.txt"
    assert scores.associatedFiles[0].type == schema.AssociatedFileType.TENSOR_AXIS_LABELS


def schema_of_mediapipe(folder: Path) -> Any:
    """The generated code that mediapipe brings, without installing mediapipe."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run(
        [*command, str(folder), MEDIAPIPE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{MEDIAPIPE} cannot be downloaded: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(next(folder.glob("mediapipe*.whl"))) as wheel:
        wheel.extract("mediapipe/tasks/metadata/metadata_schema_py_generated.py", folder)
    file = folder / "mediapipe/tasks/metadata/metadata_schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("metadata_schema_py_generated", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
