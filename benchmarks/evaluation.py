"""Evaluation time: showing pictures to variants, against the plain sum of their ``invoke()`` times.

``python -m benchmarks.evaluation --run RUN`` makes pictures, times one-thread interpreters on
them one after the other, then times the engine from nothing stored (a store of its own, the
worker's start included), and prints the ratio to the sum divided by the workers used, and the
largest memory of the worker. ``--pictures 10000 --variants original,float32,int8 --no-sum`` shows
that memory does not grow with the pictures.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

import engine
from engine.core.store import HOME_VARIABLE
from engine.core.system import usable_cores
from engine.images.pictures import Picture, pictures_in
from engine.runs.run import LOGITS, Run
from engine.runs.runners import column_runner
from engine.tasks import evaluate as service_module
from engine.workers import process as host


def make_pictures(folder: Path, count: int) -> None:
    """Write JPEGs of 500 × 375 pixels, smooth as photos are, each with other content."""
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{index:05}.jpg")


def sum_of_invokes(run: Run, columns: tuple[str, ...], pictures: tuple[Picture, ...]) -> float:
    """Seconds that one-thread models need for all pictures, nothing but ``invoke`` counted."""
    seconds = 0.0
    for column in columns:
        with column_runner(run, column, 1) as runner:
            for picture in pictures:
                runner.feed(run.manifest.preprocess.apply(picture.decode()))
                started = time.perf_counter()
                runner.invoke()
                seconds += time.perf_counter() - started
    return seconds


@click.command()
@click.option("--run", "run_folder", required=True, help="A finished run; it is copied.")
@click.option("--images", help="Folder of pictures instead of made ones.")
@click.option("--pictures", "count", default=250, show_default=True)
@click.option("--variants", default="", help="Comma-separated; all variants by default.")
@click.option("--sum/--no-sum", "with_sum", default=True, help="Time the plain sum, too.")
def main(run_folder: str, images: str | None, count: int, variants: str, with_sum: bool) -> None:
    """Time an evaluation."""
    with tempfile.TemporaryDirectory() as home:
        os.environ[HOME_VARIABLE] = home
        folder = Path(home) / "run"
        shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns(LOGITS, "work"))
        run = engine.Run.open(folder)
        columns = tuple(variants.split(",")) if variants else run.variants
        if images is None:
            images = str(Path(home) / "pictures")
            Path(images).mkdir()
            make_pictures(Path(images), count)
        pictures = pictures_in(Path(images))[:count]
        workers = usable_cores()
        started = time.perf_counter()
        service_module.compute_logits(run, pictures, columns, host.Foreground())
        took = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{run.manifest.model.name}: {len(pictures)} pictures, {', '.join(columns)}")
        print(f"evaluation {took:.1f} s, largest memory of the worker {peak:.0f} MiB")
        if with_sum:
            plain = sum_of_invokes(run, columns, pictures)
            print(
                f"plain sum of invoke() {plain:.1f} s, divided by {workers} workers "
                f"{plain / workers:.1f} s: ratio {took * workers / plain:.2f}"
            )
        started = time.perf_counter()
        service_module.compute_logits(
            run, pictures[: len(pictures) // 2], columns, host.Foreground()
        )
        print(f"half of them again, rows copied: {time.perf_counter() - started:.1f} s")
        started = time.perf_counter()
        service_module.evaluate(
            run, pictures, host.Foreground(), reference=columns[0], variants=columns
        )
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"figures from the logits: {time.perf_counter() - started:.1f} s, largest memory of "
            f"this process {own:.0f} MiB"
        )


if __name__ == "__main__":
    main()
