"""Seconds until each page of the dashboard is interactive, with many pictures.

``python -m benchmarks.pages --pictures 1000`` converts the default model to eight variants in a
store of its own, shows all pictures to all of them (which takes minutes), opens the dashboard in
Debian's chromium, walks through the pages as a person does, and prints for each: seconds from the
click until the page is drawn and answers (the last script run has ended, nothing is stale, and the
browser's main thread is free), and seconds of a script run on the server when nothing changed (the
key R). With ``--store`` and ``--run`` a run that is there is opened instead, on the pictures of
``--images``: a minute, where they were shown to it before.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
from playwright.sync_api import Page, WebSocket
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import engine
from benchmarks.evaluation import make_pictures
from engine.core.store import HOME_VARIABLE
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from engine.tasks.evaluate import compute_logits
from engine.workers.process import Foreground
from pages.shell.navigation import CHAPTERS
from tests.helpers.browser import (
    UNRESTS,
    chromium,
    dashboard,
    go_to,
    open_pictures,
    wait_until_settled,
)

_PATIENCE_SECONDS = 120
_AT_REST = f"""async () => {{
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
  return !document.querySelector({UNRESTS!r});
}}"""


@dataclass
class ScriptRuns:
    """The script runs that a browser heard of from the server.

    Attributes:
        begun: When each began, in seconds of `time.perf_counter`.
        ended: When each ended.
    """

    begun: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def listen(self, socket: WebSocket) -> None:
        """Note what a connection says from now on."""
        socket.on("framereceived", self._note)

    def _note(self, payload: str | bytes) -> None:
        kind = ForwardMsg.FromString(
            payload.encode() if isinstance(payload, str) else payload
        ).WhichOneof("type")
        if kind == "new_session":
            self.begun.append(time.perf_counter())
        elif kind == "script_finished":
            self.ended.append(time.perf_counter())

    def clear(self) -> None:
        """Forget them."""
        self.begun.clear()
        self.ended.clear()

    @property
    def seconds(self) -> float:
        """From the first beginning to the last end."""
        return self.ended[-1] - self.begun[0]


def until_interactive(tab: Page, runs: ScriptRuns) -> float:
    """Wait for what a click began.

    Args:
        tab: The browser's page.
        runs: The runs since the click.

    Returns:
        When the page was drawn and answered, in seconds of `time.perf_counter`.
    """
    end = time.perf_counter() + _PATIENCE_SECONDS
    while time.perf_counter() < end:
        at_rest = tab.evaluate(_AT_REST)
        moment = time.perf_counter()
        if at_rest and runs.ended and len(runs.ended) >= len(runs.begun):
            seen = len(runs.begun)
            tab.wait_for_timeout(300)
            if len(runs.begun) == seen:
                return moment
    raise TimeoutError("the page did not come to rest")


def walk(address: str, folder: Path, rounds: int) -> None:
    """Open every page of a run some times, and print a line for each.

    Args:
        address: Of the server, with the run's name.
        folder: The pictures.
        rounds: How often each page comes again.
    """
    runs = ScriptRuns()
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(_PATIENCE_SECONDS * 1000)
        tab.on("websocket", runs.listen)
        tab.goto(address)
        wait_until_settled(tab)
        open_pictures(tab)
        tab.get_by_role("radio", name="A folder on this machine").click()
        tab.get_by_label("Folder", exact=True).fill(str(folder))
        tab.get_by_label("Folder", exact=True).press("Enter")
        tab.get_by_text(f"{len(pictures_in(folder))} pictures").first.wait_for()
        wait_until_settled(tab)
        print(f"{'page':<16} {'first':>6} {'later':>6} {'rerun':>6}")
        opened: dict[str, list[float]] = {chapter.title: [] for chapter in CHAPTERS}
        rerun: dict[str, list[float]] = {chapter.title: [] for chapter in CHAPTERS}
        for _ in range(rounds + 1):
            for chapter in CHAPTERS:
                runs.clear()
                started = time.perf_counter()
                go_to(tab, chapter.title)
                opened[chapter.title].append(until_interactive(tab, runs) - started)
                runs.clear()
                tab.keyboard.press("r")
                until_interactive(tab, runs)
                rerun[chapter.title].append(runs.seconds)
        for title, (first, *later) in opened.items():
            print(
                f"{title:<16} {first:6.2f} {statistics.median(later):6.2f} "
                f"{statistics.median(rerun[title]):6.2f}"
            )


def convert_and_time() -> Run:
    """Convert the default model to all variants, optimize int8, and time them."""
    run = engine.improve(engine.convert(), "int8")
    engine.latency(run, rounds=20)
    return run


@click.command()
@click.option("--pictures", "count", default=1000, show_default=True, help="How many to make.")
@click.option("--rounds", default=3, show_default=True, help="How often each page comes again.")
@click.option("--store", help="A store to use and keep; one of its own by default.")
@click.option("--run", "name", help="A run of the store; one is made by default.")
@click.option("--images", help="A folder of pictures; they are made by default.")
def main(count: int, rounds: int, store: str | None, name: str | None, images: str | None) -> None:
    """Time the pages."""
    with tempfile.TemporaryDirectory() as own:
        home = Path(store or own).resolve()
        os.environ[HOME_VARIABLE] = str(home)
        folder = Path(images).resolve() if images else home / "pictures"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            make_pictures(folder, count)
        run = Run.open(home / "runs" / name) if name else convert_and_time()
        pictures = pictures_in(folder)
        started = time.perf_counter()
        compute_logits(run, pictures, run.columns, Foreground())
        print(
            f"{run.manifest.model.name}: {len(pictures)} pictures, {len(run.columns)} columns, "
            f"shown in {time.perf_counter() - started:.0f} s"
        )
        with dashboard(home) as address:
            walk(f"{address}/predictions?run={run.folder.name}", folder, rounds)


if __name__ == "__main__":
    main()
