"""Stored layer errors: ``RUN/layers/<variant>-<file and versions>-<pictures>.json``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.comparison.layers.records import LayerErrors
from engine.core.checksums import read_kept, write_kept
from engine.core.errors import OptionError
from engine.images.pictures import Picture, digest_of
from engine.manifest import answered_by
from engine.runs import LAYERS, Run


def chosen_pictures(pictures: tuple[Picture, ...], count: int) -> tuple[Picture, ...]:
    """The pictures to measure with: at equal distances, since folders are sorted by motif.

    Raises:
        OptionError: The count is less than 1.
    """
    if count < 1:
        raise OptionError(
            "Measuring layer errors",
            got=f"{count} pictures",
            expected="1 or more",
            todo="Give another count.",
        )
    if count >= len(pictures):
        return pictures
    return tuple(pictures[place * len(pictures) // count] for place in range(count))


def layers_file(run: Run, variant: str, pictures: tuple[Picture, ...]) -> Path:
    """Where the layer errors of a variant on a set of pictures are, or will be.

    Raises:
        OptionError: The run has no such variant.
    """
    card = run.artifact(variant)
    name = f"{variant}-{answered_by(card.sha256)[:12]}-{digest_of(pictures)[:12]}.json"
    return run.folder / LAYERS / name


def read_layers(file: Path) -> LayerErrors | None:
    """What is stored in a file; None where it is absent or of another version."""
    try:
        return msgspec.json.decode(read_kept(file), type=LayerErrors)
    except (OSError, msgspec.DecodeError):
        return None


def keep_layers(file: Path, found: LayerErrors) -> None:
    """Store layer errors, whole or not at all."""
    write_kept(file, msgspec.json.encode(found))
