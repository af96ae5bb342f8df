"""Authentication of a shared dashboard.

``make share`` sets ``QLAB_SHARED``; without it the dashboard is one person's own, on loopback.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.core.errors import OptionError

SHARED_VARIABLE = "QLAB_SHARED"
DIGEST_VARIABLE = "SHARE_PASSWORD_DIGEST"
"""Not named QLAB_: workers are given variables that are, and have no use for this one."""
ALLOWED_VARIABLE = "QLAB_ALLOWED"
Way = Literal["password", "login"]
_AUTHENTICATED = "qlab_let_in"
_LOGIN_WIDTH = 440


def shared() -> bool:
    """Check whether others than the person at this machine may see the dashboard."""
    return SHARED_VARIABLE in os.environ


def require_login() -> None:
    """End the page here, unless this visitor may see it."""
    if not shared():
        return
    if os.environ[SHARED_VARIABLE] == "login":
        _demand_login()
    elif not st.session_state.get(_AUTHENTICATED, False):
        _ask_for_password()


def account() -> str | None:
    """Read the e-mail address of a visitor's log-in; None on a dashboard without log-in."""
    if os.environ.get(SHARED_VARIABLE) != "login" or not _has_account():
        return None
    verified = st.user.get("email_verified", True) not in {False, "false"}
    email = st.user.get("email")
    return str(email).lower() if email and verified else None


def is_allowed(email: str, rule: str) -> bool:
    """Check a lower-case address against addresses, or domains such as ``@example.org``."""
    if "@" not in email:
        return False
    names = {name.strip().lower() for name in rule.split(",")} - {""}
    return email in names or "@" + email.rpartition("@")[2] in names


def browser_token(cookie: str) -> str | None:
    """Read what stays the same in Streamlit's cookie against forged requests.

    It is ``2|mask|token|time`` in hex, the token combined with the mask by exclusive or. None where
    the cookie is absent or of another form.
    """
    parts = cookie.strip("\"'").split("|")
    try:
        version, mask, token = parts[0], bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except (IndexError, ValueError):
        return None
    if version != "2" or len(mask) != 4 or len(token) < 16:
        return None
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(token)).hex()


def _has_account() -> bool:
    return st.user.get("is_logged_in", False) is True


def _demand_login() -> None:
    email = account()
    if email is not None and is_allowed(email, os.environ.get(ALLOWED_VARIABLE, "")):
        return
    with _login_box():
        if _has_account():
            st.error("This account may not see the dashboard.", icon=":material/block:")
            st.button("Log out", on_click=st.logout, icon=":material/logout:")
        else:
            st.markdown("Log in to see how a model changes when it is quantized.")
            st.button("Log in", on_click=st.login, type="primary", icon=":material/login:")
    st.stop()


def _login_box() -> DeltaGenerator:
    """Show a narrow box in the middle of the page, under the dashboard's name."""
    box = st.container(horizontal_alignment="center").container(width=_LOGIN_WIDTH)
    box.title("Quantization Lab", anchor=False)
    return box


def _ask_for_password() -> None:
    with _login_box(), st.form("password"):
        password = st.text_input("Password", type="password", autocomplete="current-password")
        if st.form_submit_button("Enter", type="primary"):
            right = ATTEMPTS.check(password, os.environ.get(DIGEST_VARIABLE, ""))
            if right:
                st.session_state[_AUTHENTICATED] = True
                st.rerun()
            elif right is None:
                st.error("Too many wrong passwords. Wait a minute.", icon=":material/timer:")
            else:
                st.error("That is not the password.", icon=":material/block:")
    st.stop()


SHORTEST = 12
WRONG_AT_ONCE = 10
WRONG_SECONDS = 60.0
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def digest_of_password(password: str) -> str:
    """Make a salted digest: salt and scrypt's output in hex, with ``$`` in between.

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
    """Check a password against a digest; it takes as long whatever is wrong."""
    salt, _, wanted = digest.partition("$")
    try:
        right, given = bytes.fromhex(wanted), _scrypt(password, bytes.fromhex(salt))
    except ValueError:
        return False
    return hmac.compare_digest(given, right)


class Attempts:
    """Rate limit: ``most`` wrong passwords within ``seconds``, from all visitors together."""

    def __init__(self, most: int = WRONG_AT_ONCE, seconds: float = WRONG_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._wrong: list[float] = []

    def check(self, password: str, digest: str) -> bool | None:
        """Check a password; None where too many were wrong before."""
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
