"""The classification networks of torchvision."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from engine.images.preprocess import InputSize, PreprocessSpec
from engine.networks.catalog_network import (
    DOWNLOAD_TIMEOUT_SECONDS,
    IMAGENET_CLASSES,
    CatalogEntry,
    CatalogNetwork,
    import_torchvision,
    no_trained_weights,
)

if TYPE_CHECKING:
    import torch


def names() -> tuple[str, ...]:
    """List the names of the networks of this source."""
    models = import_torchvision().models
    return tuple(models.list_models(module=models))


def entries() -> tuple[CatalogEntry, ...]:
    """List the networks of this source."""
    models = import_torchvision().models
    listed = []
    for name in names():
        weights = models.get_model_weights(name).DEFAULT
        listed.append(
            CatalogEntry(
                name=name,
                input_size=weights.transforms().crop_size[0],
                parameters=weights.meta["num_params"],
                top1=weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100,
                weights_file=str(_cache_path(weights)),
            )
        )
    return tuple(listed)


def network_named(name: str, input_size: InputSize | None) -> CatalogNetwork:
    """Find a network of `names`, at its own input size where none is given."""
    models = import_torchvision().models
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    preprocess = PreprocessSpec(
        height=preset.crop_size[0],
        width=preset.crop_size[0],
        resize_size=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    if input_size is not None:
        preprocess = preprocess.with_input_size(input_size)

    def build(classes: int) -> torch.nn.Module:
        options: dict[str, object] = {"num_classes": classes}
        if name in {"googlenet", "inception_v3"}:
            options |= {"aux_logits": False, "init_weights": False}
        if name.startswith("vit_"):
            options |= {"image_size": preprocess.height}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: torch.nn.Module = models.get_model(name, weights=None, **options)
        return module

    return CatalogNetwork(
        name=name,
        kind="torchvision",
        preprocess=preprocess,
        classes=IMAGENET_CLASSES,
        parameters=weights.meta["num_params"],
        build=build,
        weights="pretrained",
        weights_file=lambda: _download(weights, name),
    )


def _cache_path(weights: Any) -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def _download(weights: Any, name: str) -> Path:
    path = _cache_path(weights)
    if path.is_file():
        return path
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise no_trained_weights(
            name, f"no answer from the server that holds them ({error})"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    return path
