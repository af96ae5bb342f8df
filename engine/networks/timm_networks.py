"""The classification networks of timm, called ``timm/NAME.TAG`` or ``timm/NAME``.

A tag is one training of an architecture; without it timm's default tag is taken. Size, mean and the
rest of the preprocessing are those that timm evaluates the tag with at the size it was trained for
(``input_size`` and ``crop_pct``, not ``test_input_size``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.images.preprocess import InputSize, PreprocessSpec
from engine.networks.catalog_network import (
    IMAGENET_CLASSES,
    CatalogEntry,
    CatalogNetwork,
    import_timm,
    no_trained_weights,
    parameters_of,
)
from engine.networks.source import resize_of
from engine.networks.weight_sets import place_in_cache, safetensors_of

if TYPE_CHECKING:
    import torch

    StateDict = dict[str, torch.Tensor]

PREFIX = "timm/"
_EMBEDDINGS = {0, 384, 512, 640, 768, 1024, 1152, 1280}
"""Lengths of features and CLIP embeddings, which timm keeps where numbers of classes stand."""


def names() -> tuple[str, ...]:
    """List every name that can be built: architectures, and their tags that have weights."""
    timm = import_timm()
    return tuple(
        PREFIX + name for name in sorted({*timm.list_models(), *timm.list_models(pretrained=True)})
    )


def entries() -> tuple[CatalogEntry, ...]:
    """List trainings for classes, and architectures of which there is none."""
    trained = {name: _record(name) for name in import_timm().list_models(pretrained=True)}
    trained = {name: record for name, record in trained.items() if _has_classes(record)}
    architectures = {name.partition(".")[0] for name in trained}
    others = {name: _record(name) for name in import_timm().list_models()}
    listed = trained | {
        name: record
        for name, record in others.items()
        if name not in architectures and _has_classes(record)
    }
    return tuple(
        CatalogEntry(
            name=PREFIX + name,
            input_size=record.input_size[1],
            parameters=None,
            top1=None,
            weights_file=place_in_cache(record.hf_hub_id) if record.hf_hub_id else "",
        )
        for name, record in sorted(listed.items())
    )


def network_named(name: str, input_size: InputSize | None) -> CatalogNetwork:
    """Find a network of `names`, at its own input size where none is given."""
    key = name.removeprefix(PREFIX)
    record = _record(key)
    preprocess = _preprocess(record)
    if input_size is not None:
        preprocess = preprocess.with_input_size(input_size)
    size = (preprocess.height, preprocess.width)
    options: dict[str, object] = {"exportable": True}
    if record.fixed_input_size:
        options["img_size"] = size
    classes = record.num_classes if _has_classes(record) else IMAGENET_CLASSES

    def build(classes: int) -> torch.nn.Module:
        return _create(key, num_classes=classes, **options)

    def convert_state(state: StateDict) -> StateDict:
        """Load as timm loads official files, which its own functions per architecture rename."""
        classes = _classes_of(state, record)
        overlay = {"state_dict": dict(state), "num_classes": classes, "custom_load": False}
        network = _create(
            key,
            pretrained=True,
            num_classes=classes,
            pretrained_cfg_overlay=overlay,
            **options,
        )
        return dict(network.state_dict())

    def weights_file() -> Path:
        if not _has_classes(record):
            raise no_trained_weights(name, "a network of features", "a head for classes")
        if not record.hf_hub_id:
            raise no_trained_weights(name, "no safetensors file on timm's hub")
        return safetensors_of(record.hf_hub_id, name)

    return CatalogNetwork(
        name=name,
        kind="timm",
        preprocess=preprocess,
        classes=classes,
        parameters=_parameters(build, classes),
        build=build,
        weights="pretrained",
        weights_file=weights_file,
        converted=convert_state,
        notes=_crop_notes(record),
    )


def _record(key: str) -> Any:
    return import_timm().get_pretrained_cfg(key)


def _has_classes(record: Any) -> bool:
    return record.num_classes not in _EMBEDDINGS


def _create(key: str, **options: Any) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: torch.nn.Module = import_timm().create_model(key, **options)
    return network


def _parameters(build: Any, classes: int) -> int | None:
    import torch

    try:
        with torch.device("meta"):
            return parameters_of(build(classes))
    except (NotImplementedError, RuntimeError):  # it computes with tensors while it is built
        return None


def _preprocess(record: Any) -> PreprocessSpec:
    config: Mapping[str, Any] = import_timm().data.resolve_data_config(
        {}, pretrained_cfg=record.to_dict()
    )
    _, height, width = config["input_size"]
    resize, resize_size = resize_of(height, width, config["crop_mode"], config["crop_pct"])
    return PreprocessSpec(
        height=height,
        width=width,
        resize=resize,
        resize_size=resize_size,
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _crop_notes(record: Any) -> tuple[str, ...]:
    """Say where timm fits pictures in a way that `PreprocessSpec` has no words for."""
    squashes = record.crop_mode == "squash" and record.crop_pct < 1
    if not squashes and record.crop_pct <= 1:
        return ()
    usual = "squashes the picture and cuts out its centre" if squashes else "frames the picture"
    return (
        f"timm {usual} (crop_mode {record.crop_mode}, crop_pct {record.crop_pct:g}); here its "
        "shorter side is scaled and the centre cut out.",
    )


def _classes_of(state: StateDict, record: Any) -> int:
    """Count the last bias, which is the head's in files of any author; timm checks the rest."""
    biases = [tensor for key, tensor in state.items() if key.endswith("bias") and tensor.ndim == 1]
    return len(biases[-1]) if biases else int(record.num_classes)
