from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from engine.core.errors import ModelError, OptionError
from engine.networks.catalog import catalog, torch_source
from engine.networks.catalog_network import imagenet_names, import_torchvision
from engine.networks.source import ModelChoice


def test_the_default_network_is_complete() -> None:
    source = torch_source(ModelChoice())
    assert source.identity.weights == "package"
    assert source.identity.classes == 1000
    assert source.labels is not None
    assert source.labels[281] == "tabby"


def test_every_classification_network_of_torchvision_is_listed() -> None:
    models = import_torchvision().models
    entries = catalog()
    assert imagenet_names(1000) == tuple(models.ResNet18_Weights.DEFAULT.meta["categories"])
    assert entries[0].name == "efficientnet_lite0"
    assert entries[0].offline
    others = {entry.name for entry in entries[1:] if not entry.name.startswith("timm/")}
    assert others == set(models.list_models(module=models))
    resnet = next(entry for entry in entries if entry.name == "resnet18")
    assert (resnet.parameters, resnet.input_size) == (11_689_512, 224)


def test_an_unknown_name_gets_near_ones() -> None:
    with pytest.raises(ModelError, match=r"mobilenet_v2.*engine models"):
        torch_source(ModelChoice(name="mobilnet_v2"))


def test_random_weights_are_the_same_every_time() -> None:
    one, two = (
        torch_source(ModelChoice(name="squeezenet1_1", random_weights=True)) for _ in range(2)
    )
    assert one.identity.random
    assert one.identity.weights_sha256 == two.identity.weights_sha256
    assert one.preprocess.resize_size == 256


@pytest.mark.slow
def test_contradictions_and_sizes_that_the_network_refuses(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at once"):
        torch_source(ModelChoice(checkpoint="x.pth", random_weights=True))
    with pytest.raises(OptionError, match=r"Trying the network with an input of 16 x 16"):
        torch_source(ModelChoice(name="alexnet", random_weights=True), 16)


def test_another_size_is_built_for() -> None:
    source = torch_source(ModelChoice(), 256)
    with torch.no_grad():
        logits = source.build()(torch.zeros(1, 3, 256, 256)).numpy()
    assert logits.shape == (1, 1000)
    assert np.isfinite(logits).all()


def test_weights_that_cannot_be_downloaded_offer_the_other_ways(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ModelError, match=r"resnet18.*--checkpoint.*--random-weights"):
        torch_source(ModelChoice(name="resnet18"))
    assert list(tmp_path.rglob("*.pth")) == []


# RegNet computes with tensors while it is built.
@pytest.mark.parametrize("name", ["squeezenet1_1", "regnet_y_400mf"])
def test_a_checkpoint_for_fewer_classes(name: str, tmp_path: Path) -> None:
    build = getattr(import_torchvision().models, name)
    torch.save(build(num_classes=5).state_dict(), tmp_path / "c.pth")
    source = torch_source(ModelChoice(name=name, checkpoint=str(tmp_path / "c.pth")))
    assert source.identity.classes == 5
    assert source.labels is None
