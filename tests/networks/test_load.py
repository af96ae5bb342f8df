"""The preprocessing of an ONNX file: assumed values are named, impossible ones refused."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from engine.core.errors import OptionError
from engine.images.preprocess import PreprocessChoice
from engine.networks.catalog_network import import_torchvision
from engine.networks.load import model_source
from engine.networks.source import ModelChoice

HALF = (0.5, 0.5, 0.5)


def onnx_file(folder: Path, start: str = "a = Relu (x)") -> ModelChoice:
    """A classifier of three classes that begins with the nodes of ``start``, from x to a."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,8,8] x) => (float[1,3] y) '
        "<float k = {255.0}> {" + start + "  b = GlobalAveragePool (a)  y = Flatten (b) }"
    )
    onnx.save(model, folder / "m.onnx")
    return ModelChoice(onnx=str(folder / "m.onnx"))


def test_assumed_values_are_named(tmp_path: Path) -> None:
    (note,) = model_source(onnx_file(tmp_path), PreprocessChoice(mean=HALF)).notes
    assert "assumed" in note
    assert "std 0.229, 0.224, 0.225; scale 0.00392157; channel order RGB" in note
    assert "mean" not in note.replace("std 0.229", "")
    assert "resize size 9; interpolation bilinear" in note


def test_nothing_is_assumed_where_all_is_given(tmp_path: Path) -> None:
    given = PreprocessChoice(
        mean=HALF,
        std=HALF,
        scale=1 / 255,
        channel_order="BGR",
        resize="squash",
        interpolation="bicubic",
    )
    assert model_source(onnx_file(tmp_path), given).notes == ()


def test_a_checkpoint_names_what_is_assumed_for_it(tmp_path: Path) -> None:
    own = import_torchvision().models.squeezenet1_1(num_classes=1000).state_dict()
    torch.save(own, tmp_path / "own.pth")
    choice = ModelChoice(name="squeezenet1_1", checkpoint=str(tmp_path / "own.pth"))
    names, preprocessing = model_source(choice, PreprocessChoice(mean=HALF)).notes
    assert names.startswith("ImageNet's names are assumed")
    assert preprocessing.startswith("Preprocessing assumed, since a checkpoint holds none: std")


@pytest.mark.parametrize(
    ("start", "operators"),
    [
        ("a = Div (x, k)", "Div"),
        ("c = Cast <to = 1> (x)  d = Div (c, k)  a = Sub (d, k)", "Div, Sub"),
    ],
)
def test_preprocessing_in_the_file_is_named(tmp_path: Path, start: str, operators: str) -> None:
    note = model_source(onnx_file(tmp_path, start), PreprocessChoice()).notes[-1]
    assert note.startswith(f"The file begins with {operators} on the picture")


@pytest.mark.parametrize("own_names", [True, False])
def test_names_of_imagenet_are_called_assumed(tmp_path: Path, own_names: bool) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,8,8] x) => (float[1,1000] y) '
        "<int64[2] s = {1, 1000}> { a = ReduceMean <axes = [1, 2, 3], keepdims = 0> (x)"
        "  y = Expand (a, s) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"part {number}" for number in range(1000)))
    labels = str(names) if own_names else None
    choice = ModelChoice(onnx=str(tmp_path / "m.onnx"), labels=labels)
    notes = model_source(choice, PreprocessChoice()).notes
    assert any(note.startswith("ImageNet's names are assumed") for note in notes) != own_names


def test_mean_for_255_with_the_usual_scale_is_refused(tmp_path: Path) -> None:
    choice = PreprocessChoice(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    with pytest.raises(OptionError, match="Give scale 1 with"):
        model_source(onnx_file(tmp_path), choice)
