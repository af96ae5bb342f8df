"""Names and links that lead out: nothing is read or written there."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import TensorProto, numpy_helper

from engine.core.errors import RunError
from engine.images.pictures import pictures_in
from engine.images.zip_archive import read_zip_pictures
from engine.networks.onnx_reading import read_onnx
from engine.runs import run as runs
from engine.runs.external_files import check_name, name_for
from engine.runs.run import Run
from engine.tasks.add_file import add_file
from engine.workers.process import Foreground
from tests.helpers.tiny_run import tiny_run
from tests.hostile.onnx_seeds import convolution
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile

SECRET = b"a secret of the machine"


def zip_with(name: str, *, mode: int = stat.S_IFREG, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo("placeholder.png")
        entry.external_attr = (mode | 0o644) << 16
        entry.filename = name
        archive.writestr(entry, content)
    return made.getvalue()


def encrypted() -> bytes:
    data = bytearray(zip_with("a.png"))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def in_zip(data: bytes) -> Callable[[Path], object]:
    return lambda place: list(read_zip_pictures(data, "x.zip"))


def in_manifest(*path: object, value: object) -> Callable[[Path], object]:
    def attempt(place: Path) -> object:
        run = tiny_run(place / "run")
        manifest = json.loads((run.folder / "manifest.json").read_bytes())
        # Whoever changes a manifest can leave its checksum out.
        inner = manifest | {"checksum": None}
        manifest = inner
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (run.folder / "manifest.json").write_text(json.dumps(manifest))
        return Run.open(run.folder)

    return attempt


def by_link(name: str) -> Callable[[Path], object]:
    def attempt(place: Path) -> object:
        run = tiny_run(place / "run")
        target = run.folder / name
        target.unlink(missing_ok=True)
        target.symlink_to(place / "secret" if "." in name else place)
        return Run.open(run.folder)

    return attempt


def outside_data(location: str) -> Callable[[Path], object]:
    def attempt(place: Path) -> object:
        model = convolution()
        tensor = numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0]), "k")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location.format(place=place))
        model.graph.initializer[0].CopyFrom(tensor)
        (place / "m.onnx").write_bytes(model.SerializeToString())
        return read_onnx(place / "m.onnx")

    return attempt


def as_name(name: str) -> Callable[[Path], object]:
    def attempt(place: Path) -> object:
        run = tiny_run(place / "run")
        return add_file(run, name, run.file("float32"), Foreground())

    return attempt


TRICKS: dict[str, Callable[[Path], object]] = {
    **{
        f"zip {name!r}": in_zip(zip_with(name))
        for name in (
            "../secret.png",
            "a/../../secret.png",
            "/etc/secret.png",
            "..\\secret.png",
            "a\\b.png",
            "C:\\secret.png",
            "C:secret.png",
            "./../x.png",
        )
    },
    "zip link": in_zip(zip_with("a.png", mode=stat.S_IFLNK, content=b"/etc/passwd")),
    "zip device": in_zip(zip_with("a.png", mode=stat.S_IFCHR)),
    "zip pipe": in_zip(zip_with("a.png", mode=stat.S_IFIFO)),
    "zip encrypted": in_zip(encrypted()),
    **{
        f"artifact {value!r}": in_manifest("artifacts", 0, "file", value=value)
        for value in ("../secret", "/etc/passwd", "a/../../secret", "", "a\0b", "..")
    },
    **{
        f"variant {value!r}": in_manifest("artifacts", 0, "variant", value=value)
        for value in ("../x", "/x", "a/b", "", "x" * 200, "<b>x", ".x", "a\nb")
    },
    **{
        f"link {name}": by_link(name)
        for name in ("model.onnx", "manifest.json", "logs", "also", "work", "float32.tflite")
    },
    **{
        f"external {place}": outside_data(place)
        for place in ("/etc/passwd", "../secret", "secret", "file:///etc/passwd", "{place}/secret")
    },
    **{
        f"name {name!r}": as_name(name)
        for name in ("../x", "a/b", "/x", "..", ".x", "a\0b", "x\n", "int8", "a b")
    },
}


def test_tricks(scaled: Scaled, noted: Noted, tmp_path: Path) -> None:
    row = Row("path tricks", scaled(len(TRICKS)), noted)
    kept = list(TRICKS.items())
    for number, _ in row.cases():
        what, attempt = kept[number]
        place = tmp_path / str(number)
        place.mkdir()
        (place / "secret").write_bytes(SECRET)
        before = everything(tmp_path)
        with row.tried(what, "LED OUT"):
            attempt(place)
        made = everything(tmp_path) - before
        outside = [path for path in made if path.parts[0] != str(number)]
        assert not outside, (what, outside)
        assert (place / "secret").read_bytes() == SECRET
    row.check()
    assert "LED OUT" not in row.outcomes


def everything(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["../../x.tflite", "/etc/passwd", "..", "\0.tflite", "a/b\\c"])
def test_names_of_uploads_become_harmless(name: str) -> None:
    check_name(name_for(name))


def test_without_the_look_a_run_moves_files_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    monkeypatch.setattr(runs, "demand_inside", lambda *_: None)
    run = in_manifest("artifacts", 0, "file", value="../secret")(tmp_path)
    assert isinstance(run, Run)
    with pytest.raises(RunError, match="lies in damaged"):
        run.file("float32")
    assert not (tmp_path / "secret").exists()


def test_without_the_look_a_zip_unpacks_where_it_likes(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(zip_with("../out.png"))) as archive:
        (name,) = archive.namelist()
    assert not (tmp_path / name).resolve().is_relative_to(tmp_path.resolve())


def test_hidden_files_and_links_to_folders_are_no_pictures(tmp_path: Path, photos: Path) -> None:
    (photos / ".hidden.png").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (photos / "linked.png").symlink_to(tmp_path / "elsewhere")
    assert len(pictures_in(photos)) == 5
