"""Run folders may come from strangers: nothing that they name is looked for outside of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from engine.core.errors import RunError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=()-]{0,127}")


def demand_name(folder: Path, name: str) -> None:
    """Refuse a variant's name that could not be part of a file's name, or not be shown.

    Args:
        folder: The run folder, for the message.
        name: As the manifest says.

    Raises:
        RunError: It holds other signs than those of a recipe's name.
    """
    if not _NAME.fullmatch(name):
        raise _refused(folder, f"the variant {name[:80]!r}", "names as Quantization Lab makes them")


def demand_inside(folder: Path, names: Iterable[str]) -> None:
    """Refuse files that a run names or holds, where they are not in its folder.

    Args:
        folder: The run folder.
        names: Paths relative to it; they need not exist.

    Raises:
        RunError: One leads out of it, as it is written or by a link.
    """
    home = folder.resolve()
    for name in names:
        path = PurePosixPath(name)
        wrong = not name or "\0" in name or path.is_absolute() or ".." in path.parts
        # Of what does not exist, the part that does is followed.
        if wrong or not (folder / path).resolve().is_relative_to(home):
            raise _refused(folder, f"the file {name[:80]!r}", "files of its own folder alone")


def _refused(folder: Path, got: str, expected: str) -> RunError:
    return RunError(
        f"Opening the run {folder.name}",
        got=got,
        expected=expected,
        todo="Do not use this run: it was not made by Quantization Lab, or was changed since.",
    )
