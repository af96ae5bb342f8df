"""timm's networks in the catalogue; its hub is a folder, since tests have no network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from engine.core.errors import ModelError
from engine.core.limits import LIMITS
from engine.networks import timm_networks
from engine.networks import weight_sets as hub_weights
from engine.networks.catalog import torch_source
from engine.networks.catalog_network import CatalogEntry, imagenet_names, import_timm
from engine.networks.checkpoints import state_digest
from engine.networks.source import ModelChoice
from engine.networks.timm_networks import network_named

SMALL = "timm/test_resnet.r160_in1k"
"""A network of timm's own tests: 0.5 million parameters."""


def test_trainings_for_classes_are_listed_and_feature_networks_are_not() -> None:
    entries = {entry.name: entry for entry in timm_networks.entries()}
    assert len(entries) > 1400
    assert entries["timm/mobilenetv4_conv_small.e2400_r224_in1k"].input_size == 224
    assert "timm/convnextv2_small" in entries, "an architecture without trained weights"
    for name in ("vit_small_patch14_dinov2.lvd142m", "vit_base_patch32_clip_224.openai"):
        assert f"timm/{name}" not in entries
        assert f"timm/{name}" in timm_networks.names(), "a checkpoint with a head may still fit"


def test_preprocessing_is_timms_own() -> None:
    spec = network_named("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", None).preprocess
    assert (spec.height, spec.width, spec.resize, spec.resize_size) == (
        224,
        224,
        "shorter_side",
        248,
    )
    assert (spec.mean, spec.std, spec.interpolation) == ((0.5,) * 3, (0.5,) * 3, "bicubic")
    squashed = network_named("timm/convnext_tiny.in12k_ft_in1k_384", None)
    assert (squashed.preprocess.resize, squashed.notes) == ("squash", ())
    cut = network_named("timm/tf_efficientnetv2_b3.in21k_ft_in1k", None)
    assert (cut.preprocess.resize, cut.preprocess.resize_size) == ("shorter_side", 266)
    assert "crop_pct 0.9" in cut.notes[0]


def test_without_a_tag_it_is_timms_default_one() -> None:
    plain, tagged = (
        network_named(f"timm/{name}", None).preprocess
        for name in ("mobilenetv4_conv_small", "mobilenetv4_conv_small.e2400_r224_in1k")
    )
    assert plain == tagged


@pytest.mark.parametrize(
    ("classes", "first", "last"),
    [(1000, "tench", "toilet tissue"), (11821, "misfortune", None), (21843, "organism", None)],
)
def test_class_names_by_their_number(classes: int, first: str, last: str | None) -> None:
    names = imagenet_names(classes)
    assert names is not None
    assert len(names) == classes
    assert all(names)
    if classes != 11821:
        assert names[0] == first
    if last is not None:
        assert names[-1] == last
    assert imagenet_names(7) is None


def test_another_input_size_is_built_for() -> None:
    for name in ("timm/vit_tiny_patch16_224", SMALL):
        network = network_named(name, 96)
        with torch.no_grad():
            assert network.build(5).eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 5)


def test_networks_that_no_file_can_hold_are_refused_before_they_are_built() -> None:
    with pytest.raises(ModelError, match=r"1844 million parameters"):
        torch_source(ModelChoice(name="timm/vit_gigantic_patch14_224", random_weights=True))


def test_a_tag_that_timm_has_not_gets_near_names() -> None:
    with pytest.raises(ModelError, match=r"timm/resnet18\b.*engine models"):
        torch_source(ModelChoice(name="timm/resnet18.nonsense"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet26d", "timm/resnet26d"),
        ("timm/ResNet26D", "timm/resnet26d"),
        ("RESNET18", "resnet18, timm/resnet18"),
        ("hf-hub:timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("https://huggingface.co/timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("mobilenetv4_conv_smal", "timm/mobilenetv4_conv_small"),
        ("timm/", "python -m engine models --search"),
    ],
)
def test_names_as_other_places_write_them_get_near_names(name: str, near: str) -> None:
    with pytest.raises(ModelError) as caught:
        torch_source(ModelChoice(name=name, random_weights=True))
    assert near in str(caught.value)


def fresh(classes: int = 1000) -> torch.nn.Module:
    torch.manual_seed(0)
    network: torch.nn.Module = import_timm().create_model("test_resnet", num_classes=classes)
    return network


def test_random_weights_answer_differently_to_different_pictures() -> None:
    source = torch_source(ModelChoice(name=SMALL, random_weights=True))
    assert (source.identity.kind, source.identity.file_stem) == (
        "timm",
        "timm_test_resnet.r160_in1k",
    )
    with torch.no_grad():
        logits = source.build()(torch.randn(4, 3, 160, 160))
    assert (logits - logits.mean(0)).abs().max() > 0.01 * logits.abs().max()


def test_a_training_checkpoint_of_timm_fits_without_a_flag(tmp_path: Path) -> None:
    network = fresh(7)
    average = {f"module.{key}": tensor + 1 for key, tensor in network.state_dict().items()}
    content = {"arch": "test_resnet", "state_dict": network.state_dict(), "state_dict_ema": average}
    torch.save(content, tmp_path / "c.pth.tar")
    choice = ModelChoice(name=SMALL, checkpoint=str(tmp_path / "c.pth.tar"))
    source = torch_source(choice)
    assert source.identity.classes == 7
    assert source.identity.weights_of == "state_dict_ema.module"
    expected = {key.removeprefix("module."): tensor for key, tensor in average.items()}
    assert state_digest(source.build().state_dict()) == state_digest(expected)


def test_names_of_other_authors_are_converted_by_timm(tmp_path: Path) -> None:
    """timm fits the position embedding of another input size, and renames official files."""
    torch.manual_seed(0)
    whole = import_timm().create_model("test_vit", num_classes=5, img_size=160)
    torch.save({"model": whole.state_dict()}, tmp_path / "c.pth")
    choice = ModelChoice(name="timm/test_vit", checkpoint=str(tmp_path / "c.pth"))
    source = torch_source(choice, 96)
    assert source.identity.classes == 5
    assert "timm's own function" in source.notes[0]
    assert torch.equal(source.build().state_dict()["head.weight"], whole.head.weight)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, with no way to the hub itself."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: cached(tmp_path))
    return tmp_path


def cached(folder: Path) -> str | None:
    return next((str(path) for path in folder.glob("*/snapshots/*/model.safetensors")), None)


def put(folder: Path, data: bytes, digest: str) -> Path:
    """Store a file as the hub's cache does: under its digest, with a link in its revision."""
    place = folder / "models--timm--test_resnet.r160_in1k"
    (place / "blobs").mkdir(parents=True)
    (place / "blobs" / digest).write_bytes(data)
    link = place / "snapshots" / "0123" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(place / "blobs" / digest)
    return link


def test_weights_in_the_cache_of_the_hub_are_found_and_checked(hub: Path) -> None:
    entry = CatalogEntry(
        name=SMALL,
        input_size=160,
        parameters=None,
        top1=None,
        weights_file=str(
            hub / "models--timm--test_resnet.r160_in1k" / "snapshots" / "*" / "model.safetensors"
        ),
    )
    assert not entry.offline
    state = fresh().state_dict()
    data = save(state)
    digest = hashlib.sha256(data).hexdigest()
    link = put(hub, data, digest)
    assert entry.offline
    source = torch_source(ModelChoice(name=SMALL))
    assert (source.identity.weights, source.identity.weights_sha256) == ("pretrained", digest)
    assert source.labels is not None
    assert state_digest(source.build().state_dict()) == state_digest(state)
    link.resolve().write_bytes(data[:-1] + b"x")
    with pytest.raises(ModelError, match="a damaged file"):
        torch_source(ModelChoice(name=SMALL))


def test_weights_are_downloaded_as_safetensors_alone(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repository: str, file: str, **_: Any) -> str:
        asked.append((repository, file))
        save_file(fresh().state_dict(), hub / "m.safetensors")
        return str(hub / "m.safetensors")

    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda *_, **__: SimpleNamespace(size=10**6)
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert torch_source(ModelChoice(name=SMALL)).identity.weights == "pretrained"
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]


@pytest.mark.parametrize(
    ("size", "why"), [(None, "unknown size"), (LIMITS.model_bytes + 1, "2.15 GB")]
)
def test_a_download_that_is_too_large_does_not_begin(
    hub: Path, monkeypatch: pytest.MonkeyPatch, size: int | None, why: str
) -> None:
    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda *_, **__: SimpleNamespace(size=size)
    )
    with pytest.raises(ModelError, match=why):
        hub_weights.safetensors_of("timm/test_resnet.r160_in1k", SMALL)


def test_without_a_network_the_two_other_ways_are_offered(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    with pytest.raises(ModelError, match=r"no network.*--checkpoint.*--random-weights"):
        torch_source(ModelChoice(name=SMALL))
    with pytest.raises(ModelError, match=r"a network of features.*--checkpoint"):
        torch_source(ModelChoice(name="timm/vit_small_patch14_dinov2"))
