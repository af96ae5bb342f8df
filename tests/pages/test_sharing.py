"""A dashboard that others see: who is let in, and what they get."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.errors import OptionError
from engine.runs.run import OWNERS, Run
from pages.access import auth as passwords
from pages.access import share
from pages.access.auth import (
    ALLOWED_VARIABLE,
    DIGEST_VARIABLE,
    SHARED_VARIABLE,
    browser_token,
    is_allowed,
)
from tests.helpers.app_test import ROOT, dashboard_test
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import PAGES, active_jobs, opened

PASSWORD = "correct horse battery"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, "password")
    monkeypatch.setenv(DIGEST_VARIABLE, passwords.digest_of_password(PASSWORD))
    monkeypatch.setattr("pages.access.auth.ATTEMPTS", passwords.Attempts())


def glanced(page: str, **state: object) -> AppTest:
    """A page as it looks at first, without waiting for the work that it starts."""
    test = dashboard_test()
    test.switch_page(f"pages/dashboard/{page}.py")
    for key, value in state.items():
        test.session_state[key] = value
    test.run()
    for job in active_jobs(test):
        job.cancel()
        job.wait(10)
    return test


def answers(test: AppTest) -> list[str]:
    return [title.value for title in test.title]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_shows_anything_without_the_password(page: Path, own_store: Path) -> None:
    tiny_run(own_store / "runs" / "tiny")
    test = opened(page)
    assert answers(test) == ["Quantization Lab"]
    assert len(test.text_input) == 1
    assert not test.selectbox
    assert "tiny" not in str(test.main) + str(test.sidebar)


def test_streamlit_finds_no_page_by_itself() -> None:
    # It would show every pages/*.py without app.py, and so without the password.
    assert list((ROOT / "pages").glob("*.py")) == []


@pytest.mark.usefixtures("shared")
def test_the_password_lets_in_and_another_does_not() -> None:
    test = opened(ROOT / "pages" / "dashboard" / "predictions.py")
    test.text_input[0].set_value("wrong")
    test.button[0].click().run()
    assert test.error[0].value == "That is not the password."
    assert answers(test) == ["Quantization Lab"]
    test.text_input[0].set_value(PASSWORD)
    test.button[0].click().run()
    assert "Quantization Lab" not in answers(test)


def test_without_a_digest_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, "password")
    monkeypatch.delenv(DIGEST_VARIABLE, raising=False)
    monkeypatch.setattr("pages.access.auth.ATTEMPTS", passwords.Attempts())
    test = opened(ROOT / "pages" / "dashboard" / "predictions.py")
    test.text_input[0].set_value("")
    test.button[0].click().run()
    assert answers(test) == ["Quantization Lab"]
    assert test.error


def test_a_log_in_shows_its_button_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, "login")
    test = opened(ROOT / "pages" / "dashboard" / "predictions.py")
    assert answers(test) == ["Quantization Lab"]
    assert [button.label for button in test.button] == ["Log in"]


@pytest.mark.usefixtures("catalog")
def test_folders_of_the_machine_are_for_its_owner_alone(
    monkeypatch: pytest.MonkeyPatch, own_store: Path
) -> None:
    tiny_run(own_store / "runs" / "tiny")
    options = {}
    for way in ("alone", "shared"):
        if way == "shared":
            monkeypatch.setenv(SHARED_VARIABLE, "password")
        for page, key in (("predictions", "pictures_source"), ("convert", "convert_calibration")):
            test = glanced(page, qlab_let_in=True)
            assert not test.exception
            (found,) = [g for g in test.get("button_group") if g.key == key]
            options[way, page] = "A folder on this machine" in found.options
    assert options == {
        ("alone", "predictions"): True,
        ("alone", "convert"): True,
        ("shared", "predictions"): False,
        ("shared", "convert"): False,
    }


def test_a_folder_is_not_read_for_a_visitor_who_asks_all_the_same(
    monkeypatch: pytest.MonkeyPatch, own_store: Path, photos: Path
) -> None:
    tiny_run(own_store / "runs" / "tiny")
    asked = {"pictures_source": "A folder on this machine", "pictures_folder": str(photos)}
    assert "your pictures" in caption(glanced("predictions", **asked))
    monkeypatch.setenv(SHARED_VARIABLE, "password")
    assert "sample pictures" in caption(glanced("predictions", qlab_let_in=True, **asked))


def caption(test: AppTest) -> str:
    assert not test.exception
    return " ".join(caption.value for caption in test.sidebar.caption)


def test_runs_of_uploads_are_their_owners(monkeypatch: pytest.MonkeyPatch, own_store: Path) -> None:
    run = tiny_run(own_store / "runs" / "tiny")
    (run.folder / OWNERS).mkdir()
    (run.folder / OWNERS / "me").touch()
    page = ROOT / "pages" / "dashboard" / "run_details.py"
    assert answers(opened(page, qlab_owner="you"))[0].startswith("tiny")
    monkeypatch.setenv(SHARED_VARIABLE, "password")
    mine = opened(page, qlab_owner="me", qlab_let_in=True)
    assert answers(mine)[0].startswith("tiny")
    yours = opened(page, qlab_owner="you", qlab_let_in=True)
    assert answers(yours)[0].startswith("Nothing is converted")
    assert Run.open(run.folder).visible_to("me")
    assert not Run.open(run.folder).visible_to("you")


def test_the_cookie_gives_one_token_whatever_its_mask() -> None:
    token, masks = bytes(range(16)), (b"\x00\x00\x00\x00", b"\x12\x34\x56\x78")
    for mask in masks:
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(token))
        assert browser_token(f"2|{mask.hex()}|{masked.hex()}|1700000000") == token.hex()
    for other in ("", "2", "2|00|00|1", "1|00000000|" + "00" * 16, "2|zz|zz|0", "x" * 200):
        assert browser_token(other) is None


def test_who_may_log_in() -> None:
    rule = "ann@example.org, @lab.example.org"
    assert is_allowed("ann@example.org", rule)
    assert is_allowed("bob@lab.example.org", rule)
    for other in ("bob@example.org", "x@lab.example.org.evil.org", "@", "", "lab.example.org"):
        assert not is_allowed(other, rule)
    assert not is_allowed("ann@example.org", "")


def test_sharing_demands_a_password_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(share.PASSWORD_VARIABLE, raising=False)
    monkeypatch.delenv(ALLOWED_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for login, message in ((False, "no password"), (True, f"no {ALLOWED_VARIABLE}")):
        with pytest.raises(OptionError, match=message):
            share.environment(login)
    monkeypatch.setenv(share.PASSWORD_VARIABLE, "short")
    with pytest.raises(OptionError, match="at least 12"):
        share.environment(False)
    monkeypatch.setenv(share.PASSWORD_VARIABLE, PASSWORD)
    found = share.environment(False)
    assert PASSWORD not in str(found)
    assert found[SHARED_VARIABLE] == "password"
    assert passwords.is_password(PASSWORD, found[DIGEST_VARIABLE])
    monkeypatch.setenv(ALLOWED_VARIABLE, "@example.org")
    assert share.environment(True)[SHARED_VARIABLE] == "login"


def test_a_shared_server_is_strict_and_one_of_ones_own_is_on_loopback() -> None:
    words = share.command("0.0.0.0", 8600)
    assert "--server.enableXsrfProtection=true" in words
    assert "--client.showErrorDetails=none" in words
    assert "--server.address=0.0.0.0" in words
    import tomllib

    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableXsrfProtection"] is True
    assert config["client"]["showErrorDetails"] == "none"
    run = (ROOT / "Makefile").read_text().partition("\nrun:")[2].partition("\n\n")[0]
    assert "address" not in run


def caches(source: str) -> list[tuple[str, bool]]:
    """Name of every function that Streamlit caches, and whether nobody else can be served it.

    It must be kept by session, and be looked up by text and whole numbers alone: arrays are hashed
    by a sample.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            text = ast.unparse(mark)
            if "cache_" in text:
                arguments = [*node.args.args, *node.args.kwonlyargs]
                plain = all(
                    a.arg.startswith("_")
                    or ast.unparse(a.annotation or ast.Name("?"))
                    in {"str", "int", "tuple[int, ...]"}
                    for a in arguments
                )
                found.append((node.name, "scope='session'" in text and plain))
    return found


def test_what_is_cached_is_cached_by_session_and_digest() -> None:
    files = [*(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]
    found = [entry for file in files for entry in caches(file.read_text())]
    assert len(found) >= 2
    assert all(safe for _, safe in found), found


@pytest.mark.parametrize(
    "source",
    [
        "@st.cache_data\ndef f(key: str) -> int: ...",
        "@st.cache_data(scope='session')\ndef f(pixels: np.ndarray) -> int: ...",
        "@st.cache_resource(scope='session')\ndef f(key) -> int: ...",
    ],
)
def test_that_rule_can_fail(source: str) -> None:
    assert [safe for _, safe in caches(source)] == [False]
