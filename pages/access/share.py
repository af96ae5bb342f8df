"""``make share``: the dashboard for others, behind a password or a log-in.

It never listens beyond loopback without one of them.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

import click

from engine.core.errors import EngineError, OptionError
from pages.access.auth import ALLOWED_VARIABLE, DIGEST_VARIABLE, SHARED_VARIABLE, digest_of_password

PASSWORD_VARIABLE = "QLAB_PASSWORD"
_ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {
    "server.enableXsrfProtection": "true",
    "server.enableCORS": "true",
    "server.headless": "true",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
}
"""What a shared dashboard needs, whatever a configuration file says."""


def environment(login: bool) -> dict[str, str]:
    """Make the environment of the server, with a digest in place of the password.

    Raises:
        OptionError: There is neither a password nor a list of who may log in.
    """
    variables = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
    if login:
        if not os.environ.get(ALLOWED_VARIABLE, "").strip():
            raise OptionError(
                "Sharing the dashboard",
                got=f"no {ALLOWED_VARIABLE}",
                expected="who may log in: addresses, or domains such as @example.org",
                todo=f"Set {ALLOWED_VARIABLE}: anybody may have an account at the provider.",
            )
        return variables | {SHARED_VARIABLE: "login"}
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        password = _ask_for_password()
    return variables | {SHARED_VARIABLE: "password", DIGEST_VARIABLE: digest_of_password(password)}


def command(address: str, port: int) -> list[str]:
    """Make the server's command line."""
    words = [sys.executable, "-m", "pages.shell.server"]
    settings = SETTINGS | {"server.address": address, "server.port": str(port)}
    return words + [f"--{name}={value}" for name, value in settings.items()]


@click.command()
@click.option("--address", default="0.0.0.0", show_default=True, help="Where to listen.")
@click.option("--port", default=8501, show_default=True)
@click.option("--login", is_flag=True, help="Log-in by OpenID Connect in place of a password.")
def share(address: str, port: int, login: bool) -> None:
    """Share the dashboard. The password is asked for, or read from QLAB_PASSWORD."""
    try:
        variables = environment(login)
    except EngineError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    os.chdir(_ROOT)
    words = command(address, port)
    os.execve(words[0], words, variables)


def _ask_for_password() -> str:
    if not sys.stdin.isatty():
        raise OptionError(
            "Sharing the dashboard",
            got="no password",
            expected=f"one in {PASSWORD_VARIABLE}, or a terminal to ask for it",
            todo=f"Set {PASSWORD_VARIABLE}.",
        )
    password = getpass.getpass("Password for the dashboard: ")
    if getpass.getpass("Again: ") != password:
        raise OptionError(
            "Sharing the dashboard", got="two passwords", expected="the same twice", todo="Again."
        )
    return password


if __name__ == "__main__":
    share()
