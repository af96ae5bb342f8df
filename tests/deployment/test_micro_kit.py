"""Kits for a microcontroller: their sources compiled and run with a stand-in for TFLite Micro."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tree_sitter_cpp
from PIL import Image
from tree_sitter import Language, Parser

import engine
from engine.cli.main import main
from engine.core.checksums import digest_of_file
from engine.core.errors import ConversionError, EngineError, OptionError
from engine.deployment import micro_kit
from engine.deployment.kit import DeployRequest
from engine.deployment.micro_kit import README, run_micro_kit
from engine.deployment.micro_sources import MicroModel, resolver_function, write_sources
from engine.images.pictures import pictures_in
from engine.portability.microcontroller import Shown
from engine.portability.records import Answer, LeftOperator
from engine.runs.run import Run
from tests.helpers.kits import run_of
from tests.helpers.tiny_run import CLASSES, tiny_run

# Of micro_mutable_op_resolver.h in tensorflow/tflite-micro, August 2026: all that add an operator
# of the schema, as one line of opcodes by the function's name.
RESOLVER = """
Abs ABS|Add ADD|AddN ADD_N|ArgMax ARG_MAX|ArgMin ARG_MIN|AssignVariable ASSIGN_VARIABLE
AveragePool2D AVERAGE_POOL_2D|BatchMatMul BATCH_MATMUL|BatchToSpaceNd BATCH_TO_SPACE_ND
BroadcastArgs BROADCAST_ARGS|BroadcastTo BROADCAST_TO|CallOnce CALL_ONCE|Cast CAST|Ceil CEIL
Concatenation CONCATENATION|Conv2D CONV_2D|Cos COS|CumSum CUMSUM|DepthToSpace DEPTH_TO_SPACE
DepthwiseConv2D DEPTHWISE_CONV_2D|Dequantize DEQUANTIZE|Div DIV
DynamicUpdateSlice DYNAMIC_UPDATE_SLICE|EmbeddingLookup EMBEDDING_LOOKUP|Elu ELU|Equal EQUAL
Exp EXP|ExpandDims EXPAND_DIMS|Fill FILL|Floor FLOOR|FloorDiv FLOOR_DIV|FloorMod FLOOR_MOD
FullyConnected FULLY_CONNECTED|Gather GATHER|GatherNd GATHER_ND|Greater GREATER
GreaterEqual GREATER_EQUAL|HardSwish HARD_SWISH|If IF|L2Normalization L2_NORMALIZATION
L2Pool2D L2_POOL_2D|LeakyRelu LEAKY_RELU|Less LESS|LessEqual LESS_EQUAL|Log LOG
LogicalAnd LOGICAL_AND|LogicalNot LOGICAL_NOT|LogicalOr LOGICAL_OR|Logistic LOGISTIC
LogSoftmax LOG_SOFTMAX|Maximum MAXIMUM|MaxPool2D MAX_POOL_2D|MirrorPad MIRROR_PAD|Mean MEAN
Minimum MINIMUM|Mul MUL|Neg NEG|NotEqual NOT_EQUAL|Pack PACK|Pad PAD|PadV2 PADV2|Prelu PRELU
Quantize QUANTIZE|ReadVariable READ_VARIABLE|ReduceAll REDUCE_ALL|ReduceMax REDUCE_MAX
ReduceMin REDUCE_MIN|Relu RELU|Relu6 RELU6|Reshape RESHAPE|ResizeBilinear RESIZE_BILINEAR
ResizeNearestNeighbor RESIZE_NEAREST_NEIGHBOR|ReverseV2 REVERSE_V2|Round ROUND|Rsqrt RSQRT
SelectV2 SELECT_V2|Shape SHAPE|Sin SIN|Slice SLICE|Softmax SOFTMAX
SpaceToBatchNd SPACE_TO_BATCH_ND|SpaceToDepth SPACE_TO_DEPTH|Split SPLIT|SplitV SPLIT_V
Squeeze SQUEEZE|Sqrt SQRT|Square SQUARE|SquaredDifference SQUARED_DIFFERENCE
StridedSlice STRIDED_SLICE|Sub SUB|Sum SUM|Svdf SVDF|Tanh TANH|TransposeConv TRANSPOSE_CONV
Transpose TRANSPOSE|Unpack UNPACK|UnidirectionalSequenceLSTM UNIDIRECTIONAL_SEQUENCE_LSTM
VarHandle VAR_HANDLE|While WHILE|ZerosLike ZEROS_LIKE
"""
FUNCTIONS = {
    opcode: f"Add{name}"
    for name, opcode in (entry.split() for entry in re.split(r"[|\n]", RESOLVER.strip()))
}
SOURCES = ("main.cc", "model.cc", "golden.cc")
HEADERS = (
    "micro/micro_interpreter.h",
    "micro/micro_log.h",
    "micro/micro_mutable_op_resolver.h",
    "micro/system_setup.h",
    "schema/schema_generated.h",
)
STAND_IN = """\
#pragma once
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#define TFLITE_SCHEMA_VERSION 3
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TfLiteTensor {
  union { char* raw; } data;
  size_t bytes;
};
inline void MicroPrintf(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vprintf(format, values);
  va_end(values);
  std::puts("");
}
namespace tflite {
inline void InitializeTarget() {}
struct Model {
  uint32_t version() const { return SCHEMA; }
};
inline const Model* GetModel(const void* content) { return static_cast<const Model*>(content); }
template <unsigned int kMost>
class MicroMutableOpResolver {
 public:
FUNCTIONS
 private:
  TfLiteStatus Count() { return ++count_ <= kMost ? kTfLiteOk : kTfLiteError; }
  unsigned int count_ = 0;
};
class MicroInterpreter {  // answers with its input
 public:
  template <unsigned int kMost>
  MicroInterpreter(const Model*, const MicroMutableOpResolver<kMost>&, uint8_t* arena, size_t size)
      : enough_(size >= ARENA) {
    tensor_.data.raw = reinterpret_cast<char*>(arena);
    tensor_.bytes = BYTES;
  }
  TfLiteStatus AllocateTensors() { return enough_ ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Invoke() { return kTfLiteOk; }
  TfLiteTensor* input(size_t) { return &tensor_; }
  TfLiteTensor* output(size_t) { return &tensor_; }
  size_t arena_used_bytes() const { return ARENA; }
 private:
  bool enough_;
  TfLiteTensor tensor_;
};
}  // namespace tflite
"""


def compile_and_run(
    kit: Path, work: Path, *, schema: int = 3, size: int = CLASSES, arena: int = 1
) -> str:
    """Compile the sources of a kit as they are, run the program, and return what it prints."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    work.mkdir()
    functions = (f"  TfLiteStatus {name}() {{ return Count(); }}" for name in FUNCTIONS.values())
    (work / "stand_in.h").write_text(STAND_IN.replace("FUNCTIONS", "\n".join(functions)))
    for name in HEADERS:
        header = work / "tensorflow" / "lite" / name
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text('#include "stand_in.h"\n')
    values = {"SCHEMA": schema, "BYTES": size, "ARENA": arena}
    words = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{kit}", f"-I{work}"]
    words += [f"-D{name}={value}" for name, value in values.items()]
    sources = [str(kit / name) for name in SOURCES]
    subprocess.run([*words, *sources, "-o", str(work / "golden")], check=True)
    ended = subprocess.run([str(work / "golden")], capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) is ("PASSED" in ended.stdout)
    return ended.stdout


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked kit of a model that gives its picture back."""
    folder = tmp_path_factory.mktemp("micro")
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(3)
    for index in range(3):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"photo_{index}.png")
    words = ["--run", str(tiny_run(folder / "run").folder), "--variant", "int8"]
    words += ["--images", str(photos), "--target", "microcontroller"]
    assert main(["deploy", *words, "--out", str(folder / "kit.zip")]) == 0
    with zipfile.ZipFile(folder / "kit.zip") as archive:
        archive.extractall(folder / "kit")
    return folder / "kit"


@pytest.fixture
def kit(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "kit"))


def test_functions_are_those_of_the_resolver() -> None:
    assert {opcode: resolver_function(opcode) for opcode in FUNCTIONS} == FUNCTIONS


@pytest.mark.parametrize("opcode", ["CUSTOM", "FlexErf", "ethos-u"])
def test_custom_operators_have_no_function(opcode: str) -> None:
    with pytest.raises(OptionError, match="custom operator"):
        resolver_function(opcode)


@pytest.mark.slow
def test_the_program_passes_and_says_what_it_used(kit: Path, tmp_path: Path) -> None:
    lines = compile_and_run(kit, tmp_path / "work").splitlines()
    assert lines[-1] == "PASSED: golden set of 3 pictures"
    assert "picture 2: largest difference 0" in lines
    assert re.fullmatch(r"arena: 1 of \d+ bytes used", lines[0])


def test_the_program_fails_on_another_answer(kit: Path, tmp_path: Path) -> None:
    text = (kit / "golden.cc").read_text()
    start = text.index("kGoldenOutputs")
    (kit / "golden.cc").write_text(text[:start] + re.sub(r"-?\d+,", "101,", text[start:], count=1))
    assert "FAILED: 1 of 3 pictures are off by more than 1" in compile_and_run(kit, tmp_path / "w")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"schema": 4}, "version 4 of the schema, this TFLite Micro reads 3"),
        ({"size": 7}, "the golden set is of another model"),
        ({"arena": 1 << 30}, "does not do: raise kArenaBytes"),
    ],
)
def test_the_program_says_what_is_wrong(
    kit: Path, tmp_path: Path, option: dict[str, int], words: str
) -> None:
    assert words in compile_and_run(kit, tmp_path / "work", **option).splitlines()[-1]


def test_every_function_of_the_resolver_is_added_once(kit: Path, tmp_path: Path) -> None:
    model = MicroModel(
        variant="int8",
        content=b"\x00\x01" * 30,
        operators=tuple(FUNCTIONS),
        arena=100,
        pictures=("a", "b"),
        inputs=np.full((2, CLASSES), -128, np.int8),
        outputs=np.full((2, CLASSES), -128, np.int8),
        tolerance=2,
    )
    for name, text in write_sources(model).items():
        (kit / name).write_text(text)
    assert f"MicroMutableOpResolver<{len(FUNCTIONS)}>" in (kit / "model.h").read_text()
    assert "PASSED" in compile_and_run(kit, tmp_path / "work")


@pytest.mark.parametrize("source", ["model.h", "golden.h", *SOURCES])
def test_sources_are_read_by_the_grammar(original: Path, source: str) -> None:
    """The package of TFLite Micro brings no headers, so the grammar reads what needs them."""
    parser = Parser(Language(tree_sitter_cpp.language()))
    assert not parser.parse((original / source).read_bytes()).root_node.has_error
    broken = (original / source).read_bytes().replace(b";", b"(;", 1)
    assert parser.parse(broken).root_node.has_error


def test_the_kit_holds_the_variants_own_file(original: Path) -> None:
    readme = (original / README).read_text()
    (file,) = original.glob("*.tflite")
    assert f"SHA-256 of `{file.name}` | `{digest_of_file(file)}`" in readme
    for name in (*SOURCES, "model.h", "golden.h", "model.json"):
        assert f"| `{digest_of_file(original / name)}` |" in readme
    text = (original / "model.cc").read_text()
    numbers = re.findall(r"\d+(?=,)", text[text.index("{") :])
    assert bytes(map(int, numbers)) == file.read_bytes()
    header = (original / "model.h").read_text()
    assert "AddReshape" in header
    assert "10 percent\n// are added" in header
    assert all((original / name).read_text().isascii() for name in SOURCES)
    (used,) = map(int, re.findall(r"used (\d+) bytes", header))
    (reserved,) = map(int, re.findall(r"kArenaBytes = (\d+)", header))
    assert reserved % 1024 == 0
    assert used * 1.1 <= reserved < used * 1.1 + 1024
    described = json.loads((original / "model.json").read_text())
    assert described["golden"]["tolerance"] == 1
    assert described["golden"]["kernels"][0]["largest"] == 0


def refusal(run: Run, photos: Path, variant: str = "int8") -> EngineError:
    with pytest.raises(EngineError) as refused:
        engine.deploy(run, variant, photos, target="microcontroller")
    return refused.value


def test_float_edges_are_refused_with_what_to_take(tmp_path: Path, photos: Path) -> None:
    error = refusal(tiny_run(tmp_path / "run"), photos, "float32")
    assert (error.exit_code, error.todo) == (2, "Take int8.")
    run = run_of(tmp_path / "other", "float32")
    assert f"convert --target microcontroller --out {run.folder}" in refusal(run, photos).todo


def test_several_pictures_a_call_are_refused(tmp_path: Path, photos: Path) -> None:
    error = refusal(run_of(tmp_path / "run", "int8", batch=2), photos)
    assert "takes 2 pictures a call" in error.got


def test_without_the_tool_it_says_how_to_get_it(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_kit, "has_tool", lambda _: False)
    assert "pip install" in refusal(tiny_run(tmp_path / "run"), photos).todo


def test_what_tflite_micro_refuses_is_named(tmp_path: Path, photos: Path) -> None:
    run = run_of(tmp_path / "run", "uint8", layout="NCHW")
    request = DeployRequest(
        run=str(run.folder),
        variant="int8",
        pictures=pictures_in(photos),
        probabilities=False,
        folder=str(tmp_path),
    )
    answer = Answer(support="refused", reason="No.", left=(LeftOperator("PAD", "p", "No."),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(micro_kit, "show_to_tflite_micro", lambda _: Shown(answer))
        with pytest.raises(ConversionError, match=r"refusal of TFLite Micro \(PAD: No"):
            run_micro_kit(request, lambda _: None)
    facts = run_micro_kit(request, lambda _: None)
    assert "using InputValue = uint8_t;" in (tmp_path / "golden.h").read_text()
    assert facts.golden_bytes == 5 * 2 * CLASSES
