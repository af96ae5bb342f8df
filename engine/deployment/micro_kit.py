"""A kit for a microcontroller: the model as a C array, and a program that proves it there."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.comparison.comparison import Comparison
from engine.comparison.metrics import top_k
from engine.comparison.outputs import Outputs
from engine.core import formats
from engine.core.errors import ConversionError, OptionError, PackageError
from engine.core.types import ORIGINAL, IntArray, Progress, Report
from engine.deployment.description import LABELS_FILE, model_file
from engine.deployment.documents import model_card
from engine.deployment.golden_set import KIT_STEPS, GoldenSet, KernelDifference, tolerance_of
from engine.deployment.kit import (
    DESCRIPTION,
    DeployRequest,
    Kit,
    card_figures,
    compare_for_kit,
    describe_model,
    kit_file,
    label_texts,
    pack_kit,
    write_files,
)
from engine.deployment.micro_sources import ARENA_MARGIN, MicroModel, write_sources
from engine.images.pictures import Picture
from engine.images.preprocess import in_layout
from engine.portability.catalog import has_tool, target_named
from engine.portability.microcontroller import show_to_tflite_micro
from engine.portability.records import Answer, Question
from engine.runs.run import Run
from engine.tflite.artifact import has_integer_edges
from engine.tflite.graph import Graph
from engine.tflite.interpreter import dequantize
from engine.workers.process import Host

TARGET = "microcontroller"
README = "README.md"
FIRMWARE = "firmware"
_STAGE = "Making the kit for a microcontroller"
_WHAT = {
    "model.h": "length of the model, arena, operators",
    "model.cc": "the model as an array",
    "golden.h": "sizes of the golden set, how far an output may be off",
    "golden.cc": "the golden set as arrays",
    "main.cc": "runs the golden set, and prints PASSED or FAILED",
    DESCRIPTION: "shapes, types, scales, preprocessing and tolerance, for programs",
    LABELS_FILE: "class names, one a line",
}


@dataclass(frozen=True, slots=True)
class MicroFacts:
    """What TFLite Micro needs for a variant.

    Attributes:
        golden: The golden set; the arrays are in ``golden.cc``.
        arena: Bytes of the arena that it used here.
        reserved: Bytes of the arena in ``model.h``, with a margin.
        parts: Of the arena: what, and bytes.
        by: The tool and its version.
        golden_bytes: What the golden set takes beside the model.
    """

    golden: GoldenSet
    arena: int
    reserved: int
    parts: tuple[tuple[str, int], ...]
    by: str
    golden_bytes: int


def make_micro_kit(
    run: Run,
    variant: str,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    out: Path | None = None,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
) -> Kit:
    """Compare a variant with the reference, run its golden set in TFLite Micro, write the kit.

    Arguments and errors are those of `engine.deployment.kit.make_kit`.

    Raises:
        OptionError: The variant's input or output is float, or a call takes several pictures.
        PackageError: TFLite Micro is not installed.
        ConversionError: TFLite Micro refuses the variant.
    """
    _check(run, variant)
    comparison = compare_for_kit(run, variant, pictures, host, reference, labels)
    file = out or kit_file(run, variant, pictures, FIRMWARE)

    def write(folder: Path, facts: MicroFacts) -> tuple[GoldenSet, tuple[str, ...]]:
        return facts.golden, write_micro_texts(run, variant, folder, facts, comparison)

    return pack_kit(run, comparison, pictures, file.absolute(), host, run_micro_kit, write)


def _check(run: Run, variant: str) -> None:
    target, card = target_named(TARGET), run.artifact(variant)
    if not has_integer_edges(card):
        fit = [a.variant for a in run.artifacts if has_integer_edges(a)]
        make = f"python -m engine convert --target {TARGET} --out {shlex.quote(str(run.folder))}"
        raise OptionError(
            _STAGE,
            got=f"{variant}, whose input is {card.inputs[0].dtype} and whose output is "
            f"{card.outputs[0].dtype}",
            expected="integers at both ends",
            todo=f"Take {' or '.join(fit)}." if fit else f"Make a variant that fits: {make}.",
        )
    if card.inputs[0].batch != 1:
        raise OptionError(
            _STAGE,
            got=f"{variant}, which takes {card.inputs[0].batch} pictures a call",
            expected="a model that takes one",
            todo="Export the model with a batch of 1.",
        )
    if not has_tool(target):
        raise PackageError(
            _STAGE,
            got=f"no package {target.package}",
            expected="TFLite Micro's interpreter, which gives the arena and the answers",
            todo=target.todo,
        )


def run_micro_kit(request: DeployRequest, report: Report) -> MicroFacts:
    """Write a variant's file and its sources to the request's folder.

    Raises:
        PictureError: A picture cannot be decoded.
        ConversionError: TFLite Micro refuses the variant.
    """
    run, folder = Run.open(request.run), Path(request.folder)
    spec, card = run.manifest.preprocess, run.artifact(request.variant)
    file = folder / model_file(run, request.variant)
    shutil.copyfile(run.file(request.variant), file)
    names = tuple(picture.name for picture in request.pictures)
    decoded = [spec.apply(picture.decode(spec.picture_mode)) for picture in request.pictures]
    pictures = in_layout(np.stack(decoded), card.layout)
    report(Progress("Asking TFLite Micro", 0, KIT_STEPS))
    shown = show_to_tflite_micro(Question(file, pictures, folder))
    answer = shown.answer
    arena = answer.figure("arena")
    if arena is None:
        raise ConversionError(
            _STAGE,
            got=f"a refusal of TFLite Micro ({answer.left_names}: {answer.reason})",
            expected="a variant that it runs",
            todo=answer.todo,
        )
    report(Progress("Making the golden set", 2, KIT_STEPS))
    content = file.read_bytes()
    inputs, outputs = np.concatenate(shown.inputs), np.concatenate(shown.outputs)
    end = card.outputs[0]
    tensor = {"dtype": outputs.dtype, "quantization": (end.scale, end.zero_point)}
    real = dequantize(outputs, tensor).reshape(len(outputs), -1)
    golden = GoldenSet(
        pictures=names,
        answers=tuple(top_k(Outputs(real, request.probabilities).answers, 1)[:, 0].tolist()),
        unit="steps",
        largest=float(np.abs(outputs.astype(np.float64)).max()),
        kernels=_kernels(answer),
        tolerance=tolerance_of(_kernels(answer), 1.0),
    )
    model = MicroModel(
        variant=request.variant,
        content=content,
        operators=tuple(sorted({operator.opcode for operator in Graph(content).operators})),
        arena=int(arena.value),
        pictures=names,
        inputs=inputs,
        outputs=outputs,
        tolerance=int(golden.tolerance),
    )
    write_files(folder, write_sources(model))
    parts = [f for f in answer.figures if f.name == "arena" and f.part]
    return MicroFacts(
        golden=golden,
        arena=model.arena,
        reserved=model.arena_with_margin,
        parts=tuple((part.part, int(part.value)) for part in parts),
        by=arena.by,
        golden_bytes=inputs.nbytes + outputs.nbytes,
    )


def _kernels(answer: Answer) -> tuple[KernelDifference, ...]:
    return tuple(
        KernelDifference(f"LiteRT's {kernels.kernels} kernels", kernels.pictures, kernels.largest)
        for kernels in answer.differences
    )


def write_micro_texts(
    run: Run, variant: str, folder: Path, facts: MicroFacts, comparison: Comparison
) -> tuple[str, ...]:
    """Write what is neither model nor source.

    Returns:
        Names of all files of the kit, the readme first.
    """
    model = describe_model(run, variant, folder, facts.golden, comparison)
    texts = {DESCRIPTION: model.to_json().decode(), **label_texts(run)}
    write_files(folder, texts)
    what = {name: words for name, words in _WHAT.items() if (folder / name).is_file()}
    figures = card_figures(comparison, folder, what | {model.file: "the same model as a file"})
    readme = model_card(
        run,
        model,
        figures,
        template="micro/README.md",
        facts=facts,
        margin=formats.with_unit(str(ARENA_MARGIN), "%"),
    )
    (folder / README).write_text(readme, encoding="utf-8")
    return (README, *what, model.file)
