"""``python -m engine robustness``."""

from __future__ import annotations

import click

from engine import api
from engine.cli.output import progress_shown, show_table, write_json
from engine.comparison.robustness import PictureFlips, Robustness
from engine.core import formats
from engine.core.errors import OptionError
from engine.core.types import ORIGINAL
from engine.images.changes import CHANGE_KINDS, SCALES, ChangeKind
from engine.images.labels import label_of
from engine.images.pictures import DEFAULT_CURVE_COUNT
from engine.quantization.recipes import names_in
from engine.reporting.text.robustness import (
    agreement_headline,
    back_sentence,
    flips_sentence,
    stability_headline,
    tried_sentence,
)
from engine.runs.run import Run


@click.command()
@click.option("--run", "run_folder", required=True, help="Run folder, as convert made it.")
@click.option("--images", help="Folder of pictures.")
@click.option("--picture", metavar="FILE", help="One picture: what does it take to flip it?")
@click.option("--changes", default="", help=f"Comma-separated: {','.join(CHANGE_KINDS)}; all.")
@click.option(
    "--reference", default=ORIGINAL, show_default=True, help="original, onnx or a variant."
)
@click.option("--variants", default="", help="Comma-separated; all by default.")
@click.option("--count", default=DEFAULT_CURVE_COUNT, show_default=True, help="Pictures to use.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON ('-' for standard output).")
def robustness(
    run_folder: str,
    images: str | None,
    picture: str | None,
    changes: str,
    reference: str,
    variants: str,
    count: int,
    json_file: str | None,
) -> None:
    """Show how answers stand up to blur, noise, brightness, JPEG compression, rotation and crops.

    Pictures are changed in the network's own size. A cell says on how many changed pictures a
    variant answers like the reference, and behind it, on how many as it did before the change.

    \b
    Examples:
      python -m engine robustness --run my_run --images photos
      python -m engine robustness --run my_run --images photos --changes blur,noise --json R.json
      python -m engine robustness --run my_run --picture cat.jpg --variants int8
    """
    if (images is None) == (picture is None):
        raise OptionError(
            "Choosing the pictures",
            got="both --images and --picture" if images else "neither --images nor --picture",
            expected="one of them",
            todo="Name a folder with --images, or one file with --picture.",
        )
    kinds, names = names_in(changes), names_in(variants)
    run = Run.open(run_folder)
    measured: Robustness | PictureFlips
    with progress_shown() as on_progress:
        if picture is not None:
            measured = api.find_flips(
                run,
                picture,
                changes=kinds,
                reference=reference,
                variants=names,
                on_progress=on_progress,
            )
        else:
            assert images is not None, "one of them was given"
            measured = api.robustness(
                run,
                images,
                changes=kinds,
                reference=reference,
                variants=names,
                count=count,
                on_progress=on_progress,
            )
    if json_file is not None:
        write_json(measured.to_dict(), json_file)
    if json_file == "-":
        return
    if isinstance(measured, Robustness):
        _show_curves(measured)
    else:
        _show_flips(measured, run)


def _show_curves(measured: Robustness) -> None:
    for kind in measured.kinds:
        scale = SCALES[kind]
        strengths = [point.strength for point in measured.line(kind, measured.reference)]
        show_table(
            f"{scale.title} on {formats.plural(len(measured.pictures), 'picture')}: like "
            f"{measured.reference} / as before",
            ["model", *("none" if s == scale.unchanged else scale.of(s) for s in strengths)],
            [
                [
                    model,
                    *(f"{point.agreeing} / {point.stable}" for point in measured.line(kind, model)),
                ]
                for model in (measured.reference, *measured.variants)
            ],
        )
        click.echo(f"{agreement_headline(measured, kind)}.")
        click.echo(f"{stability_headline(measured, kind)}.")
    for note in measured.notes:
        click.echo(f"Note: {note}")


def _show_flips(measured: PictureFlips, run: Run) -> None:
    for kind in measured.kinds:
        show_table(
            f"{measured.picture}: the least {SCALES[kind].title} that changes an answer",
            ["model", "answer", "changes at", "to", "back at"],
            [
                [
                    flip.model,
                    _label(run, flip.clean_class),
                    _strength(kind, flip.strength),
                    formats.UNKNOWN if flip.strength is None else _label(run, flip.changed_class),
                    _strength(kind, flip.back_at),
                ]
                for flip in measured.of(kind)
            ],
        )
        sentences = (flips_sentence(measured.of(kind)), back_sentence(measured.of(kind)))
        for sentence in (*sentences, tried_sentence(kind)):
            if sentence:
                click.echo(sentence)


def _strength(kind: ChangeKind, strength: float | None) -> str:
    return formats.UNKNOWN if strength is None else SCALES[kind].of(strength)


def _label(run: Run, index: int | None) -> str:
    return "NaN or Inf" if index is None else label_of(run.manifest.labels, index)
