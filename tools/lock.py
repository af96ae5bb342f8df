"""Write requirements.lock: every package of requirements.txt and what they need, with hashes.

``python tools/lock.py requirements.txt requirements-no-deps.txt requirements.lock`` asks pip what
it would install, with the versions that are installed here where there are such, so that the lock
is what was tested. Packages of the second file come without what they say they need. The hashes are
of the files for this system: Linux on x86-64, CPython 3.11, a CPU build of torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

_HEAD = """\
# Made by `make lock`; not to be edited. For Linux on x86-64, CPython 3.11, a CPU build of torch:
#   pip install --no-deps --require-hashes -r requirements.lock
"""


def lock(requirements: Path, without_needs: Path) -> str:
    """Write the content of the lock.

    Args:
        requirements: The file with the pins.
        without_needs: The same of packages whose own needs are not installed.

    Returns:
        A line a package, with the SHA-256 digest of its file.
    """
    found = [*_resolved(requirements), *_resolved(without_needs, "--no-deps")]
    lines = []
    for package in found:
        about, origin = package["metadata"], package["download_info"]["archive_info"]
        digest = origin["hashes"]["sha256"]
        lines.append(f"{about['name']}=={about['version']} \\\n    --hash=sha256:{digest}\n")
    return _HEAD + "".join(sorted(lines, key=str.lower))


def _resolved(requirements: Path, *options: str) -> list[dict[str, Any]]:
    """List what pip would install for a file of requirements."""
    with tempfile.TemporaryDirectory() as folder:
        tested, report = Path(folder) / "tested.txt", Path(folder) / "report.json"
        installed = {found.name: found.version for found in metadata.distributions()}
        tested.write_text("".join(f"{n}=={v}\n" for n, v in installed.items() if n != "pip"))
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--report", str(report), "-c", str(tested), "-r", str(requirements)]
        subprocess.run([*command, *options], check=True)
        resolved: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return resolved


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(lock(Path(sys.argv[1]), Path(sys.argv[2])))
