"""The unit and the proxy's configuration, as far as they can be tried here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest

from engine.core.store import HOME_VARIABLE, RUNS_VARIABLE, UPLOADS_VARIABLE
from pages.access.share import PASSWORD_VARIABLE
from tests.helpers.server import free_port, wait_until_it_answers

ROOT = Path(__file__).parent.parent.parent
UNIT = ROOT / "deploy" / "quantization-lab.service"
PASSWORD = "correct horse battery"
PROXY = ROOT / "deploy" / "nginx.conf"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_shares_on_loopback_behind_a_password() -> None:
    unit = settings()
    (command,) = unit["ExecStart"]
    assert "-m pages.access.share" in command
    assert "--address 127.0.0.1" in command
    assert unit["EnvironmentFile"] == ["/etc/quantization-lab.env"]
    assert {line.partition("=")[0] for line in unit["Environment"]} == {
        HOME_VARIABLE,
        RUNS_VARIABLE,
        UPLOADS_VARIABLE,
    }
    assert PASSWORD_VARIABLE not in str(unit)
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert unit[name] == ["yes"]
    assert unit["KillMode"] == ["control-group"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    # The program and the user are not on this machine; everything else is read as it is.
    text = UNIT.read_text().replace("/opt/quantization-lab/.venv/bin/python", sys.executable)
    text = text.replace("/opt/quantization-lab", str(ROOT))
    text = re.sub(r"(User|Group)=.*\n", "", text)
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == []


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here")
def test_nginx_reads_the_proxy(tmp_path: Path) -> None:
    lines = [line for line in PROXY.read_text().splitlines() if "ssl" not in line]
    config = tmp_path / "nginx.conf"
    config.write_text("events {}\nhttp {\n" + "\n".join(lines) + "\n}\n")
    subprocess.run(["nginx", "-t", "-c", str(config)], check=True, capture_output=True)


def test_the_proxy_has_every_header_that_the_page_about_sharing_names() -> None:
    text, page = PROXY.read_text(), (ROOT / "docs" / "sharing.md").read_text()
    headers = dict(re.findall(r'add_header (\S+) "(.*)" always;', text))
    assert len(headers) == 8
    for name in headers:
        assert name in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "*" not in policy
    assert text.count("{") == text.count("}")


@pytest.fixture
def started(own_store: Path) -> Iterator[tuple[str, psutil.Process]]:
    """What the unit starts, with this Python, on a free port."""
    port = free_port()
    (command,) = settings()["ExecStart"]
    words = command.split()
    words[0], words[-1] = sys.executable, str(port)
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ
        | {HOME_VARIABLE: str(own_store), PASSWORD_VARIABLE: "correct horse battery"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_it_answers(address, process)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_what_the_unit_starts_listens_on_loopback_and_forgot_the_password(
    started: tuple[str, psutil.Process],
) -> None:
    address, process = started
    listening = [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}
    surroundings = process.environ()
    assert PASSWORD_VARIABLE not in surroundings
    assert PASSWORD not in str(surroundings)
    with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
        assert "_streamlit_xsrf" in str(answer.headers.get("Set-Cookie"))
    upload = urllib.request.Request(
        f"{address}/_stcore/upload_file/{'0' * 36}/{'0' * 36}", data=b"x", method="PUT"
    )
    with pytest.raises(URLError, match=r"403|400|404"):
        urllib.request.urlopen(upload, timeout=5)
