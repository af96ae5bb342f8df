from __future__ import annotations

import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.core.errors import FileError, OptionError, RunError
from engine.deployment.description import model_file
from engine.deployment.phone import (
    PhoneTiming,
    add_benchmark,
    benchmark_command,
    benchmark_log,
    benchmarks_of,
    read_timing,
    remove_benchmark,
)
from engine.runs.run import PHONE, Run
from tests.helpers.tiny_run import tiny_run

NEW = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [4]
INFO: Graph: [/data/local/tmp/tiny_int8.tflite]
INFO: Signature to run: []
INFO: #threads used for CPU inference: [4]
INFO: Loaded model /data/local/tmp/tiny_int8.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: The input model file size (MB): 5.26204
INFO: Initialized session in 34.1ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=40 first=14000 curr=12000 min=11900 max=14000 avg=12100 std=300 p5=11950 \
median=12050 p95=12900

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=80 first=12010 curr=11990 min=11800 max=13000 avg=12034.5 std=210 p5=11850 \
median=11990 p95=12500

INFO: Inference timings in us: Init: 34100, First inference: 14000, Warmup (avg): 12100, \
Inference (avg): 12034.5
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE
INFO: Memory footprint delta from the start of the tool (MB): init=5.2 overall=9.1
"""
OLD = """\
Initialized session in 0.896ms
count=215 first=12231 curr=2106 min=2065 max=12231 avg=2331.42 std=746
count=459 first=2143 curr=2101 min=2056 max=2656 avg=2177.1 std=124
Average inference timings in us: Warmup: 2331.42, Init: 896, no stats: 2177.1
"""
LOGCAT = (
    "11-25 03:00:01.123  4711  4711 I tflite  : Average inference timings in us: "
    "Warmup: 91471, Init: 4108, Inference: 80660.1\n"
)


def test_the_output_of_today() -> None:
    assert read_timing(NEW) == PhoneTiming(
        mean_ms=12.0345,
        median_ms=11.99,
        std_ms=0.21,
        first_ms=14.0,
        calls=80,
        threads=4,
        file="tiny_int8.tflite",
        megabytes=5.26204,
        delegate="XNNPACK",
        memory_bytes=9.1 * 2**20,
    )


def test_older_output_and_logcat() -> None:
    assert read_timing(OLD) == PhoneTiming(mean_ms=2.1771, std_ms=0.124, calls=459)
    assert read_timing(LOGCAT) == PhoneTiming(mean_ms=80.6601)


def test_large_numbers_in_exponents_and_windows_line_ends() -> None:
    text = NEW.replace("Inference (avg): 12034.5", "Inference (avg): 2.95034e+06")
    assert read_timing(text.replace("\n", "\r\n")).mean_ms == pytest.approx(2950.34)


def test_of_several_calls_the_last_counts_with_its_own_figures() -> None:
    again = NEW.replace("Num threads: [4]", "Num threads: [1]").replace("count=80", "count=50")
    again = again.replace("CPU inference: [4]", "CPU inference: [1]").replace("12034.5", "30000")
    found = read_timing(NEW + again)
    assert (found.mean_ms, found.threads, found.calls) == (30.0, 1, 50)
    bare = read_timing(NEW + LOGCAT)
    assert (bare.mean_ms, bare.threads, bare.file) == (80.6601, None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty text"),
        ("\n \n", "an empty text"),
        ("My holiday\nwas fine", "begins 'My holiday'"),
        (NEW.partition("INFO: Inference timings")[0], "begins 'INFO: STARTING!'"),
        ("INFO: STARTING!\nERROR: Failed to load model\n", "a run that failed"),
        (OLD.replace("no stats: 2177.1", "no stats: 0"), "'0' as the time"),
        (OLD.replace("no stats: 2177.1", "no stats: nan"), "'nan' as the time"),
        (OLD.replace("no stats: 2177.1", "no stats: -3"), "'-3' as the time"),
        (OLD.replace("no stats: 2177.1", "no stats: 1e999"), "'1e999' as the time"),
    ],
)
def test_other_text_is_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(FileError, match="Reading the output of benchmark_model") as error:
        read_timing(text)
    assert said in str(error.value)


def test_the_command_names_the_kits_file() -> None:
    command = benchmark_command("tiny_int8.tflite", 2)
    assert "--graph=/data/local/tmp/tiny_int8.tflite" in command
    assert "--num_threads=2" in command
    assert command.endswith("| tee benchmark_tiny_int8.txt")


def test_both_shells_read_the_name_of_any_file(tmp_path: Path) -> None:
    name = "my model_int8_mixed(rms=0.0467);'$(x)'.tflite"
    adb = tmp_path / "adb"
    # As adb does it: what follows "shell" is joined by spaces for the shell of the phone.
    adb.write_text('#!/bin/sh\n[ "$1" = push ] && echo "$3" && exit\nshift\neval "echo $*"\n')
    adb.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", benchmark_command(name)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    pushed, _, called = done.stdout.splitlines()
    assert pushed == name
    assert called.startswith(
        f"/data/local/tmp/benchmark_model --graph=/data/local/tmp/{name} --num"
    )
    assert (tmp_path / benchmark_log(name)).read_text() == f"{called}\n"


def test_a_file_in_a_kit_needs_no_quotes(tmp_path: Path) -> None:
    variants = ("int8_mixed(rms=0.0467)", "int8(range=mse,count=100)", "int8")
    names = [model_file(tiny_run(tmp_path / str(n)), name) for n, name in enumerate(variants)]
    assert names == [
        "tiny_int8_mixed_rms_0.0467_.tflite",
        "tiny_int8_range_mse_count_100_.tflite",
        "tiny_int8.tflite",
    ]
    assert all(shlex.quote(name) == name for name in names)


def test_a_timing_is_kept_once_and_can_be_taken_out(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    assert benchmarks_of(run) == ()
    made = add_benchmark(run, "int8", "  a\nphone ", NEW)
    add_benchmark(run, "int8", "a phone", NEW)
    kept = benchmarks_of(run)
    assert [(found.variant, found.phone) for found in kept] == [("int8", "a phone")]
    assert kept[0].timing == made.timing
    remove_benchmark(run, made)
    assert benchmarks_of(run) == ()


def add_some(folder: Path, process: int) -> None:
    """Add five results of this worker, and one that every worker adds."""
    run = Run.open(folder)
    for number in range(5):
        add_benchmark(run, "int8", f"{process} {number}", f"{NEW}process {process}: {number}\n")
        add_benchmark(run, "int8", "shared", NEW)
        benchmarks_of(run)


def test_no_result_of_eight_threads_is_lost(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: add_some(run.folder, number), range(8)))
    phones = sorted(result.phone for result in benchmarks_of(run))
    assert phones == sorted(["shared", *(f"{i} {number}" for i in range(8) for number in range(5))])


def test_a_result_removed_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path / "run")
    add_benchmark(run, "int8", "phone", NEW)
    gone = run.folder / PHONE / "gone.json"
    listed = [*(run.folder / PHONE).glob("*.json"), gone]
    monkeypatch.setattr(Path, "glob", lambda *_: listed)
    assert [found.phone for found in benchmarks_of(run)] == ["phone"]


def test_a_text_about_another_variant_is_refused(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    with pytest.raises(FileError, match="the file of int8"):
        add_benchmark(run, "float32", "phone", NEW)
    with pytest.raises(OptionError, match="int16x8"):
        add_benchmark(run, "int16x8", "phone", NEW)
    assert benchmarks_of(run) == ()


def test_a_damaged_timing_is_told(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run")
    add_benchmark(run, "int8", "phone", NEW)
    next((run.folder / PHONE).glob("*.json")).write_text("{")
    with pytest.raises(RunError, match="a damaged phone/"):
        benchmarks_of(run)
