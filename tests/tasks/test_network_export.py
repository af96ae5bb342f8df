"""`engine.convert` with a network of this process."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import engine
from engine.core.errors import (
    ConversionError,
    HopError,
    LabelsError,
    ModelError,
    OptionError,
    UserMistake,
)
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import ORIGINAL, FloatArray
from engine.images.pictures import Picture, pictures_in
from engine.images.preprocess import PreprocessChoice, PreprocessSpec
from engine.networks.given_network import given_network
from engine.networks.load import model_source
from engine.networks.onnx_reading import read_onnx
from engine.networks.onnx_tidying import operator_set
from engine.networks.source import ExportedNetwork, ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.manifest import FILE_NAME
from engine.runs.request import ConvertRequest, command_line, run_key, validate_request
from engine.runs.results import NETWORK, KnownRows, answering, keep_rows, original_note
from engine.runs.run import ONNX_FILE, Run
from engine.tasks.network_export import export_network
from engine.workers.process import Foreground
from tests.helpers.tiny_network import CLASSES, Answer, Answering, tiny_network
from tests.helpers.tiny_run import CLASSES as TINY_CLASSES
from tests.helpers.tiny_run import tiny_run

ROOT = Path(__file__).parent.parent.parent
SIZE = 16, 24
LABELS = ["ape", "bear", "cat", "dog", "emu"]


def exported(network: torch.nn.Module, folder: Path, **options: object) -> ConvertRequest:
    options["preprocess"] = replace(options.get("preprocess", PreprocessChoice()), input_size=SIZE)
    request = ConvertRequest(variants=("float32",), **options)  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    return export_network(given_network(network), request, folder, Foreground())


def exported_by(request: ConvertRequest) -> ExportedNetwork:
    assert request.model.network is not None
    return request.model.network


def own_logits(network: torch.nn.Module, pictures: Path, spec: PreprocessSpec) -> FloatArray:
    inputs = np.stack([spec.apply(picture.decode()) for picture in pictures_in(pictures)])
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()))
    return np.asarray(logits.float())


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    requests = [exported(tiny_network(), tmp_path / name) for name in "ab"]
    files = [Path(str(request.model.onnx)) for request in requests]
    assert files[0].name == "Sequential.onnx"
    assert files[0].read_bytes() == files[1].read_bytes()
    assert run_key(requests[0]) == run_key(requests[1])
    model = read_onnx(files[0])
    assert operator_set(model) == 13
    assert [value.name for value in model.graph.output] == ["logits"]
    changed = tiny_network()
    changed[-1].bias.data += 1
    assert run_key(exported(changed, tmp_path / "c")) != run_key(requests[0])


def test_its_own_logits_on_the_check_pictures_go_along(tmp_path: Path, photos: Path) -> None:
    network = tiny_network()
    folder = CalibrationChoice(folder=str(photos))
    request = exported(network, tmp_path / "out", calibration=folder)
    record = exported_by(request)
    source = model_source(request.model, request.preprocess)
    assert (source.preprocess.height, source.preprocess.width) == SIZE
    assert source.identity.name == "Sequential"
    assert source.identity.weights == "network"
    assert source.identity.weights_file is None
    assert any(note.startswith("Preprocessing assumed, since a network") for note in source.notes)
    expected = own_logits(network, SAMPLE_IMAGES, source.preprocess)[:4]
    np.testing.assert_allclose(np.load(record.logits), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (lambda body, picture: (picture, body(picture)), "output_1"),
        (lambda body, picture: {"logits": body(picture), "features": picture}, "logits"),
    ],
)
def test_the_only_output_that_can_be_is_taken(answer: Answer, output: str, tmp_path: Path) -> None:
    request = exported(Answering(answer), tmp_path)
    model = read_onnx(Path(str(request.model.onnx)))
    assert [value.name for value in model.graph.output] == [output]
    (_, note) = exported_by(request).notes
    assert note.startswith(f"The answer is the output {output}; left out: ")


def test_several_outputs_are_asked_for(tmp_path: Path) -> None:
    network = Answering(lambda body, picture: {"one": body(picture), "two": -body(picture)})
    with pytest.raises(OptionError, match=r"2 that can hold logits: one .*--output"):
        exported(network, tmp_path)
    request = exported(network, tmp_path, model=ModelChoice(output="two"))
    assert model_source(request.model, request.preprocess).identity.classes == CLASSES
    with pytest.raises(OptionError, match="'three'; expected one of its outputs: one"):
        exported(network, tmp_path, model=ModelChoice(output="three"))


def test_half_precision_and_answers_by_batch_are_noted(tmp_path: Path) -> None:
    depends = Answering(lambda body, picture: body(picture - picture.mean()))
    first, batch, precision = exported_by(exported(depends.half(), tmp_path)).notes
    assert first.startswith("The original is a network")
    assert "one at a time" in batch
    assert "float16" in precision
    alone = Answering(lambda body, picture: body(picture.view(1, 3, *SIZE)))
    assert len(exported_by(exported(alone, tmp_path)).notes) == 1


def test_preprocessing_of_its_own_is_taken_where_the_person_gives_none(tmp_path: Path) -> None:
    network = tiny_network()
    network.pretrained_cfg = {
        "input_size": (3, 20, 20),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.5, 0.5),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
    }
    request = exported(network, tmp_path, preprocess=PreprocessChoice(mean=(0.4, 0.4, 0.4)))
    spec = model_source(request.model, request.preprocess).preprocess
    assert (spec.mean, spec.std) == ((0.4, 0.4, 0.4), (0.5, 0.5, 0.5))
    assert (spec.resize_size, spec.interpolation) == (24, "bicubic")
    (_, note) = exported_by(request).notes
    assert note.startswith("Preprocessing as the network's pretrained_cfg says: std 0.5, 0.5, 0.5;")
    assert "mean" not in note
    request = export_network(network, ConvertRequest(variants=("float32",)), tmp_path, Foreground())
    assert request.preprocess.input_size == (20, 20)


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_have_the_channels_that_the_network_takes(channels: int, tmp_path: Path) -> None:
    request = exported(tiny_network(channels=channels), tmp_path)
    spec = model_source(request.model, request.preprocess).preprocess
    assert (spec.channels, len(spec.mean)) == (channels, channels)


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (lambda body, x: body(x) * math.nan, HopError, "Checking pytorch: got NaN or Inf for 4"),
        (lambda body, x: body(x) * 0, ModelError, "Checking pytorch: got the same logits for 4"),
        (lambda body, x: x, ModelError, "more than one row of numbers a picture"),
        (lambda body, x: body(x).argmax(1), ModelError, "numbers of type int64"),
    ],
)
def test_a_network_that_cannot_be_converted_is_refused_before_it_is_exported(
    answer: Answer, error: type[Exception], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=reason):
        exported(Answering(answer), tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_second_exporter_takes_what_the_first_refuses(tmp_path: Path) -> None:
    network = Answering(lambda body, picture: torch.nn.functional.rms_norm(body(picture), (5,)))
    requests = [exported(network, tmp_path / name) for name in "ab"]
    files = [Path(str(request.model.onnx)) for request in requests]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert operator_set(onnx.load(files[0])) == 18
    assert str(ROOT).encode() not in files[0].read_bytes()
    (_, note) = exported_by(requests[0]).notes
    assert note.startswith("Exported for operator set 18 by way of torch.export, since the Torch")
    assert "aten::rms_norm" in note
    orthogonal = tiny_network()
    torch.nn.utils.parametrizations.orthogonal(orthogonal[-1])  # by operators that ONNX lacks
    assert exported_by(exported(orthogonal, tmp_path)).notes[1].startswith("Exported for operator")
    # A condition on the picture, which a trace freezes; its answer to a blank one is another.
    branching = Answering(
        lambda body, picture: body(picture) if picture.abs().max() == 0 else body(-picture)
    )
    with pytest.raises(
        ConversionError, match=r"TorchScript: Checking pytorch to onnx: .*; torch\.export: "
    ):
        exported(branching, tmp_path)


def autocast(body: torch.nn.Module, picture: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return body(picture)


@pytest.mark.parametrize(
    "answer", [autocast, lambda body, picture: body((picture.double() * 1.5).float())]
)
def test_other_types_within_are_computed_in_float32(answer: Answer, tmp_path: Path) -> None:
    request = exported(Answering(answer), tmp_path)
    notes = model_source(request.model, request.preprocess).notes
    assert any("float32" in note for note in notes)


@pytest.mark.slow
def test_what_both_exporters_write_alike_is_named_once(tmp_path: Path) -> None:
    noisy = Answering(lambda body, picture: body(picture) + torch.randn(CLASSES))
    with pytest.raises(ModelError, match=r"Reading Answering\.onnx: got noise"):
        exported(noisy, tmp_path)


def test_options_that_contradict_a_network() -> None:
    network = tiny_network()
    for options, reason in (
        ({"onnx": "model.onnx"}, "a network together with a checkpoint"),
        ({"random_weights": True}, "a network together with a checkpoint"),
        ({"routes": ["litert-torch"]}, "Choosing the route litert-torch"),
        ({"mean": 0.5, "preprocess": PreprocessChoice(mean=(0.5,) * 3)}, "mean both beside"),
    ):
        with pytest.raises(OptionError, match=reason):
            engine.convert(network, **options)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="the name 'mine' for a model that has one"):
        engine.convert("resnet18", name="mine")
    with pytest.raises(LabelsError, match="a dict that holds other things than names"):
        engine.convert(network, labels={0: "ape"})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="the class Conv2d"):
        engine.convert(torch.nn.Conv2d)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"input_size": 32.0}, r"got `float` - at `\$\.preprocess\.input_size`"),
        ({"input_size": "224"}, "got `str`"),
        ({"input_size": (3, 224, 224)}, "`array` of length 2, got 3"),
        ({"input_size": torch.zeros(2)}, r"tensor\(\[0\., 0\.\]\) is of type Tensor"),
        ({"input_size": 0}, "got height 0; expected 1 to 2048 pixels"),
        ({"input_size": (224, 100_000)}, "got width 100000"),
        ({"mean": "0.5,0.5,0.5"}, "got mean '0.5,0.5,0.5'; expected one number a channel"),
        ({"std": [None]}, r"got std \[None\]"),
        ({"calibration_count": "8"}, r"at `\$\.calibration\.count`"),
        ({"seed": 0.5}, "got `float`"),
        ({"lowering": "mine"}, r"'mine' - at `\$\.lowering`"),
        ({"labels": 5}, "got a int; expected a list of class names"),
        ({"labels": {"ape": 1, "bear": 0}}, "got a dict .* sorted"),
        ({"labels": {"ape", "bear"}}, "got a set; expected a list"),
    ],
)
def test_values_of_other_types_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(UserMistake, match=reason):
        engine.convert(tiny_network(), **options)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_taken() -> None:
    size = np.array([16, 24])
    choice = PreprocessChoice(input_size=size)  # type: ignore[arg-type]
    calibration = CalibrationChoice(count=np.int64(8))  # type: ignore[arg-type]
    request = validate_request(ConvertRequest(preprocess=choice, calibration=calibration))
    assert request == ConvertRequest(
        preprocess=PreprocessChoice(input_size=(16, 24)), calibration=CalibrationChoice(count=8)
    )


NETWORK_REQUEST = ConvertRequest(
    model=ModelChoice(
        onnx="/tmp/x/Mine.onnx",
        names=("it's", "b"),
        network=ExportedNetwork(
            name="Mine",
            sha256="1" * 64,
            pictures="p",
            logits="l",
            seconds=1.0,
            notes=(),
        ),
    ),
    preprocess=PreprocessChoice(
        input_size=(192, 160), mean=(0.5, 0.5, 0.5), interpolation="bicubic"
    ),
    calibration=CalibrationChoice(folder="/home/me/photos", count=8),
)


def test_the_command_of_such_a_run_is_a_call() -> None:
    command = command_line(NETWORK_REQUEST, ("float32",))
    assert command == (
        "engine.convert(network, name='Mine', input_size=(192, 160), mean=(0.5, 0.5, 0.5), "
        "variants=['float32'], lowering='nhwc', input_layout='NHWC', "
        "calibration='/home/me/photos', calibration_count=8, seed=0, labels=labels, "
        "preprocess=engine.PreprocessChoice(interpolation='bicubic'))"
        "  # with your own network and labels"
    )
    named = replace(NETWORK_REQUEST, model=ModelChoice(name="resnet18", names=("a", "b")))
    call = command_line(named, ("float32",))
    assert call.startswith("engine.convert('resnet18', input_size=(192, 160), mean=")
    assert call.endswith("  # with your own labels")


def test_later_additions_need_the_network_and_its_file_no_more(tmp_path: Path) -> None:
    request = exported(tiny_network(), tmp_path)
    key = run_key(request)
    Path(str(request.model.onnx)).unlink()
    assert run_key(request) == key
    with pytest.raises(ModelError, match=r"run of Sequential: .* Convert it there once more"):
        model_source(request.model, request.preprocess)


def as_networks(run: Run, command: str = "") -> Run:
    """The run as if it had been made from a network."""
    model = replace(run.manifest.model, weights="network")
    manifest = replace(run.manifest, model=model, command=command or run.manifest.command)
    (run.folder / FILE_NAME).write_bytes(manifest.to_json())
    return Run.open(run.folder)


def test_the_shared_call_names_no_folders(tmp_path: Path) -> None:
    run = as_networks(tiny_run(tmp_path / "run"), command_line(NETWORK_REQUEST, ("float32",)))
    shared = run.manifest.shared_command
    assert "calibration='photos', calibration_count=8" in shared
    assert shared == run.manifest.command.replace("/home/me/", "")


def test_rows_of_the_network_and_of_its_file_are_never_mixed(tmp_path: Path, photos: Path) -> None:
    run = as_networks(tiny_run(tmp_path / "run"))
    pictures = pictures_in(photos)
    rows = np.arange(len(pictures) * TINY_CLASSES, dtype=np.float32).reshape(len(pictures), -1)
    by_file = engine.compare(run, photos)
    assert "stored for 0 of these 5 pictures" in " ".join(by_file.notes)
    keep_rows(run, NETWORK, pictures[:3], rows[:3])
    assert answering(run, pictures[:3], ORIGINAL) == NETWORK
    assert answering(run, pictures, ORIGINAL) == ORIGINAL
    assert answering(run, pictures[:3], "int8") == "int8"
    assert "stored for 3 of these 5 pictures" in str(original_note(run, pictures))
    again = engine.compare(run, photos)
    assert again.variant("float32").logit_max == by_file.variant("float32").logit_max

    some = engine.compare(run, [picture.path for picture in pictures[1:3]])
    spec = run.manifest.preprocess
    shown = np.stack([spec.apply(picture.decode()).reshape(-1) for picture in pictures[1:3]])
    difference = rows[1:3] - shown
    largest = np.abs(difference - difference.mean(1, keepdims=True)).max()
    assert some.variant("float32").logit_max == pytest.approx(largest, rel=1e-5)
    assert "the network's own" in some.notes[-2] + some.notes[-1]
    onnx_run = tiny_run(tmp_path / "onnx")
    assert original_note(onnx_run, pictures) is None
    with pytest.raises(OptionError, match="a network for a run of tiny that was made without one"):
        engine.compare(onnx_run, photos, network=tiny_network())


def network_of_the_day(classes: int = CLASSES) -> torch.nn.Module:
    """In training mode, in half precision, wrapped, with two outputs."""
    network = Answering(lambda body, x: {"features": x, "logits": body(x)}, tiny_network(classes))
    return torch.nn.DataParallel(network.half())


def logits_of(network: torch.nn.Module, run: Run, pictures: Path) -> FloatArray:
    body = network.module.body  # type: ignore[union-attr]
    plain = tiny_network()
    plain.load_state_dict({name: value.float() for name, value in body.state_dict().items()})
    return own_logits(plain, pictures, run.manifest.preprocess)


def rows_of(run: Run, name: str, pictures: tuple[Picture, ...]) -> FloatArray:
    rows = KnownRows(run, name)
    return np.stack([np.asarray(rows.of(picture.sha256)) for picture in pictures])


@pytest.mark.slow
def test_seven_variants_of_a_network(tmp_path: Path, photos: Path) -> None:
    network = network_of_the_day()
    run = engine.convert(
        network,
        name="my net/2",
        input_size=SIZE,
        mean=0.5,
        std=[0.5, 0.5, 0.5],
        labels=LABELS,
        calibration=photos,
    )
    manifest = run.manifest
    assert len(run.variants) == 7
    assert run.folder.name.startswith("my_net_2-")
    assert (manifest.model.name, manifest.labels) == ("my net/2", tuple(LABELS))
    assert (manifest.preprocess.height, manifest.preprocess.width) == SIZE
    assert [stage.name for stage in manifest.stages][:2] == ["pytorch", "onnx"]
    assert manifest.stages[1].against == "pytorch"
    assert "with your own network and labels" in manifest.command

    # The calibration pictures and the sample images are the network's own by now.
    comparison = engine.compare(run, photos)
    assert not any("ONNX Runtime" in note for note in comparison.notes)
    expected = logits_of(network, run, photos)
    np.testing.assert_allclose(rows_of(run, NETWORK, pictures_in(photos)), expected, atol=1e-4)
    assert comparison.variant("float32").logit_max < 1e-4
    assert not any("ONNX Runtime" in note for note in engine.compare(run, SAMPLE_IMAGES).notes)

    # Others are ONNX Runtime's until the network is shown them.
    flipped = tmp_path / "flipped"
    flipped.mkdir()
    for index, picture in enumerate(pictures_in(photos)):
        Image.fromarray(picture.decode()[::-1].copy()).save(flipped / f"{index}.png")
    assert "0 of these 5 pictures" in " ".join(engine.compare(run, flipped).notes)
    by_file = rows_of(run, ORIGINAL, pictures_in(flipped))
    np.testing.assert_allclose(by_file, logits_of(network, run, flipped), atol=1e-4)
    by_network = engine.compare(run, flipped, network=network)
    assert not any("ONNX Runtime" in note for note in by_network.notes)
    assert by_network.variant("float32").logit_max < 1e-4

    changed = network_of_the_day()
    changed.module.body[-1].bias.data += torch.arange(5) / 100  # type: ignore[union-attr, index]
    with pytest.raises(OptionError, match="answers the run's check pictures otherwise"):
        engine.compare(run, flipped, network=changed)
    assert "int8_optimized" in engine.improve(run, "int8").variants
    same = engine.convert(
        network, name="my net/2", input_size=SIZE, mean=0.5, std=0.5, labels=LABELS,
        calibration=photos,
    )  # fmt: skip
    assert same.folder == run.folder
    assert re.fullmatch(r"[0-9a-f]{64}", manifest.model.weights_sha256)
    assert read_onnx(run.folder / ONNX_FILE).graph.output[0].name == "logits"


SESSION = """
import sys

import torch

import engine

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    torch.nn.Flatten(), torch.nn.Linear(4, 3),
)
torch.nn.init.normal_(network[-1].weight, 0, 10)
run = engine.convert(network, input_size=16, variants=["float32"], calibration=sys.argv[1])
assert not {"tensorflow", "torchvision"} & set(sys.modules), "light"
print(run.folder)
"""


@pytest.mark.slow
def test_a_session_needs_no_tensorflow_and_the_next_one_no_network(photos: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", SESSION, str(photos)]
    session = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert session.returncode == 0, session.stderr
    run = Run.open(session.stdout.strip())
    comparison = engine.compare(run, photos)
    assert comparison.variant("float32").logit_max < 1e-4
    assert "the network's own, computed by PyTorch" in " ".join(comparison.notes)
