from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tree_sitter_kotlin
import tree_sitter_swift
from tree_sitter import Language, Parser

from engine.core.types import Layout
from engine.deployment.description import ModelDescription
from engine.deployment.documents import snippets
from engine.deployment.kit import CARD
from engine.images.preprocess import CHANNELS, ChannelOrder, Interpolation, ResizeRule
from engine.networks.source import PreprocessOrigin
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from tests.deployment.test_script import EDGES
from tests.helpers import kits
from tests.helpers.factories import memory_use
from tests.helpers.kits import SPEC, kit_of, run_of

GRAMMARS = {".kt": tree_sitter_kotlin.language(), ".swift": tree_sitter_swift.language()}
SNIPPETS = ("android/ModelSpec.kt", "android/Classifier.kt", "ios/Classifier.swift")


def wrong_places(kit: Path, name: str) -> list[str]:
    """Lines of a snippet that its grammar does not read."""
    source = (kit / name).read_bytes()
    tree = Parser(Language(GRAMMARS[Path(name).suffix])).parse(source)
    waiting, found = [tree.root_node], []
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            found.append(source.splitlines()[node.start_point[0]].decode())
        waiting.extend(node.children)
    return found


@pytest.mark.parametrize(("dtype", "layout"), EDGES)
def test_snippets_are_kotlin_and_swift(
    tmp_path: Path, photos: Path, dtype: str, layout: Layout
) -> None:
    kit = kit_of(run_of(tmp_path / "run", dtype, layout), photos, tmp_path / "kit")
    for name in SNIPPETS:
        assert wrong_places(kit, name) == []
    bare = run_of(tmp_path / "bare", dtype, layout, labels=None)
    kit = kit_of(bare, photos, tmp_path / "bare_kit")
    for name in SNIPPETS:
        assert wrong_places(kit, name) == []
        assert "labels.txt" not in (kit / name).read_text()


@pytest.mark.parametrize("order", ["RGB", "BGR", "L", "RGBA"])
@pytest.mark.parametrize("resize", ["shorter_side", "squash", "letterbox"])
def test_snippets_of_every_kind_of_input(
    tmp_path: Path, photos: Path, order: ChannelOrder, resize: ResizeRule
) -> None:
    kit = kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")
    described = msgspec.convert(json.loads((kit / "model.json").read_text()), ModelDescription)
    values = (0.5,) * CHANNELS[order]
    spec = replace(SPEC, channel_order=order, resize=resize, mean=values, std=values)
    shape = (2, SPEC.height, SPEC.width, spec.channels)
    model = replace(described, preprocess=spec, input=replace(described.input, shape=shape))
    for name, text in snippets(model).items():
        (kit / name).write_text(text)
        assert wrong_places(kit, name) == []
        assert ("19595" in text) is (order == "L" and "class Classifier(" not in text)
    swift = (kit / "ios/Classifier.swift").read_text()
    assert "Array($0.bindMemory(to: Int8.self).prefix(classes))" in swift
    pixels = 2 * SPEC.height * SPEC.width
    specified = (kit / "android/ModelSpec.kt").read_text()
    assert numbers(specified, "INPUT_BYTES") == [pixels * spec.channels]
    assert "repeat(2)" in specified


@pytest.mark.parametrize("scores", ["logits", "probabilities"])
@pytest.mark.parametrize("labels", ["labels.txt", None])
def test_snippets_of_one_output_show_two_answers(
    tmp_path: Path, photos: Path, scores: str, labels: str | None
) -> None:
    kit = kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")
    described = json.loads((kit / "model.json").read_text())
    described |= {"classes": 1, "scores": scores, "labels": labels}
    for name, text in snippets(msgspec.convert(described, ModelDescription)).items():
        (kit / name).write_text(text)
        assert wrong_places(kit, name) == []
        assert ("1 / (1 + exp(-scores[0]))" in text) is (
            scores == "logits" and "class Classifier(" not in text
        )
        assert ("shares(ModelSpec.scores(" in text or "ModelSpec.shares(scores)" in text) is (
            "ModelSpec.kt" not in name
        )


def test_a_snippet_that_is_none_is_found(tmp_path: Path, photos: Path) -> None:
    kit = kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")
    for name in SNIPPETS:
        text = (kit / name).read_text()
        (kit / name).write_text(text.replace("return", "return )", 1))
        assert wrong_places(kit, name) != []


def numbers(text: str, name: str) -> list[float]:
    """Numbers that a snippet gives to a name, as float32."""
    line = next(line for line in text.splitlines() if re.search(rf"\b{name}\b.* = ", line))
    said = line.partition(" = ")[2]
    return [float(np.float32(found)) for found in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", said)]


@pytest.mark.parametrize(
    ("file", "names"),
    [
        (
            "android/ModelSpec.kt",
            ("PIXEL_SCALE", "MEAN", "STD", "INPUT_SCALE", "INPUT_ZERO_POINT", "OUTPUT_SCALE"),
        ),
        (
            "ios/Classifier.swift",
            ("pixelScale", "mean", "std", "inputScale", "inputZeroPoint", "outputScale"),
        ),
    ],
)
def test_snippets_have_this_models_numbers(
    tmp_path: Path, photos: Path, file: str, names: tuple[str, ...]
) -> None:
    text = (kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit") / file).read_text()
    expected = ((1 / 255,), SPEC.mean, SPEC.std, (0.05,), (0,), (0.05,))
    for name, values in zip(names, expected, strict=True):
        assert numbers(text, name) == [float(np.float32(value)) for value in values], name
    assert "int8" in text


def test_the_card_tells_the_memory_that_was_measured(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = memory_use({"int8": 15_260_000.0})
    monkeypatch.setattr(kits, "read_memory", lambda _: use)
    kit = kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")
    card = (kit / "MODEL_CARD.md").read_text()
    assert "| Peak memory | 15.3\xa0MB above that of an empty file, on LiteRT 9, one th" in card
    assert "| Load time | 2.0\xa0ms, median of several |" in card


def test_the_card_tells_what_was_measured(tmp_path: Path, photos: Path) -> None:
    run = run_of(tmp_path / "run", "int8")
    kit = kit_of(run, photos, tmp_path / "kit")
    card = (kit / "MODEL_CARD.md").read_text()
    assert "| Same answer | 5 of 5 (95\xa0% interval 56 to 100\xa0%) |" in card
    assert "| | input (NHWC, BGR) | output (logits) |" in card
    assert "| shape | 1 × 4 × 4 × 3 | 1 × 48 |" in card
    assert "| scale | 0.0500000007 | 0.0500000007 |" in card
    assert "mean 0.1, 0.2, 0.3, std 0.5, 0.6, 0.7" in card
    assert "An output may differ by 1 step;" in card
    assert "100 crops of the supplied pictures (demo calibration), seed 0" in card
    assert "| Time of one call | not measured; `python -m engine latency` does it |" in card
    assert "| Peak memory | not measured; " in card
    described = json.loads((kit / "model.json").read_text())
    assert described["sha256"] in card
    assert f"--graph=/data/local/tmp/{described['file']}" in card
    for name in (*SNIPPETS, "run_model.py", "labels.txt", "golden.npz"):
        assert f"| `{name}` |" in card


@pytest.mark.parametrize(
    ("interpolation", "words"), [("nearest", "(nearest)"), ("box", "(box, anti-aliased)")]
)
def test_the_card_calls_no_nearest_pixel_anti_aliased(
    tmp_path: Path, photos: Path, interpolation: Interpolation, words: str
) -> None:
    run = run_of(tmp_path / "run", "int8")
    preprocess = replace(run.manifest.preprocess, interpolation=interpolation)
    (run.folder / FILE_NAME).write_bytes(replace(run.manifest, preprocess=preprocess).to_json())
    assert words in (kit_of(Run.open(run.folder), photos, tmp_path / "kit") / CARD).read_text()


def test_commands_of_the_card_are_for_a_shell_and_name_no_home(
    tmp_path: Path, photos: Path
) -> None:
    run = run_of(tmp_path / "run", "int8")
    command = (
        "python -m engine convert --onnx '../my models/a(1).onnx' "
        "--variants 'int8_mixed(rms=0.0467)' --calibration '/home/me/my photos' --out /home/me/x"
    )
    origin = PreprocessOrigin(how="confirmed", given=("channel_order",))
    manifest = replace(run.manifest, command=command, preprocess_origin=origin)
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    card = (kit_of(Run.open(run.folder), photos, tmp_path / "kit") / "MODEL_CARD.md").read_text()
    assert "confirmed by the person who converted the model: channel order " in card
    lines = [line[4:] for line in card.splitlines() if line.startswith("    ")]
    assert shlex.split(lines[-1])[-7:] == [
        "a(1).onnx",
        "--variants",
        "int8_mixed(rms=0.0467)",
        "--calibration",
        "my photos",
        "--out",
        "x",
    ]
    assert "/home" not in card
    subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=True)
    assert {"pip install ai-edge-litert numpy", "pip install pillow"} < set(lines)
