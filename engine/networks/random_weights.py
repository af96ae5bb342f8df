"""Random weights that make a check of a conversion mean something.

Freshly made networks hide mistakes: torchvision's ViT has a head of zeros, so every logit is 0; a
layer scale of 1e-6 or a gamma of 0 switches whole blocks off; batch norms with mean 0 and variance
1 let activations fade until every picture gets the same logits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.networks.catalog_network import import_torchvision

if TYPE_CHECKING:
    import torch

_BRANCH = 0.2, 0.6
"""Scales of a residual branch before it is added."""
_VARIED = 0.4
"""Share of the largest logit that must differ from picture to picture."""


def give_ordinary_values(network: torch.nn.Module) -> None:
    """Replace parameters that are the same everywhere, in place; seed torch beforehand.

    Weights are drawn after He et al. 2015, scales around 1, shifts around 0.
    """
    import torch

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                _randomize(parameter, is_weight=name.endswith("weight"))
        for norm in _branch_ends(network):
            norm.weight.uniform_(*_BRANCH)


def settle(network: torch.nn.Module, pictures: torch.Tensor) -> None:
    """Let batch norms learn their statistics, and the head's bias what all answers have in common.

    The pictures have to be like those shown later: a network of fifty blocks multiplies what its
    statistics do not expect, until efficientnet_b4 with statistics of noise answers 1e5 and
    float32 rounds the picture away.

    Args:
        network: Takes ``pictures``; changed in place and left in evaluation mode.
        pictures: Shape (pictures, 3, height, width), float32.
    """
    import torch

    network.eval()
    with torch.no_grad():
        _learn_statistics(network, pictures)
        _center_answers(network, pictures[::3])


def _randomize(parameter: torch.nn.Parameter, *, is_weight: bool) -> None:
    value = float(parameter.flatten()[0])
    dimensions = sum(size > 1 for size in parameter.shape)
    if dimensions > 1:
        parameter.normal_(0, math.sqrt(2 / parameter[0].numel()))
    elif value == 1 or (value == 0 and is_weight):
        parameter.uniform_(0.8, 1.2)
    elif value == 0:
        parameter.normal_(0, 0.1)
    else:
        parameter.uniform_(*_BRANCH)


def _branch_ends(network: torch.nn.Module) -> list[Any]:
    """List the norms that ``zero_init_residual`` of torchvision's residual networks zeroes.

    With gammas of 1, a residual network of random weights multiplies rounding errors block by
    block: resnet152 answered 1e-4 otherwise from one float32 runtime to the next.
    """
    resnet = import_torchvision().models.resnet
    modules = list(network.modules())
    ends = [module.bn3 for module in modules if isinstance(module, resnet.Bottleneck)]
    ends += [module.bn2 for module in modules if isinstance(module, resnet.BasicBlock)]
    return ends


def _learn_statistics(network: torch.nn.Module, pictures: torch.Tensor) -> None:
    import torch

    norms = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    if not norms:
        return
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean over all that is shown
        norm.reset_running_stats()
    network(pictures)
    for norm, usual in zip(norms, momentum, strict=True):
        norm.eval()
        norm.momentum = usual


def _center_answers(network: torch.nn.Module, pictures: torch.Tensor) -> None:
    """Take away of what all answers have in common as much as drowns what they have not.

    Not all of it: float32 rounds by the size of what was added up before.
    """
    import torch

    layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    if layers and layers[-1].bias is not None:
        answers = torch.cat([network(picture[None]) for picture in pictures])
        common = answers.mean(0)
        most = (answers - common).abs().max() / _VARIED
        if most < answers.abs().max():
            layers[-1].bias.sub_(common * (1 - most / common.abs().max()).clamp(min=0))
