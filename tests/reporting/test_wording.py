"""Words that people read: forms that are gone, and headlines that are short."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.comparison.recommendation import candidates, recommend
from engine.core import formats
from engine.core.errors import LabelsError, ModelError
from engine.core.file_types import demand_onnx
from engine.images.labels import read_labels
from engine.reporting import plots
from engine.reporting.plots import titles
from engine.reporting.text import overview, runs
from engine.reporting.text.accuracy import accuracy_headline, classes_headline
from engine.reporting.text.improve import improvement_headline
from tests.helpers.factories import LOGITS, comparison, latency, manifest

ROOT = Path(__file__).parents[2]
READ = ("engine", "pages", "static")
GONE = (
    r"\bquick(er|est|ly)?\b",
    r"\bfurther off\b",
    r"\b[Tt]he reference\b",
    "Compared with",
    "Seed of the choice",
    "Files from elsewhere",
    "Every model, counted",
    "Who loses most",
    "to speak of",
    "at hand",
    "prove (so )?little",
    "proves nothing",
    "timed unsteadily",
    "of an animation the first frame",
    "too modest",
    "for figures that count",
    "No rule finds a cause",
    "weakest picture is",
    "of all pictures, between",
    "prove this much",
    "That is the 95",
    "Nothing beats",
    "is behind one of them",
    "[Gg]ive pictures of your own",
    r"[\d}] your pictures",
    "change their answer under",
    "are level",
    "for this session alone",
    "million pixels each",
    "Bubblewrap encloses",
    "are no ONNX",
    "one a class of the model",
    "every one of which",
    "nearest to it",
    "takes of it",
    "is surer",
    "the signal ends",
    "SQNR so far",
    "activations some",
    "had made up for",
    "the very pictures",
    r"\bhurts\b",
    "mean nothing:",
    r"\b1 values",
    "crosses it",
)
BREAKABLE = r"[\d}] [×%](?!\{)"
LONGEST = 110
CLASS = "a class with a name that is far longer than any headline has room for, and goes on"
FLIPPED = LOGITS[:, [1, 0, 2]]


def texts(path: Path) -> Iterator[str]:
    """Yield the words of a file that people can read: no docstring, no comment, no name."""
    if path.suffix != ".py":
        yield path.read_text()
        return
    tree = ast.parse(path.read_text())
    silent = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in silent else node.value


def breaks_lines(path: Path) -> bool:
    """Check whether the words of a file stand on pages; a terminal breaks no lines."""
    return path.suffix == ".py" and not {"reporting", "deployment", "pages"}.isdisjoint(path.parts)


@pytest.mark.parametrize("folder", READ)
def test_old_forms_are_gone(folder: str) -> None:
    files = [
        path
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".jinja", ".md", ".js"} and "__pycache__" not in path.parts
    ]
    words = re.compile("|".join(GONE))
    code = re.compile("|".join((*GONE, BREAKABLE)))
    found = [
        f"{path.relative_to(ROOT)}: {match[0]!r} in {text[:90]!r}"
        for path in files
        for text in texts(path)
        if (match := (code if breaks_lines(path) else words).search(text))
    ]
    assert files
    assert not found, "\n".join(found)


def test_units_stay_on_the_line_of_their_number() -> None:
    assert formats.keep_units("spread 24 ×, 3.5 dB of 5 %, 7 steps") == (
        "spread 24\xa0×, 3.5\xa0dB of 5\xa0%, 7 steps"
    )
    assert formats.with_plain_spaces(formats.megabytes(18_544_552)) == "18.5 MB"
    assert formats.sides((224, 192)) == "224\xa0×\xa0192"


def test_few_pictures_are_counted() -> None:
    assert formats.count_or_percent(11 / 13, 13) == "11 of 13"
    assert formats.count_or_percent(0.888, 250) == "88.8\xa0%"
    assert formats.count_or_percent(float("nan"), 3) == formats.UNKNOWN


def headlines() -> Iterator[str]:
    """Yield headlines of situations that make them long: many variants, long names of classes."""
    many = {f"int8_mixed(k={count})": FLIPPED for count in (101, 102, 103)}
    models = {"float32": LOGITS, "int8_optimized": LOGITS, **many}
    medians = {name: 9.4 + index for index, name in enumerate(models)}
    sizes = {name: 5_250_464 + index * 10**6 for index, name in enumerate(models)}
    found = comparison(models, labels=np.array([0, 1, 2]))
    timed = latency(medians)
    yield overview.headline(found, recommend(candidates(found), 1.0))
    yield overview.against_headline(found, comparison({**models, "int8_optimized": FLIPPED}))
    yield runs.predictions_headline(found)
    yield runs.logits_headline(found)
    yield runs.latency_headline(timed, sizes, 18_544_552)
    fast = {"float32": 8.0, "int8": 4.0, "uint8": 4.0, "int8_float_io": 4.0}
    smallest = {"dynamic_range": 5_000_000, "int16x8": 5_500_000} | dict.fromkeys(fast, 5_250_464)
    several = latency({**fast, "dynamic_range": 8.0, "int16x8": 200.0})
    yield runs.latency_headline(several, smallest, 18_544_552)
    yield runs.convert_headline(manifest())
    yield accuracy_headline(found, "int8_mixed(k=101)")
    accuracy = found.variant("int8_mixed(k=101)").accuracy
    assert accuracy is not None
    yield classes_headline(accuracy, "int8_mixed(k=101)", lambda index: f"{index} {CLASS}")
    yield improvement_headline(*(found.variant(name) for name in list(models)[-2:]))
    yield titles.trade_off(["float32", "int8_mixed(k=101)", "int8_mixed(k=102)"], 12)
    yield titles.latency(timed)
    yield titles.sizes(sizes, 18_544_552)
    yield titles.confusion("int8_mixed(k=101)", {(CLASS, CLASS[2:]): 12, (CLASS[2:], CLASS): 1})
    yield titles.heatmap([CLASS], ["int8_mixed(k=101)"], np.array([[1.234]]))
    margin, none = np.array([3.0]), np.array([False])
    yield titles.margins("int8_mixed(k=101)", [CLASS], margin, 0.5 * margin, none)
    yield titles.ladder(manifest().stages[1:], 1e-4)
    yield plots.headline_of(plots.logit_scatter(LOGITS, FLIPPED, "int8_mixed(k=101)"))


def test_no_headline_is_long() -> None:
    long = {text: len(text) for text in headlines() if len(text) > LONGEST}
    assert not long


def test_an_error_says_first_what_is_wrong(tmp_path: Path) -> None:
    labels = tmp_path / "labels3.txt"
    labels.write_text("cat\ndog\nowl\n")
    with pytest.raises(LabelsError) as mistake:
        read_labels(labels, 5)
    wrong = pickle.loads(pickle.dumps(mistake.value))
    assert wrong.problem == "labels3.txt has 3 names, but the model has 5 classes."
    assert str(wrong).startswith(wrong.problem)
    notes = tmp_path / "text.onnx"
    notes.write_text("These are my notes.\n" * 9)
    with pytest.raises(ModelError) as mistake:
        demand_onnx(notes)
    assert mistake.value.problem == "text.onnx is not an ONNX file."
