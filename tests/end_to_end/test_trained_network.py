"""The optimizing pass on a network that was trained, with squeeze-and-excitation and hard-swish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.conversion.onnx_from_torch import onnx_from_torch
from engine.images.preprocess import PreprocessChoice, PreprocessSpec
from engine.quantization.optimizer.optimize import MARGIN
from engine.quantization.optimizer.sampling import HELD_OUT
from engine.tasks.improve import read_optimized_layers

SIZE, CLASSES, CALIBRATION = 32, 8, 128
MEAN = 0.5


def gratings(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes of ``CLASSES`` directions, of any colour, width and place, under noise; uint8."""
    labels = rng.integers(0, CLASSES, count)
    angle = (labels / CLASSES * np.pi)[:, None, None]
    y, x = np.mgrid[:SIZE, :SIZE]
    width = rng.uniform(0.5, 1.2, (count, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(width * (np.cos(angle) * x + np.sin(angle) * y) + phase)[..., None]
    colours = rng.uniform(-0.5, 0.5, (count, 1, 1, 3))
    pixels = 0.5 + waves * colours + rng.normal(0, 0.08, (count, SIZE, SIZE, 3))
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8), labels


def network() -> Any:
    import torch
    from torch import nn

    class Squeeze(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.less, self.more = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, channels, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gate = self.more(torch.relu(self.less(x.mean((2, 3), keepdim=True))))
            return x * nn.functional.hardsigmoid(gate)

    def block(inside: int, out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inside, inside, 3, 2, 1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.Hardswish(),
            Squeeze(inside),
            nn.Conv2d(inside, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.Hardswish(),
        )

    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*stem, block(16, 32), block(32, 64), *head)


def trained(rng: np.random.Generator) -> Any:
    import torch

    torch.manual_seed(0)
    made = network()
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    for _ in range(100):
        pixels, labels = gratings(rng, 48)
        scaled = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255) - MEAN)
        loss = torch.nn.functional.cross_entropy(made(scaled), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made.eval()


def pictures(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.slow
def test_a_trained_network_is_never_made_worse(tmp_path: Path) -> None:
    import torch

    rng = np.random.default_rng(0)
    made = trained(rng)
    pixels, labels = gratings(rng, 128)
    with torch.no_grad():
        scaled = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / np.float32(255) - MEAN)
        right = (made(scaled).argmax(1).numpy() == labels).mean()
    assert right > 0.8
    file = tmp_path / "gratings.onnx"
    onnx_from_torch(made, file, height=SIZE, width=SIZE, opset=None)
    names = ["float32", "int8_float_io", "int8_float_io_optimized", "int8", "int8_optimized"]
    run = engine.convert(
        onnx=file,
        preprocess=PreprocessChoice(scale=1 / 255, mean=(MEAN,) * 3, std=(1.0,) * 3),
        variants=names,
        calibration=pictures(tmp_path / "calibration", gratings(rng, CALIBRATION)[0]),
        calibration_count=CALIBRATION,
        out=tmp_path / "run",
    )
    spec: PreprocessSpec = run.manifest.preprocess
    assert (spec.height, spec.width) == (SIZE, SIZE)
    others = pictures(tmp_path / "evaluation", pixels)
    found = engine.compare(run, others, reference="float32")
    rms = {side.variant: side.logit_rms for side in found.variants}
    assert rms["int8_float_io_optimized"] <= 1.02 * rms["int8_float_io"]
    assert rms["int8_optimized"] <= 1.02 * rms["int8"]
    layers = read_optimized_layers(run, "int8_float_io_optimized")
    assert layers[-1].done[-1] == "float32"
    assert all(layer.after <= layer.before for layer in layers if layer.done and layer.before)
    # The range of int8 logits gets a margin whatever their own error, since clipped answers may
    # tie. So the head alone may be worse, by its wider steps. How two grids happen to round the
    # held-out logits is chance beside that: the rms of n roundings varies by sqrt(0.2 / n) of it.
    *others, head = read_optimized_layers(run, "int8_optimized")
    assert all(layer.after <= layer.before for layer in others if layer.done and layer.before)
    before, after = (run.artifact(name).outputs[0].scale for name in ("int8", "int8_optimized"))
    assert before is not None
    assert after is not None
    assert after <= (1 + MARGIN) * before * (1 + np.finfo(np.float32).eps)
    assert head.before is not None
    assert head.after is not None
    chance = 3 * np.sqrt(2 * 0.2 / (CALIBRATION // HELD_OUT * CLASSES))
    assert head.after <= (1 + MARGIN) * head.before * (1 + chance)
