from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.core.errors import OptionError
from pages.access import auth as passwords
from pages.access.auth import Attempts, digest_of_password, is_password

PASSWORD = "correct horse battery"


def test_a_password_is_known_by_its_digest_alone() -> None:
    digest = digest_of_password(PASSWORD)
    assert PASSWORD not in digest
    assert digest != digest_of_password(PASSWORD)
    assert is_password(PASSWORD, digest)
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper()):
        assert not is_password(wrong, digest)


@pytest.mark.parametrize("digest", ["", "$", "zz$zz", "00$", "00$00"])
def test_nothing_is_the_password_of_a_digest_that_is_none(digest: str) -> None:
    assert not is_password("", digest)
    assert not is_password(PASSWORD, digest)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(OptionError, match="11 characters; expected at least 12"):
        digest_of_password("x" * 11)


def test_guessing_is_slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(passwords, "time", SimpleNamespace(monotonic=lambda: now))
    digest = digest_of_password(PASSWORD)
    attempts = Attempts(most=2, seconds=60)
    assert attempts.check(PASSWORD, digest) is True
    assert attempts.check("wrong", digest) is False
    assert attempts.check("wrong", digest) is False
    assert attempts.check(PASSWORD, digest) is None
    now += 60
    assert attempts.check(PASSWORD, digest) is True
