"""The record that timm writes into a network, read by timm's rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from engine.networks.catalog_network import import_torchvision
from engine.networks.source import own_preprocess
from tests.helpers.tiny_network import tiny_network

RECORD = {
    "input_size": (3, 160, 192),
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "crop_pct": 0.9,
    "interpolation": "bicubic",
}


@dataclass
class PretrainedCfg:
    input_size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    crop_pct: float = 1.0
    crop_mode: str = "squash"
    interpolation: str = "random"


def with_record(name: str, record: object) -> torch.nn.Module:
    network = tiny_network()
    setattr(network, name, record)
    return network


def test_a_dict() -> None:
    own = own_preprocess(with_record("default_cfg", RECORD))
    assert own is not None
    assert (own.choice.input_size, own.record) == ((160, 192), "default_cfg")
    choice = own.choice
    assert (choice.mean, choice.std) == (RECORD["mean"], RECORD["std"])
    assert (choice.resize, choice.resize_size) == ("shorter_side", math.floor(192 / 0.9))
    assert (choice.interpolation, choice.scale, choice.channel_order) == ("bicubic", 1 / 255, "RGB")


def test_a_dataclass_and_another_size() -> None:
    own = own_preprocess(with_record("pretrained_cfg", PretrainedCfg()), (96, 128))
    assert own is not None
    assert (own.choice.input_size, own.choice.resize_size) == ((96, 128), 128)
    assert own.choice.resize == "squash"
    assert own.choice.interpolation is None
    assert own.architecture is None


def test_a_frame_and_a_squashed_crop_are_cut_from_the_centre() -> None:
    for record in (RECORD | {"crop_pct": 1.1}, RECORD | {"crop_mode": "squash"}):
        own = own_preprocess(with_record("pretrained_cfg", record))
        assert own is not None
        assert own.choice.resize == "shorter_side"
        assert own.choice.resize_size == max(192, math.floor(192 / float(record["crop_pct"])))


@pytest.mark.parametrize("record", [None, {}, {"url": ""}, PretrainedCfg, "mean", 3])
def test_no_record(record: object) -> None:
    assert own_preprocess(with_record("pretrained_cfg", record)) is None
    assert own_preprocess(tiny_network()) is None


def test_timm_itself() -> None:
    import_torchvision()
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_vit", pretrained=False)
    own, config = own_preprocess(network), timm.data.resolve_model_data_config(network)
    assert own is not None
    height, width = config["input_size"][1:]
    assert own.choice.input_size == (height, width)
    assert (own.choice.mean, own.choice.std) == (config["mean"], config["std"])
    assert own.choice.interpolation == config["interpolation"]
    assert own.architecture == "test_vit"
    assert own.choice.resize_size == math.floor(height / config["crop_pct"])
