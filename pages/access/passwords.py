"""The password of a shared dashboard: a salted scrypt digest, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time

from engine.core.errors import OptionError

SHORTEST = 12
WRONG_AT_ONCE = 10
WRONG_SECONDS = 60.0
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def digest_of_password(password: str) -> str:
    """A salted digest: salt and scrypt's output in hex, with ``$`` in between.

    Raises:
        OptionError: The password is too short.
    """
    if len(password) < SHORTEST:
        raise OptionError(
            "Choosing the password of the shared dashboard",
            got=f"{len(password)} characters",
            expected=f"at least {SHORTEST}",
            todo="Choose a longer one: everybody on the network may try.",
        )
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(password, salt).hex()}"


def is_password(password: str, digest: str) -> bool:
    """Whether a password is the one of a digest; it takes as long whatever is wrong."""
    salt, _, wanted = digest.partition("$")
    try:
        known, found = bytes.fromhex(wanted), _scrypt(password, bytes.fromhex(salt))
    except ValueError:
        return False
    return hmac.compare_digest(found, known)


class Attempts:
    """Lets through a few wrong passwords a minute, from all visitors together.

    Args:
        most: Wrong ones within ``seconds``.
        seconds: How long a wrong one counts.
    """

    def __init__(self, most: int = WRONG_AT_ONCE, seconds: float = WRONG_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._wrong: list[float] = []

    def check(self, password: str, digest: str) -> bool | None:
        """Whether it is the password; None where too many were wrong before."""
        with self._lock:  # one at a time: scrypt takes 16 MiB
            oldest = time.monotonic() - self._seconds
            self._wrong = [when for when in self._wrong if when > oldest]
            if len(self._wrong) >= self._most:
                return None
            right = is_password(password, digest)
            if not right:
                self._wrong.append(time.monotonic())
            return right


ATTEMPTS = Attempts()
"""Of this process."""


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)
