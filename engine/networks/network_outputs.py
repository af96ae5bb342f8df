"""What a network takes and gives: found by showing it a blank picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError, first_line

if TYPE_CHECKING:
    import torch

_PICTURE_CHANNELS = (3, 1, 4)


@dataclasses.dataclass(frozen=True, slots=True)
class TriedNetwork:
    """A network that answered a blank picture.

    Attributes:
        network: The network.
        channels: Numbers of a pixel that it takes.
        values: What it gave, by name; `OUTPUT_NAME` where it is a single tensor.
        plain: Whether it gave a single tensor of float32.
    """

    network: torch.nn.Module
    channels: int
    values: Mapping[str, np.ndarray]
    plain: bool

    def with_output(self, name: str) -> torch.nn.Module:
        """Make the network return one of its ``values`` alone, in float32."""
        import torch

        if self.plain:
            return self.network

        class OneOutput(torch.nn.Module):
            def __init__(self, network: torch.nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(self, picture: torch.Tensor) -> torch.Tensor:
                return name_tensors(self.network(picture))[name].float()

        return OneOutput(self.network).eval()


def try_network(network: torch.nn.Module, name: str, height: int, width: int) -> TriedNetwork:
    """Show a network a blank picture of as many channels as it takes.

    Raises:
        ModelError: It takes no picture of that size, or gives no tensor.
    """
    import torch

    first = _channels(network)
    refusals: list[Exception] = []
    for channels in (first, *(count for count in _PICTURE_CHANNELS if count != first)):
        try:
            value = network(torch.zeros(1, channels, height, width))
            break
        except Exception as error:  # whatever the person's code raises
            refusals.append(error)
    else:
        raise ModelError(
            f"Showing {name} a picture of {first} x {height} x {width}",
            got=f"a refusal ({_reason(refusals[0])})",
            expected="logits",
            todo=_what_to_do(refusals[0]),
        ) from refusals[0]
    stage = f"Showing {name} a picture of {channels} x {height} x {width}"
    values = {key: _array(tensor) for key, tensor in name_tensors(value).items()}
    if not values:
        raise ModelError(
            stage,
            got=f"a {type(value).__name__} without a tensor",
            expected="logits, as a tensor or in a tuple or dict of tensors",
            todo="Wrap it in a torch.nn.Module whose forward returns the logits.",
        )
    plain = isinstance(value, torch.Tensor) and value.dtype == torch.float32
    return TriedNetwork(network, channels, values, plain)


def _channels(network: torch.nn.Module) -> int:
    """Guess the channels that a network takes: those of its first convolution of a picture."""
    import torch

    for module in network.modules():
        channels = getattr(module, "in_channels", None)
        if isinstance(module, torch.nn.Conv2d) and channels in _PICTURE_CHANNELS:
            return int(channels)
    return _PICTURE_CHANNELS[0]


def _reason(error: Exception) -> str:
    # Of a KeyError the message is the key alone.
    name = f"{type(error).__name__}: " if isinstance(error, KeyError) else ""
    return name + first_line(error)


def _what_to_do(error: Exception) -> str:
    if "forward" in str(error) and " argument" in str(error):  # a RuntimeError of scripted ones
        return "Wrap it in a torch.nn.Module whose forward takes the picture alone."
    return (
        "Give the size that it takes: input_size=224, or (height, width). On the processor, in "
        "float32 and evaluation mode it must take one picture of 1, 3 or 4 channels, channels "
        "first; where it takes something else, wrap it in a torch.nn.Module that makes that of a "
        "picture."
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    values: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return values


def name_tensors(value: object) -> dict[str, torch.Tensor]:
    """Name every tensor that a network returned.

    Returns:
        Tensors by keys, fields and indices, joined by points; each once.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return {OUTPUT_NAME: value}
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in _parts(value, ""):
        if not any(tensor is earlier for earlier in tensors.values()):
            tensors[name] = tensor
    return tensors


def _parts(value: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
        return
    for key, part in _entries(value, name):
        yield from _parts(part, f"{name}.{key}" if name else key)


def _entries(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif dataclasses.is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, tuple | list):
        yield from ((str(i) if name else f"output_{i}", part) for i, part in enumerate(value))


OUTPUT_NAME = "logits"
