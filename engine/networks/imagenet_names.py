"""Names of ImageNet's classes by how many there are: 1,000, or one of its larger sets."""

from __future__ import annotations

from functools import cache

from engine.networks.torchvision_import import import_torchvision

_SETS = {
    11221: "imagenet-21k-miil",
    11821: "imagenet-12k",
    21841: "imagenet-22k",
    21842: "imagenet-22k-ms",
    21843: "imagenet-21k-goog",
}
"""timm's names of the sets that it trains networks for; no two are of one size."""


@cache
def imagenet_names(classes: int) -> tuple[str, ...] | None:
    """Name the classes of ImageNet, in the order of the logits.

    Args:
        classes: Number of classes.

    Returns:
        The first word of each; None where no set of ImageNet has so many classes.
    """
    if classes == 1000:
        models = import_torchvision().models
        return tuple(models.MobileNet_V2_Weights.DEFAULT.meta["categories"])
    if classes not in _SETS:
        return None
    from engine.networks.timm_networks import import_timm

    words = import_timm().data.ImageNetInfo(_SETS[classes]).label_descriptions()
    return tuple(line.partition(",")[0].strip() for line in words)
