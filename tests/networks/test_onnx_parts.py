"""External data: `model.onnx` with `model.onnx.data` beside it, or both in a zip."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.core.errors import ModelError
from engine.networks.external_data import OutsideTensor
from engine.networks.onnx_files import onnx_source
from engine.networks.onnx_parts import demand_complete, demand_whole, model_digest
from engine.networks.onnx_reading import read_onnx
from engine.networks.source import ModelChoice
from engine.runs.request import ConvertRequest, run_key


def scaled_means(**weights: np.ndarray) -> onnx.ModelProto:
    """Channel means of a picture, times each of the weights."""
    names = list(weights)
    values = ["m", *(f"h{number}" for number in range(len(names) - 1)), "y"]
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0)]
    nodes += [
        helper.make_node("Mul", [values[number], name], [values[number + 1]])
        for number, name in enumerate(names)
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


FIRST = np.array([1, 2, 4], np.float32)
SECOND = np.array([[3, 5, 7]], np.float32)


def exported(folder: Path, *, one_file: bool = True, location: str = "model.onnx.data") -> Path:
    """A model of two weights beside their data."""
    path = folder / "model.onnx"
    onnx.save_model(
        scaled_means(first=FIRST, second=SECOND),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=one_file,
        location=location if one_file else None,
        size_threshold=0,
    )
    return path


def weights_of(path: Path) -> dict[str, list[float]]:
    model = read_onnx(path)
    assert not any(t.data_location or t.external_data for t in model.graph.initializer)
    return {t.name: numpy_helper.to_array(t).ravel().tolist() for t in model.graph.initializer}


WEIGHTS = {"first": [1, 2, 4], "second": [3, 5, 7]}


def test_data_beside_the_model_is_read(tmp_path: Path) -> None:
    assert weights_of(exported(tmp_path)) == WEIGHTS
    demand_complete(tmp_path / "model.onnx")


def test_one_file_a_tensor_is_read(tmp_path: Path) -> None:
    path = exported(tmp_path, one_file=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first", "model.onnx", "second"]
    assert weights_of(path) == WEIGHTS


def test_data_in_a_folder_within_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    assert weights_of(exported(tmp_path, location="weights/all.bin")) == WEIGHTS


def test_offset_and_length_may_be_left_out(tmp_path: Path) -> None:
    path = exported(tmp_path, one_file=False)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in [entry for entry in tensor.external_data if entry.key != "location"]:
            tensor.external_data.remove(entry)
    path.write_bytes(model.SerializeToString())
    assert weights_of(path) == WEIGHTS


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["", "exported/"])
def test_a_zip_of_both_is_read(tmp_path: Path, method: int, folder: str) -> None:
    exported(tmp_path)
    with zipfile.ZipFile(tmp_path / "both.zip", "w", method) as archive:
        for name in ("model.onnx", "model.onnx.data"):
            archive.write(tmp_path / name, folder + name)
    assert weights_of(tmp_path / "both.zip") == WEIGHTS
    demand_complete(tmp_path / "both.zip")


def test_several_models_in_a_zip_are_named(tmp_path: Path) -> None:
    path = exported(tmp_path)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(path, "a.onnx")
        archive.write(path, "b.onnx")
    with pytest.raises(ModelError, match=r"2 ONNX files \('a\.onnx', 'b\.onnx'\)"):
        read_onnx(tmp_path / "two.zip")


def test_missing_data_is_asked_for_by_its_name(tmp_path: Path) -> None:
    path = exported(tmp_path)
    (tmp_path / "model.onnx.data").rename(tmp_path / "other.data")
    for read in (read_onnx, demand_complete, model_digest):
        with pytest.raises(ModelError, match=r"no file 'model\.onnx\.data'.*drop both together"):
            read(path)


@pytest.mark.parametrize("size", [8, 24 + 4, 24 + 100_000])
def test_data_of_another_model_is_refused(tmp_path: Path, size: int) -> None:
    path = exported(tmp_path)
    (tmp_path / "model.onnx.data").write_bytes(b"\1" * size)
    for read in (read_onnx, demand_complete):
        with pytest.raises(ModelError, match="The data is another model's"):
            read(path)


def test_zeros_up_to_a_page_may_follow(tmp_path: Path) -> None:
    path = exported(tmp_path)
    with (tmp_path / "model.onnx.data").open("ab") as file:
        file.write(bytes(4072))
    assert weights_of(path) == WEIGHTS


def test_a_checksum_is_held_to(tmp_path: Path) -> None:
    path = exported(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="checksum", value="0" * 40)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="another SHA-1"):
        read_onnx(path)


def test_changed_data_is_another_model(tmp_path: Path) -> None:
    path = exported(tmp_path)
    request = ConvertRequest(model=ModelChoice(onnx=str(path)))
    before = run_key(request), onnx_source(request.model).identity.weights_sha256
    data = tmp_path / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-4] + np.float32(8).tobytes())
    after = run_key(request), onnx_source(request.model).identity.weights_sha256
    assert not set(before) & set(after)


def test_a_model_without_data_keeps_the_digest_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(scaled_means(first=FIRST).SerializeToString())
    assert model_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_of_a_run_holds_everything(tmp_path: Path) -> None:
    path = exported(tmp_path)
    with pytest.raises(ModelError, match="kept in another file"):
        demand_whole(path)
    path.write_bytes(read_onnx(path).SerializeToString())
    demand_whole(path)


@pytest.mark.parametrize("kind", sorted(set(TensorProto.DataType.values()) - {0, 8}))
def test_the_bytes_of_every_type_are_known(kind: int) -> None:
    tensor = helper.make_tensor("w", kind, [3], np.zeros(3))
    packed = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
    outside = OutsideTensor("w", (3,), kind, (("location", "data"),))
    assert outside.span("stage").end == len(packed)
