"""A person's own file is read, and shown a picture under several preprocessings."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest
from PIL import Image

from engine.core.errors import LabelsError, OptionError
from engine.core.types import Progress
from engine.images.pictures import Picture, as_pictures
from engine.images.preprocess import PreprocessChoice
from engine.networks.load import describe_origin, model_source
from engine.networks.source import ModelChoice
from engine.reporting.text.runs import fact_rows
from engine.tasks.own_model import (
    LabelsRequest,
    PreviewRequest,
    ReadModelRequest,
    run_check_labels,
    run_preview,
    run_read_model,
)

UNIT = PreprocessChoice(mean=(0.0,), std=(1.0,), scale=1 / 255)
SIGNED = PreprocessChoice(mean=(0.5,), std=(0.5,), scale=1 / 255)
PIXELS = PreprocessChoice(mean=(0.0,), std=(1.0,), scale=1.0)


def ignore(_: Progress) -> None:
    """Take no note."""


@pytest.fixture
def red(tmp_path: Path) -> Picture:
    """A picture of red pixels alone."""
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "red.png")
    return as_pictures([tmp_path / "red.png"])[0]


@pytest.fixture
def means(tmp_path: Path) -> ModelChoice:
    """A network whose three logits are the means of its input's channels."""
    return ModelChoice(onnx=network(tmp_path, "float[n,3,8,8] pixels"))


def network(folder: Path, entry: str, first: str = "a = Identity (pixels)") -> str:
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 13]> g ({entry}) => (float[n,3] scores) '
        f"{{ {first}  b = GlobalAveragePool (a)  scores = Flatten (b) }}"
    )
    onnx.save(model, folder / "means.onnx")
    return str(folder / "means.onnx")


def test_what_a_file_holds_is_read(means: ModelChoice) -> None:
    reading = run_read_model(ReadModelRequest(model=means), ignore)
    facts = reading.facts
    assert (facts.input, facts.shape, facts.dtype) == ("pixels", (None, 3, 8, 8), "float32")
    assert (facts.layout, facts.output, facts.classes) == ("NCHW", "scores", 3)
    assert (facts.opset, facts.parameters) == (13, 0)
    assert facts.bytes == Path(str(means.onnx)).stat().st_size
    assert (reading.preprocess.height, reading.preprocess.width) == (8, 8)
    rows = dict(fact_rows(facts))
    assert rows["Input"].replace("\xa0", " ") == "pixels: any × 3 × 8 × 8"
    assert rows["Classes"] == "3"


def test_a_preview_holds_the_answers_of_each_preprocessing(
    means: ModelChoice, red: Picture
) -> None:
    request = PreviewRequest(model=means, choices=(UNIT, SIGNED, PIXELS), picture=red)
    unit, signed, pixels = run_preview(request, ignore)
    assert [answer.index for answer in unit.answers] == [0, 1, 2]
    assert unit.answers[0].label == "class 0"
    assert unit.answers[0].share == pytest.approx(math.e / (math.e + 2), rel=1e-5)
    assert signed.answers[0].share == pytest.approx(math.e / (math.e + 2 / math.e), rel=1e-5)
    assert pixels.answers[0].share == pytest.approx(1)
    ranges = [(shown.lowest, shown.highest) for shown in (unit, signed, pixels)]
    assert ranges == [(0, 1), (-1, 1), (0, 255)]


def test_answers_have_the_names_of_the_classes(
    means: ModelChoice, red: Picture, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("rose\nleaf\nsky\n")
    named = ModelChoice(onnx=means.onnx, labels=str(names))
    (shown,) = run_preview(PreviewRequest(model=named, choices=(UNIT,), picture=red), ignore)
    assert [answer.label for answer in shown.answers] == ["rose", "leaf", "sky"]
    assert run_check_labels(LabelsRequest(str(names), 3), ignore) == ("rose", "leaf", "sky")
    with pytest.raises(LabelsError) as error:
        run_check_labels(LabelsRequest(str(names), 5), ignore)
    assert error.value.problem == "names.txt has 3 names, but the model has 5 classes."


def test_an_answer_that_is_no_number_is_none(tmp_path: Path, red: Picture) -> None:
    file = network(tmp_path, "float[n,3,8,8] pixels", "c = Sub (pixels, pixels)  a = Div (c, c)")
    request = PreviewRequest(model=ModelChoice(onnx=file), choices=(UNIT,), picture=red)
    assert run_preview(request, ignore)[0].answers == ()


def test_a_file_of_pixels_prepares_them_itself(tmp_path: Path, red: Picture) -> None:
    file = network(tmp_path, "uint8[n,3,8,8] pixels", "a = Cast <to = 1> (pixels)")
    model = ModelChoice(onnx=file)
    assert run_read_model(ReadModelRequest(model=model), ignore).takes_pixels
    request = PreviewRequest(model=model, choices=(PreprocessChoice(),), picture=red)
    (shown,) = run_preview(request, ignore)
    assert (shown.lowest, shown.highest) == (0, 255)
    with pytest.raises(OptionError, match="prepares its pixels itself"):
        run_preview(PreviewRequest(model=model, choices=(SIGNED,), picture=red), ignore)


def test_an_impossible_preprocessing_is_refused(means: ModelChoice, red: Picture) -> None:
    wrong = PreprocessChoice(mean=(127.0,), std=(127.0,))
    with pytest.raises(OptionError, match="0 to 1"):
        run_preview(PreviewRequest(model=means, choices=(wrong,), picture=red), ignore)


ALL = PreprocessChoice(
    mean=(0.5,),
    std=(0.5,),
    scale=1 / 255,
    channel_order="RGB",
    resize="squash",
    interpolation="bilinear",
)


@pytest.mark.parametrize(
    ("choice", "how", "words"),
    [
        (PreprocessChoice(), "assumed", "not confirmed by anybody; assumed: mean 0.485"),
        (UNIT, "assumed", "assumed: channel order RGB; resize shorter_side"),
        (ALL, "confirmed", "confirmed by the person who converted the model: mean 0.5"),
    ],
)
def test_a_source_says_how_its_preprocessing_was_determined(
    means: ModelChoice, choice: PreprocessChoice, how: str, words: str
) -> None:
    source = model_source(means, choice)
    assert source.origin.how == how
    assert words in describe_origin(source.origin, source.preprocess)


def test_the_front_door_reads_and_shows(
    means: ModelChoice, red: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import engine
    from engine.workers.process import Foreground
    from tests.helpers.own_model_host import InThisProcess

    monkeypatch.setattr(Foreground, "worker", lambda self, lowering=None: InThisProcess())
    reading = engine.read_model(onnx=means.onnx)
    assert reading.facts.classes == 3
    shown = engine.preview(red.path, onnx=means.onnx, preprocess=UNIT)
    assert shown.answers[0].index == 0
    with pytest.raises(OptionError, match="neither an ONNX file nor a checkpoint"):
        engine.read_model()


def test_the_command_line_prints_what_was_read(
    means: ModelChoice,
    red: Picture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from engine.cli.main import main
    from engine.workers.process import Foreground
    from tests.helpers.own_model_host import InThisProcess

    monkeypatch.setattr(Foreground, "worker", lambda self, lowering=None: InThisProcess())
    words = ["read", "--onnx", str(means.onnx), "--picture", str(red.path), "--scale", "1"]
    assert main([*words, "--mean", "0", "--std", "1"]) == 0
    told = capsys.readouterr().out
    assert "any" in told
    assert "class 0" in told
    assert "values of 0.00 to 255.00" in told
    assert "Preprocessing assumed" in told
