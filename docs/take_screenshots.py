"""Screenshots of every page, wide and narrow, light and dark; run it with ``make screenshots``.

Converts the default model into a store of its own, opens the dashboard on it in Debian's chromium,
and writes ``<page>_<width>_<theme>.png`` to the folder given. The upper parts of some become the
pictures of README and documentation, in ``docs/images``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect

import engine
from engine.core.store import HOME_VARIABLE, SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from engine.tasks.improve import time_curve
from engine.workers.process import Foreground
from pages.shell.navigation import CHAPTERS
from tests.helpers.browser import chromium, dashboard, wait_until_settled

ROOT = Path(__file__).parent.parent
PAGES = tuple(known.stem for known in CHAPTERS)
WIDTHS = {1440: 1000, 390: 844}
THEMES = ("light", "dark")
IMAGES = ROOT / "docs" / "images"
SHOWN = ("overview", "predictions", "layers", "convert", "targets")
FLIP, SLIDE = "flip.png", "slide.png"
SLIDES, TRADE_OFF = 7, 2
"""How many there are where everything has results, and the place of the one that is shown."""
PLOTS_DRAWN_MS = 1_500
ADDRESSES = {CHAPTERS[0].stem: ""}  # the first page has none of its own


def take(browser: Browser, address: str, folder: Path) -> None:
    """Open every page in every size and theme."""
    for theme in THEMES:
        for width, height in WIDTHS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
            )
            tab = context.new_page()
            for name in PAGES:
                tab.goto(f"{address}/{ADDRESSES.get(name, name)}")
                wait_until_settled(tab)
                tall = tab.evaluate(
                    "document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0"
                )
                tab.set_viewport_size({"width": width, "height": max(height, min(tall, 3_500))})
                tab.wait_for_timeout(PLOTS_DRAWN_MS)
                tab.screenshot(path=folder / f"{name}_{width}_{theme}.png")
                tab.set_viewport_size({"width": width, "height": height})
            context.close()


def take_flip(browser: Browser, address: str, run: Run, folder: Path) -> None:
    """Photograph the explanation of a flip."""
    flip = engine.compare(run, SAMPLE_IMAGES).variant("int8").flips[0]
    digest = pictures_in(SAMPLE_IMAGES)[flip.index].sha256[:12]
    tab = browser.new_page(viewport={"width": 1440, "height": 1000})
    tab.goto(f"{address}/predictions?flip=int8:{digest}")
    wait_until_settled(tab)
    tab.wait_for_timeout(PLOTS_DRAWN_MS)
    tab.locator("[class*=st-key-explanation_]").screenshot(path=folder / FLIP)


def take_slide(browser: Browser, address: str, folder: Path) -> None:
    """Photograph the slide of the trade-off, when all slides have joined."""
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.emulate_media(reduced_motion="reduce")
    tab.goto(f"{address}/?demo")
    dots = tab.locator(".deck .dots button")
    expect(dots).to_have_count(SLIDES, timeout=120_000)
    dots.nth(TRADE_OFF).click()
    tab.wait_for_timeout(PLOTS_DRAWN_MS)
    tab.screenshot(path=folder / SLIDE)


def _sweep(run: Run, home: Path) -> None:
    """Calibrate with some of the sample images and measure on the others."""
    samples = pictures_in(SAMPLE_IMAGES)
    calibration = home / "calibration"
    calibration.mkdir()
    for picture in samples[:8]:
        shutil.copy(picture.path, calibration)
    engine.sweep(
        run,
        [picture.path for picture in samples[8:]],
        calibration=calibration,
        counts=(2, 4, 8),
        seeds=(0, 1),
        ranges=("min_max", "mse"),
    )


def show_in_documentation(folder: Path) -> None:
    """Cut the pictures of README and documentation out of the screenshots."""
    for name in SHOWN:
        with Image.open(folder / f"{name}_1440_light.png") as whole:
            _save_small(whole.crop((0, 0, 1440, 1000)), f"{name}.png")
    for name in (FLIP, SLIDE):
        with Image.open(folder / name) as whole:
            _save_small(whole, name)


def _save_small(picture: Image.Image, name: str) -> None:
    picture.convert("RGB").quantize(256).save(IMAGES / name, optimize=True)


def make_everything(home: Path) -> Run:
    """Make a run that has all there is to show, in a store."""
    run = engine.mix(engine.improve(engine.convert(calibration_count=32), "int8"), layers=6)
    time_curve(run, "int8_mixed(k=6)", Foreground())
    engine.latency(run, rounds=20)
    engine.compare(run, SAMPLE_IMAGES)
    _sweep(run, home)
    engine.deploy(run, "int8", SAMPLE_IMAGES)
    engine.targets(run)
    for variant in ("int8", "int8_optimized"):
        engine.layers(run, variant, SAMPLE_IMAGES)
    return run


def main(folder: Path) -> None:
    """Convert, measure, open, photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ[HOME_VARIABLE] = home
        run = make_everything(Path(home))
        with dashboard(Path(home)) as address, chromium() as browser:
            take(browser, address, folder)
            take_flip(browser, address, run, folder)
            take_slide(browser, address, folder)
    show_in_documentation(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
