"""Gates: how sizes are read, which are missed, and targets that variants have to run on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine import api
from engine.cli.gates import (
    Gate,
    Gates,
    SizeGateType,
    find_missed_gates,
    find_missed_targets,
    read_size,
)
from engine.cli.main import main
from engine.core.errors import OptionError
from engine.core.formats import with_plain_spaces
from engine.portability.records import (
    Answer,
    Cell,
    Figure,
    LeftOperator,
    TargetMatrix,
    TargetTitle,
)
from tests.helpers.factories import LOGITS, comparison, memory_use
from tests.helpers.tiny_run import tiny_run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500KB", 500_000),
        ("50MB", 50_000_000),
        ("1.5GB", 1_500_000_000),
        ("500KiB", 512_000),
        ("1.5MiB", 1_572_864),
        ("1GiB", 1_073_741_824),
    ],
)
def test_sizes_are_read_in_bytes(text: str, expected: int) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "50", "MB", "50 MB", "50mb", "50M", "50B", "0MB", "-1MB", "+1MB", "1e3KB", ".5MB", "5.MB"],
)
def test_a_size_that_is_written_otherwise_is_refused(text: str) -> None:
    _expect_refusal(text)


@pytest.mark.parametrize("text", ["nanMB", "infMB", "٥MB", "50MB\n", "1,5MB", f"{'9' * 400}MB"])
def test_a_size_that_is_no_finite_decimal_number_is_refused(text: str) -> None:
    _expect_refusal(text)


def _expect_refusal(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_size(text)
    assert text in caught.value.got
    assert "KiB" in caught.value.expected


def test_a_gate_of_a_size_names_a_variant() -> None:
    assert SizeGateType()("int8=48MiB") == ("int8", 50_331_648)


@pytest.mark.parametrize(
    ("peak", "missed"),
    [
        (50_000_000, []),
        (50_000_100, ["int8: peak memory is 50.0001 MB, the gate asks for at most 50 MB"]),
        (math.nan, ["int8: peak memory is nan MB, the gate asks for at most 50 MB"]),
        (None, ["int8: peak memory is –, the gate asks for at most 50 MB"]),
    ],
)
def test_a_gate_on_memory(peak: float | None, missed: list[str]) -> None:
    compared = comparison(
        {"int8": LOGITS}, memory=memory_use({} if peak is None else {"int8": peak})
    )
    assert find_missed_gates(compared, Gates(max_memory=(("int8", 50e6),))) == missed


def test_compare_measures_the_memory_that_it_has_a_gate_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def targets(_run: object, *, targets: Any, variants: Any, **_: Any) -> None:
        asked.append((tuple(targets), tuple(variants)))
        raise OptionError("Asking", got="a question", expected="to see it alone", todo="End.")

    monkeypatch.setattr(api, "targets", targets)
    tiny_run(tmp_path / "run")
    command = ["compare", "--run", str(tmp_path / "run"), "--images", str(tmp_path)]
    assert main([*command, "--max-memory", "int8=50MB"]) == 2
    assert asked == [(("cpu",), ("int8",))]


def answered(**answers: Answer) -> TargetMatrix:
    return TargetMatrix(
        run="r",
        variants=tuple(answers),
        targets=(TargetTitle("ethos-u55-256", "Ethos-U55, 256 MACs", "estimated", "Vela"),),
        sizes=dict.fromkeys(answers, 100),
        cells=tuple(Cell(name, "ethos-u55-256", answer) for name, answer in answers.items()),
    )


SRAM = (Figure("sram", 500_400, "estimated", "Vela"),)
WHOLE = Answer(support="whole", figures=SRAM)


@pytest.mark.parametrize(
    ("answer", "limits", "sentence"),
    [
        (WHOLE, (), None),
        (WHOLE, (("int8", 500_400.0),), None),
        (
            WHOLE,
            (("int8", 500_000.0),),
            "int8: SRAM on Ethos-U55 (256 MACs) is 500.4 KB, the gate asks for at most 500.0 KB",
        ),
        (
            Answer(support="whole"),
            (("int8", 5e5),),
            "int8: memory on Ethos-U55 (256 MACs) is –, the gate asks for at most 500.0 KB",
        ),
        (
            Answer(support="refused", reason="No operator runs on the NPU."),
            (("int8", 5e5),),
            "int8: refused on Ethos-U55 (256 MACs): No operator runs on the NPU",
        ),
        (
            Answer(support="part", reason="No floats.", left=(LeftOperator("PAD", "x", "No"),)),
            (),
            "int8: runs in part on Ethos-U55 (256 MACs), without PAD: No floats",
        ),
        (
            Answer(support="not_asked", reason="Vela is not installed.", todo="Install it."),
            (),
            "int8: not known whether it runs on Ethos-U55 (256 MACs): Vela is not installed. "
            "Install it",
        ),
    ],
)
def test_a_variant_has_to_run_whole_within_its_memory(
    answer: Answer, limits: tuple[Gate, ...], sentence: str | None
) -> None:
    missed = find_missed_targets(answered(int8=answer), limits)
    assert [with_plain_spaces(text) for text in missed] == ([] if sentence is None else [sentence])


@pytest.mark.slow
def test_a_target_is_a_gate_of_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (4, 4), (200, 20, 20)).save(photos / "a.png")
    folder = tiny_run(tmp_path / "run").folder
    command = ["compare", "--run", str(folder), "--images", str(photos), "--target", "edge-tpu"]
    assert main([*command, "--variants", "int8"]) == 0
    assert main([*command, "--min-agreement", "int8=0"]) == 0
    capsys.readouterr()
    assert main(command) == 1
    assert "Gate missed: float32: refused on a Coral Edge TPU" in capsys.readouterr().err
    assert main([*command, "--max-arena", "int8=1KB"]) == 1
    assert "int8: memory on a Coral Edge TPU is –" in capsys.readouterr().err
    assert main([*command[:-2], "--max-arena", "int8=1KB"]) == 2
    assert "--max-arena without a target" in capsys.readouterr().err
    assert main([*command[:-1], "toaster"]) == 2
    assert "'toaster'" in capsys.readouterr().err
