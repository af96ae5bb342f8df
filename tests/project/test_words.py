"""Names and docstrings keep to the rule for words; files stay small and few."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EMPTY_NAME = re.compile(
    r"_*(found|known|kept|made|said|one|other|place|told|anew|mended|aside|apart)_*"
)
"""Says nothing of what a variable holds, and is no verb for what a function does."""
FIGURE_OF_SPEECH = re.compile(
    r"\b(told|set\s+apart|let\s+go|whoever|anew|mended|gone\s+on)\b", re.IGNORECASE
)
PARTICIPLE = re.compile(
    r"_*(?!(?:bed|bleed|embed|exceed|feed|need|proceed|red|seed|shed|speed)(?:_|$))"
    r"(?:[a-z0-9]+ed|begun|bound|bought|brought|built|caught|chosen|dealt|done|drawn|fed|felt"
    r"|forgotten|fought|found|gone|grown|held|hidden|kept|known|led|lent|lost|made|meant|met|paid"
    r"|risen|said|sent|shown|slept|sold|spent|spoken|spun|stood|stuck|struck|swept|sworn|taken"
    r"|taught|thought|thrown|told|torn|understood|undone|woven|written)(?:_.*)?"
)
"""By its first word; without verbs and nouns in -ed, and participles that are verbs as well."""
NAMES_ON_DISK = frozenset({("engine/quantization/records.py", "kept")})
"""Fields of records that are stored in runs, by their file."""
MOST_PARTICIPLES = 0.02
MOST_LINES, MOST_FILES = 450, 312

Hit = tuple[int, str]
Nodes = list[ast.AST]


def by_hand(file: Path) -> bool:
    return not file.stem.endswith("_generated")


def functions_of(nodes: Nodes) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in nodes if isinstance(node, kinds)]


def names_of(nodes: Nodes) -> Iterator[Hit]:
    """Yield what is given a name: functions, classes, arguments, variables and attributes."""
    for node in nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def empty_names(nodes: Nodes) -> list[Hit]:
    return [hit for hit in names_of(nodes) if EMPTY_NAME.fullmatch(hit[1])]


def figures_of_speech(nodes: Nodes) -> list[Hit]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        (getattr(node, "lineno", 1), match[0])
        for node in nodes
        if isinstance(node, documented)
        for match in FIGURE_OF_SPEECH.finditer(ast.get_docstring(node) or "")
    ]


def participles(nodes: Nodes) -> list[Hit]:
    return [(f.lineno, f.name) for f in functions_of(nodes) if PARTICIPLE.fullmatch(f.name)]


def nodes_of(source: str) -> Nodes:
    return list(ast.walk(ast.parse(source)))


@dataclass
class Findings:
    """What is wrong in all files; their trees are not held, which would slow garbage collection."""

    empty_names: list[str] = field(default_factory=list)
    figures_of_speech: list[str] = field(default_factory=list)
    participles: list[str] = field(default_factory=list)
    functions: int = 0


@cache
def findings() -> Findings:
    result = Findings()
    folders = ("engine", "pages", "benchmarks")
    files = [ROOT / "app.py", *(f for name in folders for f in sorted((ROOT / name).rglob("*.py")))]
    for file in filter(by_hand, files):
        nodes = nodes_of(file.read_text(encoding="utf-8"))
        name = file.relative_to(ROOT).as_posix()
        for hits, find in (
            (result.empty_names, empty_names),
            (result.figures_of_speech, figures_of_speech),
            (result.participles, participles),
        ):
            hits += [
                f"{name}:{line}: {word}"
                for line, word in find(nodes)
                if (name, word) not in NAMES_ON_DISK
            ]
        result.functions += len(functions_of(nodes))
    return result


def test_names_say_what_they_hold() -> None:
    assert findings().empty_names == []


def test_docstrings_use_words_of_the_field() -> None:
    assert findings().figures_of_speech == []


def test_functions_are_called_by_verbs() -> None:
    hits = findings().participles
    assert len(hits) <= MOST_PARTICIPLES * findings().functions, hits


def test_files_are_small_and_few() -> None:
    files = [file for name in ("engine", "pages") for file in (ROOT / name).rglob("*.py")]
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert [
        str(file.relative_to(ROOT)) for file in files if by_hand(file) and lines[file] >= MOST_LINES
    ] == []
    assert len(files) <= MOST_FILES


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "kept: int",
        "self.made = 1",
        "for one in range(3): pass",
        "[place for place in range(3)]",
        "def look(other): pass",
        "def _known(): pass",
        "with open('f') as told: pass",
    ],
)
def test_empty_names_are_noticed(source: str) -> None:
    assert len(empty_names(nodes_of(source))) >= 1


@pytest.mark.parametrize("source", ["founder = 1", "print(known)", "shape.place", "f(one=1)"])
def test_only_names_that_are_given_count(source: str) -> None:
    assert empty_names(nodes_of(source)) == []


@pytest.mark.parametrize(
    "source", ['"""Made anew."""', 'def f():\n    """Let\n    go."""', 'class C:\n    """Told."""']
)
def test_figures_of_speech_are_noticed(source: str) -> None:
    assert len(figures_of_speech(nodes_of(source))) == 1


@pytest.mark.parametrize(
    "source",
    ['"""Renewed, untold."""', '"""A word."""  # told', 'text = "anew"'],
    ids=["within longer words", "in a comment", "in a string"],
)
def test_comments_and_words_within_words_are_no_figures_of_speech(source: str) -> None:
    assert figures_of_speech(nodes_of(source)) == []


@pytest.mark.parametrize("name", ["cleaned", "_named_apart", "shown", "taken_from"])
def test_participles_are_noticed(name: str) -> None:
    assert participles(nodes_of(f"def {name}(): pass")) == [(1, name)]


@pytest.mark.parametrize("name", ["feed", "embed_all", "clean", "read_at", "needs", "set_up"])
def test_verbs_are_no_participles(name: str) -> None:
    assert participles(nodes_of(f"def {name}(): pass")) == []
