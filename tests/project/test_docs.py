"""The documentation: it builds without a warning, loads nothing from elsewhere, and is true."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import pytest

import engine
from engine.cli.main import commands
from engine.quantization.recipes import recipe_named
from tests.project.test_rooms import ENGINE
from tools.docs_pages import filled

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "docs").rglob("*.md"))
READ_THROUGH = [p for p in SOURCES if p.parent.name in {"tutorial", "how-to", "explanation"}]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
MOST_WORDS = 700
AT_THE_TOP = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
COMMANDED = [*SOURCES, *AT_THE_TOP]
PROGRAM = "python -m engine"
_COMMAND = re.compile(rf"(?:\.venv/bin/)?{PROGRAM} ([a-z].*)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_TARGET = re.compile(r"\]\([^)]*\)")
_RECIPE = re.compile(
    r"\b(?:u?int8|int8_float_io|int16x8)(?:_optimized|_mixed|_per_tensor)?(?:\([^()…]*\))?"
)
_MADE_LATER = {".streamlit/secrets.toml"}
_LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT)).removeprefix("docs/")


@cache
def text_of(page: Path) -> str:
    """A page as it goes into the site."""
    return filled(page.read_text())


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of the code blocks of a page."""
    yield from _FENCE.findall(text_of(page))


def spans(page: Path) -> list[str]:
    """Code within the sentences of a page."""
    return _CODE.findall(_FENCE.sub("", text_of(page)))


def command_lines(page: Path) -> list[list[str]]:
    """The words behind ``python -m engine``, of every line and every span of code."""
    lines = [line for _, text in blocks(page) for line in text.replace("\\\n", " ").splitlines()]
    found = []
    for text in (*lines, *spans(page)):
        if (command := _COMMAND.match(text)) is not None:
            # store list|verify stands for two.
            words = [word.split("|") for word in shlex.split(command[1], comments=True)]
            found += [list(one) for one in product(*words)]
    return found


def parsed(words: list[str]) -> click.Context:
    """Let the program read a command line without running it; click raises what is wrong."""
    context = click.Context(commands, info_name=PROGRAM)
    command: click.Command = commands
    while isinstance(command, click.Group):
        name, command_found, words = command.resolve_command(context, words)
        assert command_found is not None
        command = command_found
        context = (
            click.Context(command, parent=context, info_name=name)
            if isinstance(command, click.Group)
            else command.make_context(name, words, parent=context)
        )
    return context


@pytest.mark.parametrize("page", COMMANDED, ids=_id)
def test_commands_exist_with_their_options(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.tflite").touch()  # --also looks whether its file is there
    monkeypatch.chdir(tmp_path)
    for words in command_lines(page):
        parsed(words)


def test_what_a_command_lacks_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed(["compare", "--run", "r", "--images", "i", "--fast"])
    with pytest.raises(click.MissingParameter):
        parsed(["layers", "--run", "r"])
    with pytest.raises(click.UsageError):
        parsed(["store", "tidy"])
    lines = [command for page in COMMANDED for command in command_lines(page)]
    assert len(lines) > 30
    assert {words[0] for words in lines} >= {"convert", "compare", "layers", "sweep", "deploy"}


@pytest.mark.parametrize("page", COMMANDED, ids=_id)
def test_python_compiles_and_names_what_engine_has(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            check_python(text)


def check_python(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and _is_engine(node.value):
            assert node.attr in engine.__all__, f"engine.{node.attr}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if not _is_engine(node.func.value):
                continue
            keywords: dict[str, Any] = {word.arg: None for word in node.keywords if word.arg}
            signature = inspect.signature(getattr(engine, node.func.attr))
            signature.bind(*[None] * len(node.args), **keywords)


def _is_engine(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "engine"


def test_python_that_is_wrong_is_found() -> None:
    with pytest.raises(AssertionError, match=r"engine\.quantize"):
        check_python("import engine\nengine.quantize('a')")
    with pytest.raises(TypeError, match="speed"):
        check_python("import engine\nengine.latency('a', speed=1)")
    with pytest.raises(SyntaxError):
        check_python("import engine as")


@pytest.mark.parametrize("page", COMMANDED, ids=_id)
def test_recipes_exist(page: Path) -> None:
    for span in spans(page):
        if _RECIPE.fullmatch(span):
            assert recipe_named(span if span != "int8_mixed" else "int8_mixed(k=1)").name


def test_every_public_name_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    shown = re.findall(r"^::: engine\.(\w+)$", "".join(p.read_text() for p in pages), re.MULTILINE)
    assert sorted(shown) == sorted(name for name in engine.__all__ if name != "__version__")


@pytest.mark.parametrize("page", COMMANDED, ids=_id)
def test_files_and_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = spans(page)
    lines = [line for _, block in blocks(page) for line in block.splitlines()]
    for made in (m for code in (*named, *lines) for m in re.findall(r"^make ([a-z-]+)", code)):
        assert made in targets, f"make {made}"
    for span in named:
        first = span.partition("/")[0]
        if "/" in span and first and (ROOT / first).is_dir() and re.fullmatch(r"[\w./-]+", span):
            known = (ROOT / span).exists() or span in _MADE_LATER or first == "build"
            assert known, span


@pytest.mark.parametrize("page", AT_THE_TOP, ids=_id)
def test_links_of_a_page_outside_the_site_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert links
    for link in links:
        path, _, heading = link.partition("#")
        if "://" in link or not path:
            continue
        target = page.parent / path
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


def test_modules_that_the_architecture_names_exist() -> None:
    named = [span for span in spans(ARCHITECTURE) if re.fullmatch(r"[\w/]+\.py", span)]
    assert len(named) > 20
    files = [
        path.as_posix()
        for folder in ("engine", "pages", "benchmarks", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ] + ["/app.py"]
    lost = [name for name in named if not any(file.endswith(f"/{name}") for file in files)]
    assert lost == []


def test_the_table_of_rooms_has_the_order_that_is_tested() -> None:
    row = re.compile(r"^\| (\d+) \| `engine/(\w+)[^`]*` \|", re.MULTILINE)
    numbered = [(str(number), room) for number, rooms in enumerate(ENGINE, 1) for room in rooms]
    assert row.findall(ARCHITECTURE.read_text()) == numbered


@pytest.mark.parametrize("page", READ_THROUGH, ids=_id)
def test_a_page_is_read_in_three_minutes(page: Path) -> None:
    said = _TARGET.sub("]", _FENCE.sub("", text_of(page)))
    assert len(re.findall(r"\w+", said)) <= MOST_WORDS


@dataclass
class Html(HTMLParser):
    """What a page of the site names."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag in _LOADING and _LOADING[tag] in given:
            self.loads.append(given[_LOADING[tag]])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*build, "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    """The pages of the site, read."""
    found = {}
    for file in site.rglob("*.html"):
        found[file] = page = Html()
        page.feed(file.read_text())
    return found


@pytest.mark.slow
def test_the_site_has_a_page_for_every_source(site: Path, pages: dict[Path, Html]) -> None:
    made = {file.relative_to(site).with_suffix("") for file in pages} - {Path("404")}
    assert made == {page.relative_to(ROOT / "docs").with_suffix("") for page in SOURCES}
    assert not list(site.rglob("*.py"))


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Html]) -> None:
    loads = {load for page in pages.values() for load in page.loads}
    assert any(load.endswith("site.css") for load in loads)
    outside = {load for load in loads if urlsplit(load).scheme not in {"", "data"}}
    assert not outside | {load for load in loads if load.startswith("//")}
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet


@pytest.mark.slow
def test_what_pages_name_is_there(site: Path, pages: dict[Path, Html]) -> None:
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # its addresses begin at the server's root
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme in {"http", "https", "data"}:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.exists(), f"{file.relative_to(site)}: {link}"
            if parts.fragment and target in pages and parts.fragment != "__skip":
                known = pages[target].anchors
                assert unquote(parts.fragment) in known, f"{file.relative_to(site)}: {link}"


@pytest.mark.slow
def test_what_is_made_from_the_code_is_in_the_pages(site: Path) -> None:
    line = (site / "reference" / "command-line.html").read_text()
    assert all(f"<code>{name}</code>" in line for name in commands.commands)
    assert "--max-latency-ratio" in line
    assert "{{" not in "".join(page.read_text() for page in site.rglob("explanation/*.html"))
    words = (site / "explanation" / "glossary.html").read_text()
    assert "The integer that stands for the real value 0." in words
    functions = (site / "reference" / "python.html").read_text()
    assert "Folder of pictures like those the model will meet" in functions
