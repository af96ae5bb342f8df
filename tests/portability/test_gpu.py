"""This machine's GPU: a software adapter, none, and a driver that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from engine.core.errors import ConversionError
from engine.portability import gpu
from engine.portability.catalog import choose_targets, tool_version
from engine.portability.gpu import ask_webgpu
from engine.portability.records import Answer, Question
from tests.helpers.software_gpu import use_no_gpu, use_software_gpu
from tests.helpers.tiny_quantized import FLOAT32, Builder, healthy

TINY = healthy(layers=2, channels=4, pictures=3)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's own variables name the folder of the package."""
    monkeypatch.setenv("PYTHONPATH", str(Path(gpu.__file__).parents[2]))


def asked(folder: Path, content: bytes) -> Answer:
    file, work = folder / "tiny.tflite", folder / "work"
    file.write_bytes(content)
    work.mkdir()
    return ask_webgpu(Question(file, TINY.pictures.astype(np.float32), work))


def test_a_software_adapter_is_said_so_and_not_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_software_gpu(monkeypatch)
    answer = asked(tmp_path, TINY.float_file())
    assert (answer.support, answer.operators, answer.figures) == ("whole", 2, ())
    assert "SwiftShader" in answer.software
    assert "is a software adapter: the CPU plays the GPU" in answer.reason
    (difference,) = answer.differences
    assert (difference.kernels, difference.pictures, difference.unit) == ("XNNPACK", 3, "logits")
    assert difference.largest is not None
    assert difference.largest < 1e-4


def test_integers_are_compared_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_software_gpu(monkeypatch)
    answer = asked(tmp_path, TINY.int8_file())
    (difference,) = answer.differences
    assert (answer.support, difference.unit) == ("whole", "steps")
    assert difference.largest is not None
    assert difference.largest <= 1


def test_operators_that_the_accelerator_leaves_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_software_gpu(monkeypatch)
    build = Builder()
    build.activation("t0", (1, 4, 4, 3), FLOAT32)
    kernel = np.ones((3, 1, 1, 3), np.float32)
    build.convolution(1, kernel, np.zeros(3, np.float32), FLOAT32)
    out = build.activation("t2", (1, 4, 4, 3), FLOAT32)
    build.operator(schema.BuiltinOperator.LOG_SOFTMAX, [build.last], [out])
    build.model.operatorCodes[-1].version = 1
    build.convolution(3, kernel, np.zeros(3, np.float32), FLOAT32)
    answer = asked(tmp_path, build.file())
    assert answer.support == "part"
    assert [(op.opcode, op.name) for op in answer.left] == [("LOG_SOFTMAX", "t2")]
    assert answer.reason.startswith("Operation is not supported. SwiftShader")


def test_without_an_adapter_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_no_gpu(monkeypatch)
    answer = asked(tmp_path, TINY.float_file())
    assert (answer.support, answer.reason, answer.todo) == (
        "not_asked",
        "LiteRT finds no GPU on this machine, so nothing was asked.",
        "Install the Vulkan driver of the GPU.",
    )


def test_a_new_driver_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    (target,) = choose_targets(["gpu"])
    before = tool_version(target)
    monkeypatch.setenv("VK_DRIVER_FILES", "/another.json")
    assert tool_version(target) != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("kill -SEGV $$", "the end of the process by signal SIGSEGV, as a driver does that fails"),
        ("exit 134", "the end of the process by exit code 134"),
        ("exec sleep 60", "no end of LiteRT within 0.3 s"),
    ],
)
def test_a_driver_that_fails_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, message: str
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{lines}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(gpu, "_SECONDS", 0.3)
    with pytest.raises(ConversionError, match=message):
        asked(tmp_path, TINY.float_file())


def test_a_real_adapter_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = "I0000 environment.cc:532] Selected adapter: Radeon 780M, arch=rdna-3, vendor=amd, "
    record = gpu.Measured(load=900.0, first_call=12.0, time=3.5, whole=True)

    def ran(question: Question) -> tuple[bool, str]:
        np.save(question.folder / "outputs.npy", np.zeros((1, 1, 4, 4, 4), np.float32))
        (question.folder / "measured.json").write_bytes(msgspec.json.encode(record))
        return False, f"{log}backend=Vulkan, adapterType=Integrated GPU\nINFO: noise"

    monkeypatch.setattr(gpu, "_run", ran)
    answer = asked(tmp_path, TINY.float_file())
    assert (answer.software, answer.reason) == ("", "The GPU is Radeon 780M.")
    figures = {figure.name: (figure.value, figure.how) for figure in answer.figures}
    assert figures == {
        "load": (900.0, "measured"),
        "first_call": (12.0, "measured"),
        "time": (3.5, "measured"),
    }
    assert "Radeon 780M" in answer.figures[0].by
    assert "noise" not in answer.words
