"""Tables, labels, manifests and preprocessing that nobody would think of."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from engine.core.errors import OptionError
from engine.core.files import escape_formula
from engine.images.labels import labels_from_csv, labels_from_folders, read_labels
from engine.images.preprocess import PreprocessSpec
from engine.runs.run import Run
from tests.helpers.tiny_run import tiny_run
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252")
CLASSES = 5
easy = st.sampled_from(
    ["a.jpg", "grün.png", "=cmd.jpg", 'q"x.jpg', "a, b.jpg", "d/e.jpg", "0", "3"]
)
names = st.one_of(easy, easy, st.text(min_size=1, max_size=12))
indices = st.one_of(
    st.integers(0, CLASSES - 1).map(str),
    st.integers(0, CLASSES - 1).map(str),
    st.integers(-3, CLASSES + 3).map(str),
    st.sampled_from(["", " 1 ", "1.0", "1_0", "١", "0x1", "1e0", "=1", "9" * 400]),
    st.text(max_size=5),
)
rows = st.lists(st.tuples(names, indices), max_size=3)
noises = st.just(b"") | st.binary(max_size=4)


def tried(row: Row, property_: Any) -> None:
    """Run a property as often as the row says, with its seed, and check the row."""
    options = settings(
        max_examples=row.count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    started = time.monotonic()
    seed(row.seed)(options(property_))()
    row.seconds = time.monotonic() - started
    # Hypothesis stops early where it has seen everything, and repeats what fails.
    row.count = sum(row.outcomes.values())
    row.check()


def test_tables(scaled: Scaled, noted: Noted, tmp_path: Path) -> None:
    row = Row("hypothesis: CSV", scaled(300), noted)
    file = tmp_path / "l.csv"

    @given(rows, st.sampled_from(ENCODINGS), noises, st.booleans())
    def any_table(table: Any, encoding: str, noise: bytes, quoted: bool) -> None:
        made = io.StringIO(newline="")
        writer = csv.writer(made, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
        with suppress(csv.Error):
            writer.writerows([("filename", "class_index"), *table])
        file.write_bytes(made.getvalue().encode(encoding, errors="replace") + noise)
        asked = [name for name, _ in table] or ["a.jpg"]
        with row.tried((table, encoding, noise), "right"):
            found = labels_from_csv(file, asked, CLASSES)
            assert found.shape == (len(asked),)
            assert ((found >= -1) & (found < CLASSES)).all()
            if encoding.startswith("utf") and not noise:
                said = {name.strip(): index.strip() for name, index in table}
                for name, label in zip(asked, found, strict=True):
                    assert label == -1 or int(said[name.strip()]) == label

    tried(row, any_table)


def test_labels(scaled: Scaled, noted: Noted, tmp_path: Path) -> None:
    row = Row("hypothesis: labels", scaled(300), noted)
    file = tmp_path / "labels.txt"
    lines = st.lists(st.text(max_size=8), min_size=1, max_size=6)

    @given(lines, st.sampled_from(ENCODINGS), st.sampled_from(["\n", "\r\n"]), noises)
    def any_labels(labels: list[str], encoding: str, end: str, noise: bytes) -> None:
        file.write_bytes(end.join(labels).encode(encoding, errors="replace") + noise)
        with row.tried((labels, encoding, noise), "right"):
            found = read_labels(file, len(labels))
            assert len(found) == len(labels)
            if encoding.startswith("utf") and not noise:
                assert list(found) == [label.strip() for label in labels]

    tried(row, any_labels)


def test_folders(scaled: Scaled, noted: Noted) -> None:
    row = Row("hypothesis: folders as labels", scaled(300), noted)

    @given(
        st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=CLASSES, max_size=CLASSES)
    )
    def any_folders(folders: list[str], labels: list[str]) -> None:
        asked = [f"{folder}/a.jpg" for folder in folders]
        with row.tried((folders, labels), "right"):
            found = labels_from_folders(asked, tuple(labels), CLASSES)
            assert ((found >= 0) & (found < CLASSES)).all()

    tried(row, any_folders)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


def test_manifests(scaled: Scaled, noted: Noted, tmp_path: Path) -> None:
    row = Row("hypothesis: manifest", scaled(300), noted)
    run = tiny_run(tmp_path / "run")
    file = run.folder / "manifest.json"
    whole = json.loads(file.read_bytes())
    paths = [(key,) for key in whole]
    paths += [(key, inner) for key in whole if isinstance(whole[key], dict) for inner in whole[key]]
    paths += [("artifacts", 0, inner) for inner in whole["artifacts"][0]]

    @given(st.sampled_from(paths), values, st.booleans())
    def any_manifest(path: tuple[Any, ...], value: Any, remove: bool) -> None:
        changed = json.loads(json.dumps(whole))
        place = changed
        for key in path[:-1]:
            place = place[key]
        if remove:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        file.write_text(json.dumps(changed))
        with row.tried((path, value, remove), "read"):
            found = Run.open(run.folder)
            for artifact in found.artifacts:
                inside = (run.folder / artifact.file).resolve()
                assert inside.is_relative_to(run.folder.resolve())
            found.damaged()

    tried(row, any_manifest)


numbers = st.one_of(st.integers(-5, 5000), st.floats(), st.text(max_size=3), st.none())
triples = st.one_of(st.lists(st.floats(), max_size=4).map(tuple), numbers)


@pytest.mark.filterwarnings("ignore:overflow")
def test_preprocessing(scaled: Scaled, noted: Noted) -> None:
    row = Row("hypothesis: preprocess fields", scaled(300), noted)
    fields = {
        "height": numbers,
        "width": numbers,
        "resize": st.sampled_from(["squash", "shorter_side", "", "../x"]) | numbers,
        "resize_size": numbers,
        "interpolation": st.sampled_from(["bilinear", "nearest", "NEAREST"]) | numbers,
        "channel_order": st.sampled_from(["RGB", "BGR", "rgb"]) | numbers,
        "scale": numbers,
        "mean": triples,
        "std": triples,
    }
    picture = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)

    one = st.one_of([st.fixed_dictionaries({name: value}) for name, value in fields.items()])

    @given(one | st.fixed_dictionaries({}, optional=fields))
    def any_fields(given_: dict[str, Any]) -> None:
        text = msgspec.json.encode(msgspec.to_builtins(PreprocessSpec()) | given_)
        with row.tried(given_, "right"):
            try:
                spec = msgspec.json.decode(text, type=PreprocessSpec)
            except msgspec.ValidationError as error:
                raise OptionError("Reading", got=str(error), expected="x", todo="y") from error
            if spec.height * spec.width < 100_000:
                assert spec.apply(picture).shape == (spec.height, spec.width, 3)

    tried(row, any_fields)


@given(st.text(max_size=10))
@settings(database=None)
def test_defused_cells_are_no_formulas(text: str) -> None:
    assert not escape_formula(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert escape_formula(text).removeprefix("'") in (text, text.removeprefix("'"))
