from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine.cli.main import main
from engine.core.errors import PictureError, RunError
from engine.images.pictures import Picture, pictures_in
from engine.runs.pinned import list_pinned, list_pinned_digests, pin, unpin
from engine.runs.run import PINNED
from tests.helpers.tiny_run import tiny_run


def test_pinned_pictures_are_copies_each_once(tmp_path: Path, photos: Path) -> None:
    run, pictures = tiny_run(tmp_path / "run"), pictures_in(photos)
    assert list_pinned(run) == ()
    pin(run, pictures[2])
    pin(run, replace(pictures[2], name="again.png"))
    pin(run, replace(pictures[0], name="deep/../../<b>.png"))
    pictures[2].path.unlink()
    kept = list_pinned(run)
    assert [picture.name for picture in kept] == ["b_.png", "photo_2.png"]
    assert list_pinned_digests(run) == {pictures[0].sha256, pictures[2].sha256}
    assert all(picture.path.is_relative_to(run.folder / PINNED) for picture in kept)
    unpin(run, pictures[0].sha256)
    unpin(run, "../../photos")
    assert [picture.name for picture in list_pinned(run)] == ["photo_2.png"]
    assert len(pictures_in(photos)) == 4


def test_what_is_no_picture_or_has_changed_is_not_pinned(tmp_path: Path, photos: Path) -> None:
    run, picture = tiny_run(tmp_path / "run"), pictures_in(photos)[0]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    digest = hashlib.sha256(b"no picture").hexdigest()
    with pytest.raises(PictureError, match="bytes that are no picture"):
        pin(run, Picture("bad.png", bad, digest))
    with pytest.raises(PictureError, match="changed since it was shown"):
        pin(run, replace(picture, sha256=digest))
    assert not (run.folder / PINNED).exists()


def test_a_pinned_picture_that_changed_is_told_and_can_be_removed(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, picture = tiny_run(tmp_path / "run"), pictures_in(photos)[0]
    pin(run, picture)
    list_pinned(run)[0].path.write_bytes(b"other")
    with pytest.raises(RunError, match="changed since it was pinned"):
        list_pinned(run)
    command = ["pin", "--run", str(run.folder)]
    assert main(command) == 2
    assert main([*command, "--remove", "nowhere.png"]) == 2
    assert "'nowhere.png'" in capsys.readouterr().err
    assert main([*command, "--remove", picture.name]) == 0
    assert list_pinned_digests(run) == set()


def test_the_command_pins_a_folder_and_the_functions_find_it(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(tmp_path / "run")
    with pytest.raises(PictureError, match="engine pin --run"):
        engine.pinned(run)
    assert main(["pin", "--run", str(run.folder), "--images", str(photos)]) == 0
    assert "photo_4.png" in capsys.readouterr().out
    assert [path.name for path in engine.pinned(run.folder)] == [
        f"photo_{index}.png" for index in range(5)
    ]


@pytest.mark.parametrize(
    ("words", "got"), [((), "neither"), (("--pinned", "--images", "photos"), "both")]
)
def test_compare_wants_one_set_of_pictures(
    words: tuple[str, ...], got: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(tmp_path / "run")
    assert main(["compare", "--run", str(run.folder), *words]) == 2
    assert f"{got} --images" in capsys.readouterr().err
