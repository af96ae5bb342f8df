"""What a page looks like, measured in the browser: boxes, not words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

MEASURE = (Path(__file__).parent / "geometry.js").read_text()


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is not where, or as large as, it should be.

    Attributes:
        check: Which rule it breaks, as `geometry.js` names it.
        where: The texts or the element concerned.
    """

    check: str
    where: str


def measure(page: Page, *, fold: int, height: int) -> set[Flaw]:
    """Check the geometry of what a browser shows.

    Args:
        page: The browser's page, scrolled to its top.
        fold: Height of a person's window in CSS pixels.
        height: How high the whole content may be, in CSS pixels.

    Returns:
        The flaws.
    """
    rows = page.evaluate(MEASURE, {"fold": fold, "height": height})
    return {Flaw(row["check"], row["where"]) for row in rows}
