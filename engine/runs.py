"""A run on disk: a folder with ``manifest.json`` and the files that it lists.

::

    RUN/manifest.json          what is there; a file that is not listed is not a part of the run
    RUN/<variant>.tflite
    RUN/model.onnx
    RUN/logs/                  what the converters said
    RUN/work/                  SavedModel and check logits, so that a variant can be added
    RUN/logits/<pictures>/     stored answers, one array a column
    RUN/latency/               stored timings
    RUN/also/                  files from elsewhere: NAME.tflite, and NAME.json, written last
    RUN/layers/                stored layer errors, one file a variant and set of pictures
    RUN/improved/              what the optimizing pass did, layer by layer
    RUN/lowering/              a run of the other lowering, and what the two cost

A run is made in a folder beside its place and moved there when it is whole. Variants are added
file by file; the manifest is replaced last.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.errors import OptionError, RunError
from engine.manifest import FILE_NAME, Manifest, read_manifest
from engine.run_paths import demand_inside, demand_name
from engine.types import ORIGINAL, AddedFile, Artifact, Layout

ONNX_FILE = "model.onnx"
ONNX_COLUMN = "onnx"
WORK = "work"
SAVEDMODEL = "savedmodel"
REQUEST = f"{WORK}/request.json"
IMPROVED = "improved"
LOGS = "logs"
LOGITS = "logits"
LATENCY = "latency"
ALSO = "also"
LOWERING = "lowering"
LAYERS = "layers"

_PARTS = (FILE_NAME, ONNX_FILE, WORK, IMPROVED, LOGS, LOGITS, LATENCY, ALSO, LOWERING, LAYERS)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished conversion.

    Attributes:
        folder: Where it is.
        manifest: What it holds.
        added: Files from elsewhere that stand beside its variants.
    """

    folder: Path
    manifest: Manifest
    added: tuple[AddedFile, ...] = ()

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Read the run in a folder.

        Raises:
            RunError: There is none, it cannot be read, or it names files outside of its folder.
        """
        # Workers work in folders of their own, where a relative path would lead elsewhere.
        path = Path(folder).absolute()
        demand_inside(path, _PARTS)
        run = cls(path, read_manifest(path), _added_files(path))
        for artifact in run.artifacts:
            demand_name(path, artifact.variant)
        demand_inside(path, (artifact.file for artifact in run.artifacts))
        return run

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Identity cards of every TFLite file: those made here, then those from elsewhere."""
        return self.manifest.artifacts + tuple(added.artifact for added in self.added)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the TFLite variants made here."""
        return tuple(artifact.variant for artifact in self.manifest.artifacts)

    @property
    def runnable(self) -> tuple[str, ...]:
        """Names of the TFLite files that LiteRT runs: those without SELECT_TF operators."""
        return tuple(a.variant for a in self.artifacts if not a.select_tf)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every TFLite file, by name."""
        return {artifact.variant: artifact.bytes for artifact in self.artifacts}

    @property
    def columns(self) -> tuple[str, ...]:
        """Everything that can answer: the original, the ONNX file, the runnable variants."""
        onnx = () if self.manifest.model.kind == "onnx" else (ONNX_COLUMN,)
        return (ORIGINAL, *onnx, *self.runnable)

    @property
    def onnx_file(self) -> Path:
        """The ONNX file."""
        return self.folder / ONNX_FILE

    def artifact(self, variant: str) -> Artifact:
        """The identity card of a variant, or of a file from elsewhere.

        Raises:
            OptionError: The run has no such variant.
        """
        for artifact in self.artifacts:
            if artifact.variant == variant:
                return artifact
        raise OptionError(
            f"Looking into the run {self.folder.name}",
            got=f"the variant '{variant}'",
            expected="one of " + ", ".join(a.variant for a in self.artifacts),
            todo="Name one of these, or add it with: python -m engine convert.",
        )

    def file(self, variant: str) -> Path:
        """Path of a variant's TFLite file."""
        return self.folder / self.artifact(variant).file

    def layout(self, column: str) -> Layout:
        """Order of the picture input's dimensions of a column."""
        known = {artifact.variant: artifact.layout for artifact in self.artifacts}
        return known.get(column, self.manifest.layout)

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Refuse names that are not columns of this run.

        Raises:
            OptionError: One is not.
        """
        for column in columns:
            if column not in self.columns:
                raise OptionError(
                    f"Looking into the run {self.folder.name}",
                    got=f"'{column}'",
                    expected="one of " + ", ".join(self.columns),
                    todo="Name one of these.",
                )

    def damaged(self) -> tuple[str, ...]:
        """Files that are absent or not as the manifest says."""
        return tuple(
            artifact.file
            for artifact in self.artifacts
            if not _intact(self.folder / artifact.file, artifact.sha256)
        )


def _added_files(folder: Path) -> tuple[AddedFile, ...]:
    """Files from elsewhere in the order they were added."""
    found = []
    for card in (folder / ALSO).glob("*.json"):
        try:
            found.append(msgspec.json.decode(card.read_bytes(), type=AddedFile))
        except (OSError, msgspec.DecodeError) as error:
            raise RunError(
                f"Opening the run {folder.name}",
                got=f"a damaged {ALSO}/{card.name}",
                expected="a card as it was written",
                todo=f"Delete {card} and add the file again.",
            ) from error
    return tuple(sorted(found, key=lambda added: (added.added_at, added.artifact.variant)))


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def existing_run(folder: Path) -> Run | None:
    """The run in a folder, or None where the folder is absent or empty.

    Raises:
        RunError: The folder holds something else, or a run that cannot be read.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / FILE_NAME).is_file():
        raise RunError(
            "Choosing the run folder",
            got=f"{folder}, which holds something that is not a run",
            expected="a new folder, an empty one, or a run of the same model",
            todo="Choose another folder.",
        )
    return Run.open(folder)


@contextmanager
def folder_beside(place: Path) -> Iterator[Path]:
    """A fresh hidden folder beside a place, removed at the end whatever happened.

    Args:
        place: Where its content shall go in the end.

    Yields:
        The folder.

    Raises:
        RunError: The folder cannot be made there.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        side = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        side.chmod(0o755)
    except OSError as error:
        raise RunError(
            "Making the run folder",
            got=f"{place}, where nothing can be written ({error.strerror})",
            expected="a place to write to",
            todo="Choose another folder.",
        ) from error
    try:
        yield side
    finally:
        shutil.rmtree(side, ignore_errors=True)


def move_into_place(side: Path, place: Path) -> None:
    """Make the content of a side folder a run, or a part of the run that is there.

    Args:
        side: Holds a manifest and new files.
        place: Absent, empty, or a run.
    """
    if not place.exists() or not any(place.iterdir()):
        os.replace(side, place)
        return
    for path in sorted(side.rglob("*")):
        target = place / path.relative_to(side)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif path.name != FILE_NAME:
            os.replace(path, target)
    os.replace(side / FILE_NAME, place / FILE_NAME)
