"""A kit: one zip with all it takes to put a variant into an app, and to prove it there."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.records import VariantComparison
from engine.core.checksums import digest_of_file
from engine.core.errors import OptionError
from engine.core.files import demand_writable
from engine.core.system import usable_cores
from engine.core.types import FAULT_WORDS, ORIGINAL, IntArray, Progress, Report
from engine.deployment.description import (
    LABELS_FILE,
    ModelDescription,
    Scores,
    metadata_of,
    model_file,
)
from engine.deployment.documents import KIT_FILES, CardFigures, model_card, snippets
from engine.deployment.golden_set import COUNT, KIT_STEPS, SCRIPT, GoldenSet, golden_set
from engine.images.pictures import Picture, digest_of
from engine.portability.records import TargetMatrix
from engine.runs.results import load_latency
from engine.runs.run import KITS, Run
from engine.runs.staging import fresh_staging_folder
from engine.tasks.evaluate import evaluate
from engine.tasks.targets import ask_targets
from engine.tflite.metadata import with_metadata
from engine.workers.process import Host, Worker

Facts = TypeVar("Facts")
CARD = "MODEL_CARD.md"
DESCRIPTION = "model.json"
FILES_TITLE = "What is in the kit"
"""Heading of the model card's list of files."""
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
GOLDEN_FILE = "golden.npz"
_WHAT = {
    DESCRIPTION: "shapes, types, scales, preprocessing and tolerance, for programs",
    GOLDEN_FILE: "the golden set",
    SCRIPT: "runs the model with `ai-edge-litert` and `numpy`, and checks the golden set",
    LABELS_FILE: "class names, one a line",
}


@dataclass(frozen=True, slots=True)
class Kit:
    """A finished kit.

    Attributes:
        file: The zip.
        variant: What it holds.
        model: Name of the model file in it.
        golden: Its golden set.
        files: Names of all files in it.
    """

    file: Path
    variant: str
    model: str
    golden: GoldenSet
    files: tuple[str, ...]


def golden_pictures(pictures: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """Choose the golden set: pictures at equal distances, since folders are sorted by motif."""
    count = min(COUNT, len(pictures))
    return tuple(pictures[row * len(pictures) // count] for row in range(count))


def kit_file(
    run: Run, variant: str, pictures: tuple[Picture, ...], purpose: str | None = None
) -> Path:
    """Name the file for a variant's kit with these pictures; it need not exist.

    The purpose is the target that the kit's card names, or `engine.deployment.micro_kit.FIRMWARE`.
    """
    digest = run.artifact(variant).sha256
    parts = [variant, digest[:12], digest_of(pictures)[:12], *filter(None, [purpose])]
    return run.folder / KITS / f"{'-'.join(parts)}.zip"


def make_kit(
    run: Run,
    variant: str,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    out: Path | None = None,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
    target: str | None = None,
) -> Kit:
    """Compare a variant with the reference, run its golden set, and write the kit.

    Args:
        run: The run.
        variant: One of its variants, or an external file.
        pictures: At least one; the golden set is some of them, the figures are of all.
        host: Gets the workers and their progress.
        out: The zip to write; None puts it into the run.
        reference: One of `Run.columns`.
        labels: Right answers, shape (pictures,), -1 for unknown.
        target: Name of the target that the model card names; None names none.

    Returns:
        The kit.

    Raises:
        UserMistake: A name or picture is wrong, the variant's answers are of no use, or the zip
            cannot be written.
        ConversionError: LiteRT refuses the variant, or its answers change with the metadata.
        WorkerError: The worker process failed.
    """
    comparison = compare_for_kit(run, variant, pictures, host, reference, labels)
    there = None
    if target is not None:
        there = ask_targets(run, host, names=(target,), variants=(variant,))
    file = out or kit_file(run, variant, pictures, target)

    def write(folder: Path, golden: GoldenSet) -> tuple[GoldenSet, tuple[str, ...]]:
        return golden, write_texts(run, variant, folder, golden, comparison, there)

    return pack_kit(run, comparison, pictures, file.absolute(), host, run_deploy, write)


def pack_kit(
    run: Run,
    comparison: Comparison,
    pictures: tuple[Picture, ...],
    file: Path,
    host: Host,
    task: Callable[[DeployRequest, Report], Facts],
    write: Callable[[Path, Facts], tuple[GoldenSet, tuple[str, ...]]],
) -> Kit:
    """Make the files of a kit in a staging folder, and pack them.

    Args:
        run: The run.
        comparison: Of the one variant that is packed.
        pictures: What the golden set is chosen from.
        file: The zip to write.
        host: Gets the worker and its progress.
        task: Makes what needs a model to be run; in a worker.
        write: Writes the rest of what the task found, and gives golden set and names of all files.
    """
    (variant,) = (compared.variant for compared in comparison.variants)
    with fresh_staging_folder(file) as folder:
        request = DeployRequest(
            run=str(run.folder.absolute()),
            variant=variant,
            pictures=golden_pictures(pictures),
            probabilities=comparison.gives_probabilities(variant),
            folder=str(folder),
        )
        # A worker of its own: an external file must not harm one that does other work.
        with Worker() as worker:
            facts = host.adopt(worker).run(task, request, host.report)
        host.report(Progress("Writing the kit", KIT_STEPS - 1, KIT_STEPS))
        golden, names = write(folder, facts)
        zip_kit(folder, names, file)
    return Kit(file, variant, model_file(run, variant), golden, names)


def compare_for_kit(
    run: Run,
    variant: str,
    pictures: tuple[Picture, ...],
    host: Host,
    reference: str,
    labels: IntArray | None,
) -> Comparison:
    """Compare a variant with the reference; refuse one whose answers are of no use."""
    run.check_columns((variant, reference))
    run.artifact(variant)
    if variant == reference:
        raise OptionError(
            "Making the kit",
            got=f"{variant} as variant and as reference",
            expected="another reference",
            todo=f"Leave `reference` out; it is {ORIGINAL} then.",
        )
    comparison = evaluate(
        run,
        pictures,
        host,
        reference=reference,
        variants=(variant,),
        labels=labels,
        latency=load_latency(run),
    ).comparison
    _demand_answers(comparison.variant(variant))
    return comparison


def _demand_answers(comparison: VariantComparison) -> None:
    if comparison.fault is not None:
        raise OptionError(
            "Making the kit",
            got=f"{comparison.variant}, which {FAULT_WORDS[comparison.fault]}",
            expected="a variant whose answers follow the picture",
            todo="Take another variant: this one is of no use in an app.",
        )


def describe_model(
    run: Run, variant: str, folder: Path, golden: GoldenSet, comparison: Comparison
) -> ModelDescription:
    """Describe the model of a kit, whose file lies in a folder."""
    card, manifest, name = run.artifact(variant), run.manifest, model_file(run, variant)
    return ModelDescription(
        name=manifest.model.name,
        variant=variant,
        file=name,
        sha256=digest_of_file(folder / name),
        classes=manifest.model.classes,
        labels=LABELS_FILE if manifest.labels else None,
        layout=card.layout,
        input=card.inputs[0],
        output=card.outputs[0],
        scores="probabilities" if comparison.gives_probabilities(variant) else "logits",
        preprocess=manifest.preprocess,
        golden=golden,
    )


def write_texts(
    run: Run,
    variant: str,
    folder: Path,
    golden: GoldenSet,
    comparison: Comparison,
    there: TargetMatrix | None = None,
) -> tuple[str, ...]:
    """Write everything but model and golden set.

    Returns:
        Names of all files of the kit, the card first.
    """
    name = model_file(run, variant)
    model = describe_model(run, variant, folder, golden, comparison)
    texts = {DESCRIPTION: model.to_json().decode(), SCRIPT: (KIT_FILES / SCRIPT).read_text()}
    texts |= label_texts(run) | snippets(model)
    write_files(folder, texts)
    inside = (name, *texts, GOLDEN_FILE)
    figures = card_figures(comparison, folder, {file: _what(file) for file in inside}, there)
    (folder / CARD).write_text(model_card(run, model, figures), encoding="utf-8")
    return (CARD, *inside)


def label_texts(run: Run) -> dict[str, str]:
    """Write the class names by the name of their file; nothing where there are none."""
    labels = run.manifest.labels
    return {LABELS_FILE: "".join(f"{label}\n" for label in labels)} if labels else {}


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write texts by their names into a folder."""
    for file, text in texts.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")


def card_figures(
    comparison: Comparison,
    folder: Path,
    what: Mapping[str, str],
    there: TargetMatrix | None = None,
) -> CardFigures:
    """Gather the figures of a card with the digests of files, each with what it is."""
    digests = [(file, words, digest_of_file(folder / file)) for file, words in what.items()]
    return CardFigures(comparison, comparison.latency, digests, there)


def _what(file: str) -> str:
    if file.endswith(".tflite"):
        return "the model, with TFLite Metadata"
    return _WHAT.get(file, f"snippet for {'iOS' if file.startswith('ios') else 'Android'}")


def zip_kit(folder: Path, names: tuple[str, ...], target: Path) -> None:
    """Pack files of a folder; the same files give the same zip."""
    staging = folder / f".{target.name}"
    with demand_writable(target):
        with zipfile.ZipFile(staging, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, (folder / name).read_bytes())
        os.replace(staging, target)


def text_in(file: Path, name: str) -> str:
    """Read a text of a kit, by its name there."""
    with zipfile.ZipFile(file) as archive:
        return archive.read(name).decode()


def run_deploy(request: DeployRequest, report: Report) -> GoldenSet:
    """Write a variant's model with metadata and ``golden.npz`` to the request's folder.

    Raises:
        PictureError: A picture cannot be decoded.
        ConversionError: LiteRT refuses the variant.
        HopError: Its answers change with the metadata, or are not numbers.
    """
    run, folder = Run.open(request.run), Path(request.folder)
    card, spec = run.artifact(request.variant), run.manifest.preprocess
    report(Progress("Writing the metadata", 0, KIT_STEPS))
    before = run.file(request.variant).read_bytes()
    scores: Scores = "probabilities" if request.probabilities else "logits"
    model = with_metadata(before, metadata_of(run, card, scores))
    (folder / model_file(run, request.variant)).write_bytes(model)
    pictures = request.pictures
    pixels = np.stack([spec.fitted(picture.decode(spec.picture_mode)) for picture in pictures])
    golden, arrays = golden_set(
        model,
        before,
        card.layout,
        [picture.name for picture in pictures],
        pixels,
        spec.normalized,
        probabilities=request.probabilities,
        threads=usable_cores(),
        report=report,
    )
    np.savez_compressed(
        folder / GOLDEN_FILE, pixels=arrays.pixels, inputs=arrays.inputs, outputs=arrays.outputs
    )
    return golden


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """Make the files of a kit that need a model to be run.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of an external file.
        pictures: Pictures of the golden set.
        probabilities: Whether the variant's outputs are those of a softmax.
        folder: Where to write them.
    """

    run: str
    variant: str
    pictures: tuple[Picture, ...]
    probabilities: bool
    folder: str
