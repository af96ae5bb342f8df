"""Targets asked about files written by hand, whose answers are known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.core.errors import ConversionError
from engine.portability import catalog
from engine.portability.android_gpu import ask_analyzer
from engine.portability.catalog import choose_targets, targets
from engine.portability.edge_tpu import ask_rules
from engine.portability.ethos_u import CONFIGURATIONS, ask_vela, compile_file, read_cycles
from engine.portability.microcontroller import ask_tflite_micro
from engine.portability.old_runtimes import ask_versions, oldest_runtime
from engine.portability.records import Answer, Question
from engine.tflite.graph import Graph
from tests.helpers.tiny_quantized import FLOAT32, INT8, Builder, healthy
from tests.helpers.tiny_tflite import reshape_file

TINY = healthy(layers=2, channels=8, pictures=2)
NOTHING = np.empty((0,), np.float32)


def asked(folder: Path, content: bytes, pictures: np.ndarray = NOTHING) -> Question:
    file, work = folder / "tiny.tflite", folder / "work"
    file.write_bytes(content)
    work.mkdir()
    return Question(file, pictures, work)


def with_floor_between() -> bytes:
    """Two int8 convolutions with an operator between them that no target here takes in int8."""
    rng, build = np.random.default_rng(3), Builder()
    build.activation("t0", (1, 4, 4, 8), INT8, 0.1)
    kernel = rng.integers(-9, 9, (8, 1, 1, 8)).astype(np.int8)
    bias = np.zeros(8, np.int32)
    scales = np.full(8, 0.01)
    build.convolution(1, kernel, bias, INT8, (0.1, 0), scales, scales * 0.1)
    for builtin, dtype in (
        (schema.BuiltinOperator.DEQUANTIZE, FLOAT32),
        (schema.BuiltinOperator.FLOOR, FLOAT32),
        (schema.BuiltinOperator.QUANTIZE, INT8),
    ):
        before = build.last
        out = build.activation(f"m{builtin}", (1, 4, 4, 8), dtype, 0.1 if dtype == INT8 else None)
        build.operator(builtin, [before], [out])
    build.convolution(2, kernel, bias, INT8, (0.1, 0), scales, scales * 0.1)
    return build.file()


def test_every_module_with_targets_is_in_the_catalogue() -> None:
    names = [target.name for target in targets()]
    assert len(names) == len(set(names))
    assert {"microcontroller", "edge-tpu", "old-runtimes", "cpu", *CONFIGURATIONS} <= set(names)
    assert [target.name for target in choose_targets(["old-runtimes", "cpu"])] == [
        "cpu",
        "old-runtimes",
    ]


def test_a_microcontroller_answers_like_the_reference_kernels(tmp_path: Path) -> None:
    pictures = TINY.pictures.astype(np.float32)
    answer = ask_tflite_micro(asked(tmp_path, TINY.int8_file(), pictures))
    assert answer.support == "whole"
    reference = answer.differences[0]
    assert (reference.kernels, reference.identical, reference.pictures) == ("reference", 2, 2)
    assert reference.largest == 0
    parts = [figure.value for figure in answer.figures if figure.name == "arena" and figure.part]
    arena = answer.figure("arena")
    assert arena is not None
    # The two ends of the arena are the whole of it; the other parts lie in its tail.
    assert sum(parts[:2]) == arena.value
    # Input and widest activation stand at once: 4 × 4 × 8 twice.
    assert arena.value > 2 * 4 * 4 * 8
    assert (arena.how, answer.memory) == ("measured", arena)
    assert "Arena allocation total" in answer.words


def test_a_microcontroller_refuses_a_network_with_int8_weights_alone(tmp_path: Path) -> None:
    build = Builder()
    build.activation("t0", (1, 4, 4, 3), FLOAT32)
    kernel = np.ones((3, 1, 1, 3), np.int8)
    build.convolution(1, kernel, np.zeros(3, np.float32), FLOAT32, scales=[0.1] * 3)
    build.graph.tensors[1].type = INT8
    answer = ask_tflite_micro(asked(tmp_path, build.file()))
    assert answer.support == "refused"
    assert "Hybrid models are not supported" in answer.reason
    assert [(op.opcode, op.name) for op in answer.left] == [("CONV_2D", "t1")]


@pytest.mark.parametrize("configuration", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
def test_figures_are_those_of_velas_own_summary(tmp_path: Path, configuration: str) -> None:
    question = asked(tmp_path, TINY.int8_file())
    answer = ask_vela(question, configuration)
    (file,) = question.folder.glob("*_summary_*.csv")
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert answer.support == "whole"
    assert {figure.how for figure in answer.figures} == {"estimated"}
    time, sram = answer.figure("time"), answer.figure("sram")
    assert time is not None
    assert time.value == pytest.approx(1000 * float(row["inference_time"]))
    assert sram is not None
    assert sram.value == float(row["sram_memory_used"]) * 1024
    stored = {name: answer.figure(name) for name in ("dram", "flash")}
    flash = float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
    for name, kibibytes in (("dram", float(row["dram_memory_used"])), ("flash", flash)):
        figure = stored[name]
        assert (0 if figure is None else figure.value) == kibibytes * 1024
    # The two convolutions; the second one's are not the first one's.
    assert set(answer.cycles) == {0, 1}
    assert sum(answer.cycles.values()) == float(row["cycles_total"])
    assert "Performance for NPU" not in answer.words


def test_an_npu_leaves_an_operator_behind_and_says_which(tmp_path: Path) -> None:
    answer = ask_vela(asked(tmp_path, with_floor_between()), "ethos-u55-128")
    assert answer.support == "part"
    assert [op.opcode for op in answer.left] == ["DEQUANTIZE", "FLOOR", "QUANTIZE"]
    assert all(op.reason for op in answer.left)
    assert set(answer.cycles) == {0, 4}


def test_operators_that_vela_adds_count_to_that_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "per-layer.csv"
    file.write_text(
        "Target,Op Cycles,Name\nNPU,5,t1\nNPU,7,t1\nNPU,11,t2_intermediate_0\nCPU,0,t2\n"
        "NPU,13,elsewhere\n"
    )
    assert read_cycles(file, Graph(TINY.int8_file())) == {0: 12.0, 1: 11.0}


def test_a_file_is_compiled_for_an_npu(tmp_path: Path) -> None:
    question = asked(tmp_path, TINY.int8_file())
    compiled = Graph(compile_file(question, "ethos-u55-128").read_bytes())
    assert [operator.opcode for operator in compiled.operators] == ["ethos-u"]


def test_a_file_that_the_npu_does_not_run_is_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no operator on the NPU"):
        compile_file(asked(tmp_path, TINY.float_file()), "ethos-u55-128")


def test_an_npu_refuses_a_float_file(tmp_path: Path) -> None:
    answer = ask_vela(asked(tmp_path, TINY.float_file()), "ethos-u55-128")
    assert answer.support == "refused"
    assert "unsupported DataType Float32" in answer.reason
    assert [op.opcode for op in answer.left] == ["CONV_2D"] * 2
    assert answer.figures == ()


def test_the_edge_tpu_is_cut_once(tmp_path: Path) -> None:
    answer = ask_rules(asked(tmp_path, with_floor_between()))
    assert answer.support == "part"
    # The second convolution would fit, but stands behind the cut.
    assert [op.opcode for op in answer.left] == ["DEQUANTIZE", "FLOOR", "QUANTIZE", "CONV_2D"]
    assert "FLOOR is not among the supported operators" in answer.left[1].reason


def test_the_edge_tpu_takes_an_int8_file_whole(tmp_path: Path) -> None:
    assert ask_rules(asked(tmp_path, TINY.int8_file())).support == "whole"


def test_the_edge_tpu_refuses_a_float_file(tmp_path: Path) -> None:
    answer = ask_rules(asked(tmp_path, TINY.float_file()))
    assert (answer.support, answer.reason) == (
        "refused",
        "Operators compute in float32, not in 8 bits.",
    )


@pytest.mark.parametrize(
    ("opcode", "version", "release"),
    [
        ("CONV_2D", 3, (1, 14)),
        ("FULLY_CONNECTED", 12, (2, 17)),
        ("BROADCAST_TO", 1, None),
        ("CONV_2D", 99, None),
        ("UNHEARD_OF", 1, None),
    ],
)
def test_the_oldest_runtime_of_an_operator(
    opcode: str, version: int, release: tuple[int, int] | None
) -> None:
    assert oldest_runtime(opcode, version) == release


def test_the_oldest_runtime_of_a_file_is_that_of_its_newest_operator(tmp_path: Path) -> None:
    answer = ask_versions(asked(tmp_path, TINY.int8_file()))
    assert answer.support == "whole"
    assert answer.reason == "From TFLite 2.4 on, for CONV_2D version 5."


def test_the_gpu_delegate_refuses_by_the_analyzer(tmp_path: Path) -> None:
    file = reshape_file(tmp_path / "a.tflite", (1, 4, 4, 3))
    assert ask_analyzer(Question(file, NOTHING, tmp_path)).support == "whole"
    answer = ask_analyzer(asked(tmp_path, with_floor_between()))
    assert answer.support in {"whole", "part"}
    assert "GPU" in answer.words


def test_a_missing_tool_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    (target,) = choose_targets(["microcontroller"])
    assert catalog.has_tool(target)
    monkeypatch.setattr(catalog, "find_spec", lambda _: None)
    assert not catalog.has_tool(target)
    assert "pip install" in target.todo


def test_the_memory_of_an_answer_is_that_of_its_target() -> None:
    assert Answer(support="refused").memory is None
    assert Answer(support="refused").left_names == ""
