from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.attempts import Prepared, Stopwatch, read_attempt, write_record
from benchmarks.stages import Workshop
from benchmarks.tools import PEERS, ROOT, TOOLS, Tool


def prepared(weights: str = "a") -> Prepared:
    return Prepared(
        model="net",
        weights_sha256=weights,
        random_weights=True,
        parameters=1,
        height=4,
        width=4,
        opset=13,
        import_seconds=0.0,
        export_seconds=0.0,
    )


def a_tool(tmp_path: Path, module: str) -> Tool:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("thing==1.0  # why\n")
    return Tool(
        name="thing",
        module=module,
        python=Path(sys.executable),
        requirements=(requirements,),
        sources=(requirements,),
        shown_versions=("thing",),
    )


def workshop(tmp_path: Path, tool: Tool) -> Workshop:
    folder = tmp_path / "net"
    folder.mkdir(exist_ok=True)
    write_record(folder / Prepared.FILE, prepared())
    return Workshop(
        folder=folder, model="net", tools=(tool,), conversions_under="", measurements_under=""
    )


def test_an_attempt_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    def work() -> None:
        try:
            raise KeyError("Frobnicate\nand a long dump")
        except KeyError as error:
            raise RuntimeError("conversion failed") from error

    stopwatch = Stopwatch(folder=tmp_path, key="k", import_seconds=1.0)
    assert stopwatch.attempt("float32", work) is None
    attempt = read_attempt(tmp_path, "float32")
    assert attempt is not None
    assert attempt.failure == r"KeyError: 'Frobnicate\nand a long dump'"
    assert attempt.convert_seconds is None


def test_an_attempt_counts_what_was_done_before(tmp_path: Path) -> None:
    stopwatch = Stopwatch(folder=tmp_path, key="k", import_seconds=1.0)
    assert stopwatch.attempt("int8", lambda: None, seconds_before=30.0) == pytest.approx(30, abs=1)


def test_a_converter_that_dies_becomes_a_row(tmp_path: Path) -> None:
    bench = workshop(tmp_path, a_tool(tmp_path, "benchmarks.no_such_module"))
    bench.convert(bench.tools[0], again=False)
    result = bench.result()
    assert [entry.failure for entry in result.entries] == [
        f"{sys.executable}: No module named benchmarks.no_such_module"
    ] * 2
    assert result.ratio_to_best("float32") is None


def test_what_was_converted_from_the_same_is_not_converted_again(tmp_path: Path) -> None:
    bench = workshop(tmp_path, a_tool(tmp_path, "benchmarks.no_such_module"))
    bench.convert(bench.tools[0], again=False)
    mark = bench.folder / "thing" / "mark"
    mark.touch()
    bench.convert(bench.tools[0], again=False)
    assert mark.is_file()
    bench.convert(bench.tools[0], again=True)
    assert not mark.is_file()


def test_a_key_changes_with_weights_and_pins(tmp_path: Path) -> None:
    tool = a_tool(tmp_path, "x")
    key = tool.key(prepared())
    assert tool.key(prepared()) == key
    assert tool.key(prepared("b")) != key
    assert tool.key(replace(prepared(), opset=14)) != key
    tool.requirements[0].write_text("thing==1.1\n")
    assert tool.key(prepared()) != key


def test_an_absent_environment_is_a_sentence(tmp_path: Path) -> None:
    tool = replace(a_tool(tmp_path, "x"), python=tmp_path / "absent")
    bench = workshop(tmp_path, tool)
    with pytest.raises(SystemExit, match="make bench-peers"):
        bench.convert(tool, again=False)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_versions_shown_are_pinned(tool: Tool) -> None:
    assert set(tool.versions()) == set(tool.shown_versions)


@pytest.mark.parametrize("tool", PEERS, ids=lambda tool: tool.name)
def test_every_package_of_a_peer_is_pinned(tool: Tool) -> None:
    lines = [line for line in tool.requirements[0].read_text().splitlines() if line[:1] != "#"]
    assert all("==" in line for line in lines)
    assert tool.python.parent.parent.parent == ROOT
