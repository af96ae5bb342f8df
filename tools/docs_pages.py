"""What the documentation takes from the code while it is built, so that it cannot go stale.

A hook of MkDocs. A line such as ``{{ glossary }}`` in a page gives way to what the function of that
name below makes. The font and the icon come from ``static/``, where the dashboard has them.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import click
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
STATIC = ("icon.png", "inter.woff2")
PROGRAM = "python -m engine"
PRECISIONS: tuple[Literal["float32", "int8"], ...] = ("float32", "int8")

_PLACE = re.compile(r"^\{\{ (\w+) \}\}$", re.MULTILINE)


def on_startup(**_: Any) -> None:
    """Let ``engine`` and ``benchmarks`` be imported, wherever MkDocs was started from."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the font and the icon."""
    from mkdocs.structure.files import File

    for name in STATIC:
        path = str(ROOT / "static" / name)
        files.append(File.generated(config, f"static/{name}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Fill in what is made from the code."""
    return filled(markdown)


def filled(markdown: str) -> str:
    """Fill a page with what is made from the code.

    Raises:
        KeyError: A place names nothing that can be made.
    """
    return _PLACE.sub(lambda place: MADE[place[1]](), markdown)


def glossary() -> str:
    """Every term with its definition."""
    from engine.reporting.glossary import GLOSSARY

    terms = sorted(GLOSSARY, key=str.lower)
    return "\n\n".join(f"**{term}**{{ #{_anchor(term)} }}: {GLOSSARY[term]}" for term in terms)


def recipes() -> str:
    """List the recipes that ``all`` stands for."""
    from engine.quantization.recipes import RECIPES

    rows = [[f"`{r.name}`", r.weights, r.activations, r.edges, _cell(r.summary)] for r in RECIPES]
    return _table(["name", "weights", "activations", "input and output", "in a sentence"], rows)


def range_methods() -> str:
    """List the methods by which ranges follow from values."""
    from engine.quantization.recipes import RANGE_METHODS

    return "```\n" + "\n".join(RANGE_METHODS) + "\n```"


def causes() -> str:
    """List the rules by which an operator's loss is explained, as their docstrings say them."""
    from engine.comparison.layers.causes import RULES

    rows = []
    for name, rule in RULES.items():
        first, *others = inspect.cleandoc(rule.__doc__ or "").split("\n\n")
        sign = next(other for other in others if other.startswith("Sign: "))
        sign = re.sub(r" \(`\w+`\)", "", sign.removeprefix("Sign: ").replace("\n", " "))
        sign = re.sub(r"`[A-Z_]+`, ", "", sign)
        rows.append([f"`{name}`", _cell(first), _cell(sign[:1].upper() + sign[1:])])
    return _table(["cause", "what it is", "its sign"], rows)


def commands() -> str:
    """Every command with its options, as ``--help`` says them."""
    import click

    from engine.cli.main import commands as group

    parts: list[str] = []
    context = click.Context(group, info_name=PROGRAM)
    for name in sorted(group.commands):
        parts += _command(
            group.commands[name],
            click.Context(group.commands[name], parent=context, info_name=name),
        )
    return "\n\n".join(parts)


def defaults() -> str:
    """Look up defaults that signatures of public functions name by a constant."""
    from engine import api

    named = {name: getattr(api, name) for name in vars(api) if name.isupper()}
    rows = [
        [f"`{name}`", f"`{value!r}`"]
        for name, value in sorted(named.items())
        if not isinstance(value, bool)
    ]
    return _table(["name", "value"], rows)


def bench_files() -> str:
    """How many of the bench's models each converter made a file of that runs, and how quickly."""
    import numpy as np

    from benchmarks.results import read_results

    results = read_results(ROOT / "benchmarks" / "results.json")
    rows: dict[str, list[str]] = {tool: [tool] for tool in results.versions}
    for precision in PRECISIONS:
        made = {
            tool: {
                model.model: entry.total_seconds
                for model in results.models
                if (entry := model.entry(tool, precision)) is not None and entry.failure is None
            }
            for tool in results.versions
        }
        by_all = set.intersection(*(set(found) for found in made.values()))
        for tool, found in made.items():
            seconds = np.median([found[model] for model in by_all])
            rows[tool] += [f"{len(found)} of {len(results.models)}", f"{seconds:.0f} s"]
    head = [part for p in PRECISIONS for part in (f"{p} files that run", "median time")]
    return _table(["converter", *head], list(rows.values()))


def bench_latency() -> str:
    """Write the bench's headline for both precisions, whose intervals take seconds to compute."""
    text = (ROOT / "benchmarks" / "results.md").read_text()
    found = re.findall(r"^## (\w+)\n\n(Geometric mean .*)$", text, re.MULTILINE)
    return "\n".join(f"- {precision}: {headline}" for precision, headline in found)


def bench_trained() -> str:
    """List the int8 files of the bench's one model with trained weights."""
    from benchmarks.results import read_results

    results = read_results(ROOT / "benchmarks" / "results.json")
    rows = []
    for model in results.models:
        if model.random_weights:
            continue
        for tool in results.versions:
            entry = model.entry(tool, "int8")
            if entry is None or entry.check is None or entry.check.sqnr_db is None:
                rows.append([tool, f"`{model.model}`", "no file that runs", "–"])
                continue
            sqnr = f"{entry.check.sqnr_db:.1f} dB"
            rows.append([tool, f"`{model.model}`", sqnr, f"{entry.median_ms:.2f} ms"])
    return _table(["converter", "model", "int8 SQNR", "latency"], rows)


MADE: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        glossary,
        recipes,
        range_methods,
        causes,
        commands,
        defaults,
        bench_files,
        bench_latency,
        bench_trained,
    )
}
"""What can stand in a place, by its name."""


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    import click

    yield f"## `{context.command_path.removeprefix(PROGRAM).strip()}`"
    yield from _help(command.help or "")
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            inner = command.commands[name]
            yield from _command(inner, click.Context(inner, parent=context, info_name=name))
        return
    rows = [
        [f"`{_spelled(param, context)}`", _default(param, context), _cell(_about(param))]
        for param in command.params
    ]
    if rows:
        yield _table(["option", "default", "what"], rows)


def _help(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        if kept.startswith("Examples:\n"):
            yield "```\n" + inspect.cleandoc(kept.removeprefix("Examples:\n")) + "\n```"
        else:
            yield kept


def _spelled(param: click.Parameter, context: click.Context) -> str:
    takes = param.make_metavar(context)
    if not param.opts[0].startswith("-"):
        return takes
    spelled = ", ".join([*param.opts, *param.secondary_opts])
    return spelled if getattr(param, "is_flag", False) else f"{spelled} {takes}"


def _default(param: click.Parameter, context: click.Context) -> str:
    if param.required:
        return "*needed*"
    default = param.get_default(context)
    if not getattr(param, "show_default", False) or default is None or default is False:
        return ""
    return f"`{default}`"


def _about(param: click.Parameter) -> str:
    about = str(getattr(param, "help", None) or "")
    return about + " May be given several times." * bool(param.multiple)


def _anchor(term: str) -> str:
    return re.sub(r"\W+", "-", term.lower())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
