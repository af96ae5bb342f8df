from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.conversion.build import check_inputs
from engine.networks.catalog import torch_source
from engine.networks.random_weights import give_ordinary_values, settle
from engine.networks.runners.pytorch import TorchRunner
from engine.networks.source import ModelChoice

SIZE = 16


def pictures(count: int) -> torch.Tensor:
    return 2 * torch.randn(count, 3, SIZE, SIZE) + torch.randn(count, 3, 1, 1)


class Block(torch.nn.Module):
    """What a fresh transformer hides: a layer scale next to 0, a zero gamma, a zero head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.norm = torch.nn.BatchNorm2d(8)
        self.layer_scale = torch.nn.Parameter(torch.full((8, 1, 1), 1e-6))
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 8))
        self.head = torch.nn.Linear(8, 5)
        for parameter in (self.norm.weight, self.head.weight, self.head.bias):
            torch.nn.init.zeros_(parameter)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features = self.layer_scale * self.norm(self.stem(picture))
        return self.head(features.amax((2, 3)) + self.token[0])


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    made = Block()
    give_ordinary_values(made)
    settle(made, pictures(8))
    return made


def test_nothing_stays_hidden(block: Block) -> None:
    for name, parameter in block.named_parameters():
        assert parameter.std() > 0.02, name
    assert block.layer_scale.min() >= 0.2
    assert block.norm.weight.min() >= 0.8
    logits = block(pictures(2))
    assert (logits[0] - logits[1]).abs().max() > 0.1


def test_batch_norms_know_the_activations(block: Block) -> None:
    normed = torch.nn.functional.batch_norm(
        block.stem(pictures(64)), block.norm.running_mean, block.norm.running_var
    )
    assert normed.mean((0, 2, 3)).abs().max() < 0.5
    assert 0.5 < normed.std((0, 2, 3)).mean() < 2
    assert not any(module.training for module in block.modules())
    assert block.norm.momentum == 0.1


def test_values_that_differ_stay() -> None:
    network = torch.nn.Sequential(
        torch.nn.AvgPool2d(SIZE), torch.nn.Flatten(), torch.nn.Linear(3, 2)
    )
    before = network[2].weight.clone()
    give_ordinary_values(network)
    assert torch.equal(network[2].weight, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "googlenet"])
def test_networks_answer_differently_to_different_pictures(name: str) -> None:
    source = torch_source(ModelChoice(name=name, random_weights=True))
    with TorchRunner(source.build) as runner:
        logits = runner.infer(check_inputs(source.preprocess))
    assert np.isfinite(logits).all()
    assert 0.01 < np.abs(logits).max() < 1000
    assert np.ptp(logits, axis=0).max() > 0.2 * np.abs(logits).max()


@pytest.mark.slow
def test_the_digest_does_not_depend_on_round_off() -> None:
    """Threads round batch norm statistics differently."""
    choice = ModelChoice(name="mobilenet_v3_small", random_weights=True)
    threads = torch.get_num_threads()
    digests = set()
    for count in (1, threads):
        torch.set_num_threads(count)
        digests.add(torch_source(choice).identity.weights_sha256)
    assert len(digests) == 1
