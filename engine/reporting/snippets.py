"""Code that gives what a page shows, for a notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.runs.run import Run

_OPEN = "import engine\nfrom engine import {modules}\n\nrun = engine.Run.open({run!r})\n"
_MODULES = {
    "overview": "figures, overview_sentences",
    "convert": "plots",
    "logit_differences": "figures",
    "latency_and_size": "plots",
    "layers": "layer_sentences, plots",
    "calibration": "plots",
}
_VIEWS = {
    "overview": (
        "report = engine.report(run, {images}, need={need}{target})\n"
        "print(overview_sentences.headline(report.comparison, report.choice))\n"
        "figures.trade_off(report.comparison, report.choice)\n"
    ),
    "convert": "# {command}\nplots.hop_ladder(run.manifest.stages)\n",
    "predictions": (
        "report = engine.report(run, {images}, reference={reference!r})\n"
        "for variant in report.comparison.variants:\n"
        "    for flip in variant.flips:\n"
        "        answer = report.evaluation.label(flip.variant_class)\n"
        "        print(variant.variant, flip.picture, answer)\n"
    ),
    "logit_differences": (
        "report = engine.report(run, {images}, reference={reference!r})\n"
        "report.comparison.to_frame()\n"
        "figures.difference_distribution(report.evaluation)\n"
        "figures.logit_scatter(report.evaluation, {variant!r})\n"
        "figures.margin_loss(report.comparison, {variant!r})\n"
    ),
    "latency_and_size": (
        "timed = engine.latency(run, threads=1, rounds=50)\n"
        "plots.latency_bars(timed)\n"
        "plots.operator_times(timed)\n"
        "plots.size_bars(run.sizes, run.manifest.float32_bytes)\n"
        "engine.targets(run, targets=['cpu']).to_frame()\n"
    ),
    "layers": (
        "found = engine.layers(run, {variant!r}, {images})\n"
        "print(layer_sentences.layers_headline(found))\n"
        "plots.layer_line(found, layer_sentences.culprits(found)[:3])\n"
    ),
    "improve": (
        "run = engine.improve(run, {variant!r})\nengine.compare(run, {images}).to_frame()\n"
    ),
    "calibration": (
        "found = engine.sweep(run, {images}, recipes=['int8_float_io'])\n"
        "print(found.to_frame())\n"
        "plots.calibration_counts(found, 'int8_float_io')\n"
    ),
    "accuracy": (
        "# labels.csv has the columns filename,class_index.\n"
        "comparison = engine.compare(\n"
        "    run, {images}, reference={reference!r}, labels_csv='labels.csv'\n"
        ")\n"
        "for variant in comparison.variants:\n"
        "    print(variant.variant, variant.accuracy.top1, variant.accuracy.top1_interval)\n"
    ),
    "deploy": "print(engine.deploy(run, {variant!r}, {images}{target}).file)\n",
    "targets": "print(engine.targets(run).to_frame())\n",
    "run_details": (
        "print(run.manifest.command)\n"
        "for artifact in run.artifacts:\n"
        "    print(artifact.variant, artifact.bytes, dict(artifact.operators))\n"
    ),
}


def snippet(
    view: str,
    run: Run,
    pictures: Sequence[Path],
    *,
    reference: str = "original",
    need: float = 0.95,
    target: str | None = None,
) -> str:
    """Write lines for a notebook that give what a page shows; empty for a page without any."""
    if view not in _VIEWS:
        return ""
    names = run.runnable
    variant = "int8" if "int8" in names else names[-1]
    text = _VIEWS[view].format(
        images=_images(pictures),
        reference=reference,
        variant=variant,
        need=need,
        target="" if target is None else f", target={target!r}",
        command=run.manifest.command,
    )
    opened = _OPEN.format(modules=_MODULES.get(view, ""), run=str(run.folder))
    return opened.replace("from engine import \n", "") + text


def _images(pictures: Sequence[Path]) -> str:
    folders = {path.parent for path in pictures}
    if len(folders) == 1:
        folder = folders.pop()
        names = {path.name for path in pictures}
        suffixes = {path.suffix for path in pictures}
        # By names: to make and compare a thousand paths takes a twentieth of a page's time.
        in_folder = {name for name in os.listdir(folder) if os.path.splitext(name)[1] in suffixes}
        if in_folder == names:
            return repr(str(folder))
    return "[" + ", ".join(repr(str(path)) for path in pictures) + "]"
