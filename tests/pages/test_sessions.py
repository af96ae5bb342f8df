"""What a browser session uploads and starts is its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.networks.source import ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.request import ConvertRequest
from engine.tasks.convert import UnderWay, write_note
from engine.workers.jobs import BOARD, Job
from pages.state import session
from tests.helpers.app_test import ROOT, dashboard_test
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import opened

DETAILS = ROOT / "pages" / "dashboard" / "run_details.py"
CATALOG = SimpleNamespace(active=False, error=None, state="done", result=())
CONVERT = ROOT / "pages" / "dashboard" / "convert.py"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A session's memory, without a browser."""
    kept: dict[str, object] = {}
    stand_in = SimpleNamespace(session_state=kept, context=SimpleNamespace(cookies={}))
    monkeypatch.setattr(session, "st", stand_in)
    return kept


def test_uploads_lie_in_a_folder_that_nobody_guesses_or_reads(
    state: dict[str, object], own_store: Path
) -> None:
    first = session.keep_upload("../../evil.png", b"one")
    assert first.name == "evil.png"
    assert first.path.read_bytes() == b"one"
    mine = first.path.parent.parent
    assert mine.parent == own_store / "uploads"
    assert mine.stat().st_mode & 0o077 == 0
    assert len(mine.name) >= 20
    assert session.keep_upload("evil.png", b"one").path == first.path
    state.clear()
    other = session.keep_upload("evil.png", b"one")
    assert other.path != first.path
    assert other.path.name == first.path.name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("my model.onnx", "my_model.onnx"),
        ("../../etc/passwd", "passwd"),
        (".hidden", "hidden"),
        ("x" * 300 + ".PNG", "x" * 40 + ".png"),
        ("a\nb.png", "a_b.png"),
        ("<b>.png", "b.png"),
        ("..", "file"),
        ("", "file"),
        ("\N{SNOWMAN}.png", "file.png"),
    ],
)
@pytest.mark.usefixtures("state")
def test_a_name_from_outside_becomes_a_plain_one(own_store: Path, name: str, kept: str) -> None:
    path = session.keep_upload(name, b"x").path
    assert path.name == kept
    assert path.resolve().is_relative_to(own_store / "uploads")


@pytest.mark.usefixtures("state")
def test_a_set_of_pictures_keeps_both_of_the_same_name() -> None:
    kept = [session.keep_upload("photo.png", content) for content in (b"one", b"two")]
    folder = session.keep_folder(kept)
    assert {path.read_bytes() for path in folder.iterdir()} == {b"one", b"two"}
    assert session.keep_folder(kept[::-1]) == folder


def test_what_comes_of_an_upload_has_an_owner(state: dict[str, object], own_store: Path) -> None:
    kept = str(session.keep_upload("m.onnx", b"x").path)
    public = ConvertRequest()
    assert session.uploads_owner(public) is None
    for own in (
        replace(public, model=ModelChoice(onnx=kept)),
        replace(public, model=ModelChoice(checkpoint=kept)),
        replace(public, model=ModelChoice(labels=kept)),
        replace(public, calibration=CalibrationChoice(folder=str(Path(kept).parent))),
    ):
        assert session.uploads_owner(own) == session.owner()
    elsewhere = replace(public, model=ModelChoice(onnx=str(own_store / "m.onnx")))
    assert session.uploads_owner(elsewhere) is None


def test_a_browser_is_known_again_and_two_are_not_one(state: dict[str, object]) -> None:
    cookies: dict[str, str] = session.st.context.cookies  # type: ignore[assignment]
    owners = []
    for token, mask in ((1, 0), (1, 7), (2, 0)):
        state.clear()
        masked = bytes([token ^ mask] * 16).hex()
        cookies["_streamlit_xsrf"] = f"2|{bytes([mask] * 4).hex()}|{masked}|1"
        owners.append(session.owner())
    assert owners[0] == owners[1] != owners[2]
    cookies.clear()
    state.clear()
    unknown = session.owner()
    assert unknown == session.owner()
    state.clear()
    assert session.owner() != unknown


def test_the_page_names_how_long_uploads_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Deleted after 24 hours" in session.uploads_kept()
    monkeypatch.setenv("QLAB_UPLOAD_HOURS", "1.5")
    assert "Deleted after 1.5 hours" in session.uploads_kept()


def test_downloads_have_addresses_of_their_own_each_time(own_store: Path) -> None:
    tiny_run(own_store / "runs" / "tiny")
    found = []
    for _ in range(2):
        test = opened(DETAILS)
        assert not test.exception
        found.append({button.proto.deferred_file_id for button in test.get("download_button")})
    assert all(len(name) == 32 for names in found for name in names)
    assert found[0].isdisjoint(found[1])
    assert "manifest" not in str(found)


def test_clicks_leave_nothing_behind(own_store: Path) -> None:
    tiny_run(own_store / "runs" / "tiny")
    test = opened(DETAILS)
    process = psutil.Process()
    counts = []
    for click in range(12):
        test.get("button_group")[0].set_value(("int8", "float32")[click % 2])
        test.run()
        assert not test.exception
        counts.append((process.num_fds(), process.num_threads(), len(process.children())))
    # A leak of one a click would be nine by now; a thread may be about to end.
    assert all(last - third <= 2 for last, third in zip(counts[-1], counts[2], strict=True))


@pytest.fixture
def held() -> Iterator[Job[bool]]:
    """A job of somebody who closed the page."""
    release = threading.Event()
    job = Job("Converting mine", lambda job: release.wait(120)).start()
    BOARD.add("me", "convert", "", job)
    yield job
    release.set()
    assert job.wait(60)
    BOARD.forget(job)


def shown(owner: str) -> str:
    test = dashboard_test()
    test.switch_page(str(CONVERT.relative_to(ROOT)))
    test.session_state["qlab_owner"] = owner
    BOARD.add(owner, "catalog", "", CATALOG)
    test.run()
    assert not test.exception
    words = [element.value for element in (*test.markdown, *test.caption)]
    return " ".join([*words, *(button.label for button in test.button)])


def test_coming_back_finds_the_job_and_a_stranger_does_not(held: Job[bool]) -> None:
    assert "Converting mine" in shown("me")
    assert "Cancel" in shown("me")
    assert "Converting mine" not in shown("you")


def test_what_a_stopped_server_interrupted_is_shown_to_its_owner(own_store: Path) -> None:
    # A note that nobody holds is what a killed server leaves.
    from engine.tasks import convert as under_way

    note = write_note(UnderWay("me", "Converting <b>mine</b>", ConvertRequest()))
    note.__enter__()
    (place,) = (own_store / "jobs").iterdir()
    copy = own_store / "jobs" / "left"
    copy.mkdir()
    for file in place.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    note.__exit__(None, None, None)
    assert len(under_way.list_interrupted("me")) == 1
    mine = shown("me")
    assert r"\<b\>mine\</b\>** was interrupted" in mine
    assert "Go on" in mine
    assert "Drop it" in mine
    assert "interrupted" not in shown("you")
