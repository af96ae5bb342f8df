"""The gallery, without a page around it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.app_test import script_test
from tests.helpers.tiny_run import tiny_run


def two_galleries() -> None:
    import os
    from pathlib import Path

    import numpy as np

    from engine.images.pictures import pictures_in
    from engine.runs.run import Run
    from engine.tasks.evaluation import Evaluation
    from pages.views.gallery import PAGE_SIZE, show_gallery
    from tests.helpers.factories import comparison

    home = Path(os.environ["GALLERY_HOME"])
    pictures = pictures_in(home / "pictures")
    logits = {name: np.eye(len(pictures)) for name in ("original", "int8")}
    evaluation = Evaluation(Run.open(home / "run"), pictures, comparison(logits), logits)
    half = PAGE_SIZE + 1
    show_gallery(evaluation, ("original", "int8"), list(range(half)), key="Won back")
    show_gallery(evaluation, ("original", "int8"), list(range(half, 2 * half)), key="Newly lost")


def test_two_long_galleries_stand_on_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    for value in range(26):
        pixels = np.full((4, 4, 3), value, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{value:02}.png")
    tiny_run(tmp_path / "run")
    monkeypatch.setenv("GALLERY_HOME", os.fspath(tmp_path))
    test = script_test(two_galleries).run()
    assert not test.exception
    assert [box.label for box in test.number_input] == ["Page (of 2)"] * 2
