"""A run on disk: a folder with ``manifest.json`` and the files that it lists.

::

    RUN/manifest.json          what is there; a file that is not listed is not a part of the run
    RUN/<variant>.tflite
    RUN/model.onnx
    RUN/logs/                  what the converters said
    RUN/work/                  SavedModel and check logits, so that a variant can be added
    RUN/logits/<pictures>/     stored answers, one array a column
    RUN/latency/               stored timings
    RUN/also/                  external files: NAME-DIGEST.tflite, and NAME.json, the last
    RUN/layers/                stored layer errors, one file a variant and set of pictures
    RUN/robustness/            what models predict on changed pictures, one file a picture
    RUN/improved/              what the optimizing pass did, layer by layer
    RUN/labels/                right answers that a person gave by clicking
    RUN/kits/                  deployment kits, one zip a variant and set of pictures
    RUN/phone/                 timings of benchmark_model on a phone
    RUN/targets/               what targets answered about a file, one file a target and content
    RUN/lowering/              a run of the other lowering, and what the two cost
    RUN/owners/                whose run it is on a shared dashboard: a file each; absent for all
    RUN/damaged/               quarantine: files that were not as they were written

A run is made in a staging folder (`engine.runs.staging`) and renamed when it is whole.
Variants are added file by file; the manifest is replaced last. It holds the checksums of what the
conversion wrote; results that come later have theirs beside them (`engine.core.checksums`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.core.checksums import FileRecord, intact, read_record
from engine.core.errors import OptionError, RunError
from engine.core.types import ORIGINAL, Fault, Layout, MissingVariant
from engine.quantization.recipes import FLOAT32
from engine.runs.integrity import DAMAGED, demand_intact
from engine.runs.manifest import FILE_NAME, AddedFile, Manifest, read_manifest
from engine.tflite.artifact import Artifact

ONNX_FILE = "model.onnx"
ONNX_COLUMN = "onnx"
WORK = "work"
SAVEDMODEL = "savedmodel"
REQUEST = f"{WORK}/request.json"
IMPROVED = "improved"
INTEGER_HEAD = ".integer_head"
ORDER, CURVE = ".order", ".curve"
LOGS = "logs"
LOGITS = "logits"
LATENCY = "latency"
ALSO = "also"
LOWERING = "lowering"
LAYERS = "layers"
OWNERS = "owners"
LABELS = "labels"
PHONE = "phone"
PINNED = "pinned"
ROBUSTNESS = "robustness"
KITS = "kits"
TARGETS = "targets"
_PARTS = (
    FILE_NAME,
    ONNX_FILE,
    WORK,
    IMPROVED,
    LOGS,
    LOGITS,
    LATENCY,
    ALSO,
    LOWERING,
    LAYERS,
    LABELS,
    PHONE,
    KITS,
    PINNED,
    ROBUSTNESS,
    TARGETS,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished conversion.

    Attributes:
        folder: Where it is.
        manifest: What it holds.
        added: External files that stand beside its variants.
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
        run = cls(path, read_manifest(path), _read_cards(path))
        for artifact in run.artifacts:
            demand_name(path, artifact.variant)
        demand_inside(path, (artifact.file for artifact in run.artifacts))
        return run

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Cards of every TFLite file: those made here, then the external ones."""
        return self.manifest.artifacts + tuple(added.artifact for added in self.added)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the TFLite variants made here."""
        return tuple(artifact.variant for artifact in self.manifest.artifacts)

    @property
    def missing(self) -> tuple[MissingVariant, ...]:
        """Variants that were asked for and could not be made, each with the reason."""
        return self.manifest.missing

    def why_missing(self, name: str) -> str:
        """Explain behind the name of a variant why it could not be made; empty for others."""
        reasons = (record.got for record in self.missing if record.variant == name)
        return "".join(f", which could not be made: {reason}" for reason in reasons)

    @property
    def faults(self) -> dict[str, Fault]:
        """What made the answers of variants useless on the check pictures, by variant."""
        return {card.variant: card.fault for card in self.artifacts if card.fault is not None}

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

    def visible_to(self, owner: str) -> bool:
        """Tell whether a person may see the run on a shared dashboard."""
        return self.public or (self.folder / OWNERS / owner).is_file()

    @property
    def public(self) -> bool:
        """Whether everybody may see the run on a shared dashboard."""
        return not (self.folder / OWNERS).is_dir()

    @property
    def onnx_file(self) -> Path:
        """The ONNX file.

        Raises:
            RunError: It is damaged.
        """
        return self.intact(ONNX_FILE)

    @property
    def records(self) -> dict[str, FileRecord]:
        """What the files of the run were when they were written, by their path in it."""
        cards = {a.file: FileRecord(a.bytes, a.sha256) for a in self.artifacts}
        return {**self.manifest.files, **cards}

    def intact(self, name: str) -> Path:
        """Check a file of the run, by its path in it, and return its path.

        Raises:
            RunError: It is damaged; it is in quarantine now.
        """
        return demand_intact(self.folder, name, self.records.get(name))

    def artifact(self, variant: str) -> Artifact:
        """Find the card of a variant or of an external file.

        Raises:
            OptionError: The run has no such variant.
        """
        for artifact in self.artifacts:
            if artifact.variant == variant:
                return artifact
        raise OptionError(
            f"Looking into the run {self.folder.name}",
            got=f"the variant '{variant}'{self.why_missing(variant)}",
            expected="one of " + ", ".join(a.variant for a in self.artifacts),
            todo="Name one of these, or add it with: python -m engine convert.",
        )

    def file(self, variant: str) -> Path:
        """Check a variant's TFLite file and return its path.

        Raises:
            OptionError: The run has no such variant.
            RunError: The file is damaged; it is in quarantine now.
        """
        return self.intact(self.artifact(variant).file)

    def layout(self, column: str) -> Layout:
        """Return the order of the image input's dimensions of a column."""
        layouts = {artifact.variant: artifact.layout for artifact in self.artifacts}
        return layouts.get(column, self.manifest.layout)

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Refuse names that are not columns of this run.

        Raises:
            OptionError: One is not.
        """
        for column in columns:
            if column not in self.columns:
                raise OptionError(
                    f"Looking into the run {self.folder.name}",
                    got=f"'{column}'{self.why_missing(column)}",
                    expected="one of " + ", ".join(self.columns),
                    todo="Name one of these.",
                )

    def sound(self, name: str) -> bool:
        """Tell whether a file of the run is as it was written; unlike `intact`, move nothing."""
        record, path = self.records.get(name), self.folder / name
        return path.is_file() if record is None else intact(path, record)

    def damaged(self, *, again: bool = False) -> tuple[str, ...]:
        """List the files that are absent or not as they were written; ``again`` reads them all."""
        return tuple(
            name
            for name, record in sorted(self.records.items())
            if not intact(self.folder / name, record, again=again)
        )


def _read_cards(folder: Path) -> tuple[AddedFile, ...]:
    """Read the cards of external files in the order they were added."""
    cards = []
    for file in (folder / ALSO).glob("*.json"):
        todo = f"Delete {file} and add the file again."
        try:
            cards.append(read_record(file, AddedFile, f"Opening the run {folder.name}", todo))
        except RunError:
            if file.exists():  # else it was removed since the folder was listed
                raise
    return tuple(sorted(cards, key=lambda added: (added.added_at, added.artifact.variant)))


def existing_run(folder: Path) -> Run | None:
    """Open the run in a folder; None where the folder is absent or empty.

    Raises:
        RunError: The folder holds something else, or a run that cannot be read.
    """
    if not folder.exists() or (folder.is_dir() and not holds_anything(folder)):
        return None
    if not (folder / FILE_NAME).is_file():
        raise RunError(
            "Choosing the run folder",
            got=f"{folder}, which holds something that is not a run",
            expected="a new folder, an empty one, or a run of the same model",
            todo="Choose another folder.",
        )
    return Run.open(folder)


def holds_anything(folder: Path) -> bool:
    """Tell whether a folder holds more than files in quarantine."""
    return any(path.name != DAMAGED for path in folder.iterdir())


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=()-]{0,127}")


def demand_name(folder: Path, name: str) -> None:
    """Raise `RunError` for a variant's name with other characters than those of a recipe's."""
    if not _NAME.fullmatch(name):
        raise _refusal(folder, f"the variant {name[:80]!r}", "names as Quantization Lab makes them")


def demand_inside(folder: Path, names: Iterable[str]) -> None:
    """Raise `RunError` where the path of a file leads out of the run, as written or by a link."""
    home = folder.resolve()
    for name in names:
        path = PurePosixPath(name)
        wrong = not name or "\0" in name or path.is_absolute() or ".." in path.parts
        if wrong or not _stays_inside(home, path):
            raise _refusal(folder, f"the file {name[:80]!r}", "files of its own folder alone")


def _stays_inside(home: Path, path: PurePosixPath) -> bool:
    step = str(home)
    for part in path.parts:
        step = f"{step}/{part}"
        if os.path.islink(step):  # resolve() looks at every folder above, too: 20 times slower
            return (home / path).resolve().is_relative_to(home)
    return True


def _refusal(folder: Path, got: str, expected: str) -> RunError:
    return RunError(
        f"Opening the run {folder.name}",
        got=got,
        expected=expected,
        todo="Do not use this run: it was not made by Quantization Lab, or was changed since.",
    )


def float32_file(run: Run) -> Path:
    """Find the float32 TFLite file that a run's integer variants were made from.

    Raises:
        RunError: The run has none.
    """
    file = run.folder / WORK / f"{FLOAT32.name}.tflite"
    if file.is_file():
        return run.intact(file.relative_to(run.folder).as_posix())
    if FLOAT32.name in run.variants:
        return run.file(FLOAT32.name)
    from engine.comparison.layers.measuring import STAGE

    raise RunError(
        STAGE,
        got=f"no float32 file in the run {run.folder.name}",
        expected="the one that its integer variants were made from",
        todo="Add it with: python -m engine convert --variants float32.",
    )
