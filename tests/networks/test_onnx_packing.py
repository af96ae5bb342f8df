from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import ModelError
from engine.networks.onnx_precision import pack_onnx
from tests.networks.test_onnx_parts import WEIGHTS, exported, weights_of

Files = list[tuple[str, bytes]]


def exported_files(folder: Path, location: str = "model.onnx.data") -> Files:
    (folder / location).parent.mkdir(exist_ok=True)
    path = exported(folder, location=location)
    return [("model.onnx", path.read_bytes()), (location, (folder / location).read_bytes())]


@pytest.mark.parametrize("name", ["model.onnx.data", "model.onnx (1).data", "../c:data"])
def test_data_gets_the_name_that_the_model_asks_for(tmp_path: Path, name: str) -> None:
    (_, model_content), (_, content) = exported_files(tmp_path, "weights/model.onnx.data")
    model = ("../.Mine: v1.ONNX", model_content)
    packed_name, packed = pack_onnx([(name, content), model])
    assert packed_name == ".Mine: v1.zip"
    (tmp_path / "packed.zip").write_bytes(packed)
    assert weights_of(tmp_path / "packed.zip") == WEIGHTS
    assert pack_onnx([model, (name, content)]) == (packed_name, packed), "the same zip again"


def test_one_file_is_kept_as_it_is() -> None:
    for name in ("m.onnx", "M.ONNX", "m.zip"):
        assert pack_onnx([(name, b"content")]) == (name, b"content")


def test_what_is_no_pair_is_told(tmp_path: Path) -> None:
    model, data = exported_files(tmp_path)
    wrong = {
        r"0 ONNX files among 'model\.onnx\.data'.*Drop one model's \.onnx file together": [data],
        r"2 ONNX files among 'model\.onnx', 'b\.onnx'": [model, ("b.onnx", model[1])],
        r"the data 'a', 'b'; expected 'model\.onnx\.data'": [model, ("a", b""), ("b", b"")],
        r"0 ONNX files among 'a\.zip', 'b\.zip'": [("a.zip", b""), ("b.zip", b"")],
        r"the data 'model\.onnx\.data', 'model\.onnx\.data'; expected": [
            model,
            data,
            (data[0], data[1][::-1]),
        ],
    }
    for words, files in wrong.items():
        with pytest.raises(ModelError, match=words):
            pack_onnx(files)
    assert pack_onnx([model, data, data]) == pack_onnx([model, data])
    with pytest.raises(ModelError, match="no data, since the model holds it all"):
        pack_onnx([("whole.onnx", b"\x08\x08"), data])
