"""Which of the tensors that a network returns are there, by which name, for which picture."""

from __future__ import annotations

import re
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from engine.core.errors import ModelError
from engine.networks.given_network import in_float32
from engine.networks.network_outputs import TriedNetwork, name_tensors, try_network
from tests.helpers.tiny_network import CLASSES, Answer, Answering, tiny_network

Pair = namedtuple("Pair", ["logits", "aux"])


@dataclass
class ModelOutput:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


A, B = torch.zeros(1, 2), torch.ones(1, 3)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (A, ["logits"]),
        ((A,), ["output_0"]),
        ([A, None, B], ["output_0", "output_2"]),
        (Pair(A, B), ["logits", "aux"]),
        (OrderedDict(out=A, aux=B), ["out", "aux"]),
        (ModelOutput(A), ["logits"]),
        ({"logits": A, "states": (B, [A + 1])}, ["logits", "states.0", "states.1.0"]),
        ((A, A), ["output_0"]),
        (["a", 3, None], []),
    ],
)
def test_tensors_have_names(value: Any, names: list[str]) -> None:
    assert list(name_tensors(value)) == names


def tried(network: torch.nn.Module, height: int = 16, width: int = 24) -> TriedNetwork:
    with in_float32(network) as float_network:
        return try_network(float_network, "Mine", height, width)


def test_a_plain_network_stays_itself() -> None:
    network = tiny_network()
    seen = tried(network)
    assert (seen.channels, seen.plain, seen.values["logits"].shape) == (3, True, (1, CLASSES))
    assert seen.with_output("logits") is network


@pytest.mark.parametrize("channels", [1, 4])
def test_the_first_convolution_says_how_many_channels(channels: int) -> None:
    assert tried(tiny_network(channels=channels)).channels == channels


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (lambda body, picture: (picture, body(picture)), "output_1"),
        (lambda body, picture: {"logits": body(picture), "picture": picture}, "logits"),
        (lambda body, picture: body(picture).bfloat16(), "logits"),
    ],
)
def test_one_output_alone_is_float32(answer: Answer, name: str) -> None:
    network = Answering(answer)
    with in_float32(network) as float_network:
        single = try_network(float_network, "Mine", 16, 24).with_output(name)
        logits = single(torch.ones(1, 3, 16, 24))
        plain = network.body(torch.ones(1, 3, 16, 24))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, plain, rtol=1e-2, atol=1e-2)


class TwoInputs(torch.nn.Module):
    def forward(self, picture: torch.Tensor, question: torch.Tensor) -> torch.Tensor:
        return picture + question


class NamedInput(torch.nn.Module):
    def forward(self, picture: torch.Tensor, *, question: torch.Tensor) -> torch.Tensor:
        return picture + question


class Attention(torch.nn.Module):
    """Its first convolution is of one channel, and no stem."""

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.body = tiny_network()

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.body(picture * self.place(picture.mean(1, keepdim=True)))


@pytest.mark.parametrize(
    ("network", "channels"),
    [
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16 * 24, 2)), 1),
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 16 * 24, 2)), 4),
        (Attention(), 3),
    ],
)
def test_channels_are_those_that_the_network_takes(network: torch.nn.Module, channels: int) -> None:
    assert tried(network).channels == channels


class Batch(torch.nn.Module):
    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["picture"]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 2)),
            "picture of 3 x 16 x 24: got a refusal (mat1 and mat2 shapes",
        ),
        (TwoInputs(), "whose forward takes the picture alone"),
        (NamedInput(), "whose forward takes the picture alone"),
        (Answering(lambda body, picture: {}["head"]), "got a refusal (KeyError: 'head')"),
        (Batch(), "wrap it in a torch.nn.Module that makes that of a picture"),
        (Answering(lambda body, picture: None), "got a NoneType without a tensor"),
        (Answering(lambda body, picture: 1 / 0), "got a refusal (division by zero)"),
    ],
)
def test_what_gives_no_logits_is_refused(network: torch.nn.Module, reason: str) -> None:
    with pytest.raises(ModelError, match=re.escape(reason)):
        tried(network)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_scripted_network_of_two_inputs_is_refused_alike() -> None:
    with pytest.raises(ModelError, match="whose forward takes the picture alone"):
        tried(torch.jit.script(TwoInputs()))
