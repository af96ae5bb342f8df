"""Networks of the person's own: small, and of every kind of answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

CLASSES = 5
Answer = Callable[[torch.nn.Module, torch.Tensor], Any]


def tiny_network(classes: int = CLASSES, channels: int = 3) -> torch.nn.Sequential:
    """Convolution, norm, dropout and head, in training mode; the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 8, 3, stride=2),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU6(),
            torch.nn.Dropout(0.5),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(8, classes),
        )
        torch.nn.init.normal_(network[-1].weight, 0, 10)
    return network


class Answering(torch.nn.Module):
    """A tiny network whose answer a function changes."""

    def __init__(self, answer: Answer, body: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.body = body or tiny_network()
        self.answer = answer

    def forward(self, picture: torch.Tensor) -> Any:
        return self.answer(self.body, picture)
