"""Four walks through engine and pages, counted: from a photo, a click or a command to the answer.

See `tests.helpers.walks.Walk` for what a step is, and `docs/architecture.md` for the walks.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.cli.main import main
from engine.comparison.comparison import compare
from engine.comparison.hops import check_hop
from engine.core.checksums import move_verified
from engine.core.files import write_text
from engine.images import pictures
from engine.images.pictures import Picture
from engine.networks.runners.base import Runner
from engine.quantization.calibration import Calibration, Calibrations
from engine.quantization.optimizer.optimize import optimize_model
from engine.runs.run import Run
from engine.runs.staging import move_into_place
from pages.state import session
from pages.views.gallery import show_gallery
from tests.helpers.app_test import dashboard_test
from tests.helpers.integer_models import parse_network
from tests.helpers.tiny_run import tiny_run
from tests.helpers.walks import Walk, bring_worker_here, do_jobs_at_once, follow
from tests.pages.test_pages import settled

NETWORK = """
    h = Conv<pads = [1, 1, 1, 1]>(picture, k)
    r = Relu(h)
    g = GlobalAveragePool(r)
    f = Flatten(g)
    logits = MatMul(f, w)
"""


@pytest.fixture(autouse=True)
def one_process(fresh_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_worker_here(monkeypatch)
    do_jobs_at_once(monkeypatch)


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def photo(seed: int) -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def page(name: str, **state: object) -> AppTest:
    test = dashboard_test()
    test.switch_page(f"pages/dashboard/{name}.py")
    for key, value in state.items():
        test.session_state[key] = value
    return test.run()


def dropped(content: bytes) -> AppTest:
    """The page Predictions, a photo dropped on it, not run yet."""
    test = page("predictions", pictures_source="My photos")
    test.file_uploader[0].set_value(("photo.png", content, "image/png"))
    return test


def press(test: AppTest, label: str) -> AppTest:
    return next(button for button in test.button if button.label == label).click().run()


def check(walk: Walk, most: int) -> None:
    print("\n".join(walk.steps))
    assert all(walk.visits.values()), walk.visits
    assert len(walk.steps) <= most, "\n".join(walk.steps)


def test_a_photo_to_its_cards(run: Run) -> None:
    walk = Walk(
        session.keep_upload,
        Picture.decode,
        Runner.__enter__,
        Runner.infer,
        move_verified,
        compare,
        show_gallery,
    )
    test = dropped(photo(1))
    with follow(walk):
        test.run()
    assert not test.exception
    check(walk, 15)


class Counting:
    """Counts decoding, hashing and loading, by what is decoded, hashed or loaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        self.decoded = self.hashed = 0
        self.loaded: Counter[str] = Counter()
        self._content = content
        for module, name, note in (
            (pictures, "decode_with_notes", self._decode),
            (hashlib, "sha256", self._hash),
            (hashlib, "file_digest", self._hash),
            (np, "load", self._load),
        ):
            monkeypatch.setattr(module, name, self._counting(getattr(module, name), note))

    def _counting(self, function: Any, note: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            note(*words[:1])
            return function(*words, **named)

        return call

    def _decode(self, data: bytes) -> None:
        self.decoded += data == self._content

    def _hash(self, data: object = b"") -> None:
        whole = Path(data.name).read_bytes() if hasattr(data, "name") else data
        self.hashed += whole == self._content

    def _load(self, file: object) -> None:
        self.loaded[str(file)] += 1


def test_a_photo_is_decoded_twice_and_hashed_once_and_each_array_is_looked_up_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = photo(2)
    test = dropped(content)
    counts = Counting(monkeypatch, content)
    monkeypatch.setattr("pages.inputs.pictures.decode_with_notes", pictures.decode_with_notes)
    test.run()
    assert not test.exception
    assert counts.decoded == 2, "one by the page, one in the worker"
    # The page's hash names the upload; the worker, another process, checks what it reads by it.
    assert counts.hashed == 2
    assert len(counts.loaded) >= len(run.columns)
    assert set(counts.loaded.values()) == {1}


def test_compare(run: Run, photos: Path, tmp_path: Path) -> None:
    walk = Walk(
        Picture.decode,
        Runner.__enter__,
        Runner.infer,
        move_verified,
        compare,
        write_text,
    )
    file = tmp_path / "C.json"
    words = ["compare", "--run", str(run.folder), "--images", str(photos), "--json", str(file)]
    with follow(walk):
        assert main(words) == 0
    assert json.loads(file.read_text())["run"] == "tiny"
    check(walk, 12)


@pytest.mark.slow
def test_a_conversion_and_the_optimized_pass(own_store: Path) -> None:
    from engine.conversion.savedmodel_from_onnx import savedmodel_from_onnx
    from engine.conversion.tflite_from_savedmodel import tflite_from_savedmodel
    from engine.conversion.write_manifest import write_manifest

    rng = np.random.default_rng(0)
    weights = {"k": (4, 3, 3, 3), "w": (4, 5)}
    constants = {name: rng.normal(size=s).astype(np.float32) for name, s in weights.items()}
    model = parse_network(NETWORK, constants)
    onnx.save(model, own_store / "tiny.onnx")
    walk = Walk(
        savedmodel_from_onnx,
        tflite_from_savedmodel,
        Calibrations.of,
        Calibration.ranges_of,
        check_hop,
        write_manifest,
        move_into_place,
    )
    test = page("convert", convert_kind="My ONNX file", convert_variants=["int8"])
    uploader = next(each for each in test.file_uploader if each.label == "ONNX file")
    uploader.set_value(("tiny.onnx", (own_store / "tiny.onnx").read_bytes(), "")).run()
    settled(test)
    press(test, "Confirm the preprocessing")
    with follow(walk):
        press(test, "Convert")
    assert not test.exception
    check(walk, 14)
    walk = Walk(optimize_model, check_hop, move_into_place)
    test = page("improve")
    with follow(walk):
        press(test, "Improve int8")
    assert not test.exception
    check(walk, 20)
