"""Run the model of this kit, and check it against its golden set.

It needs Python 3.10 or newer with two packages: ``ai-edge-litert`` and ``numpy``.

    pip install ai-edge-litert numpy
    python run_model.py              feed the golden inputs and compare the answers

    pip install pillow
    python run_model.py photo.jpg    what the model sees in a picture

The golden set needs no picture library: ``golden.npz`` holds its pictures as arrays, already cut to
the network's size. Only a picture of your own must be decoded and resized, which Pillow does.

Exit code: 0 where every answer lies within the tolerance, 1 where one does not, 2 where a picture
cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

HERE = Path(__file__).resolve().parent
INPUT_STEPS = 1
"""Steps by which an integer input may differ from the golden one."""

INPUT_VALUE = 1e-5
"""Distance that a float input may have from the golden one."""


class Model:
    """The model of this kit.

    Args:
        description: Content of ``model.json``.
        threads: Threads that LiteRT may use.
    """

    def __init__(self, description: dict[str, Any], threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.description = description
        self._interpreter = Interpreter(str(HERE / description["file"]), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def input_of(self, pixels: np.ndarray) -> np.ndarray:
        """Turn pixels into what the model is fed.

        Args:
            pixels: As `pixels_of` gives them.

        Returns:
            One input in the model's own layout and type, without the batch.
        """
        spec = self.description["preprocess"]
        if spec["channel_order"] == "BGR":
            pixels = pixels[:, :, ::-1]
        elif spec["channel_order"] == "L":
            pixels = luma(pixels)
        values = pixels.astype(np.float32) * np.float32(spec["scale"])
        values -= np.asarray(spec["mean"], dtype=np.float32)
        values /= np.asarray(spec["std"], dtype=np.float32)
        if self.description["layout"] == "NCHW":
            values = values.transpose(2, 0, 1)
        return quantize(np.ascontiguousarray(values), self.description["input"])

    def run(self, fed: np.ndarray) -> np.ndarray:
        """Run the model on one input; the scores are in the model's own type, shape (classes,)."""
        batch = int(self._input["shape"][0])
        self._interpreter.set_tensor(self._input["index"], np.repeat(fed[None], batch, axis=0))
        self._interpreter.invoke()
        answers = self._interpreter.get_tensor(self._output["index"])
        scores: np.ndarray = answers.reshape(batch, -1)[0]
        return scores

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Turn scores into shares that sum to 1; one score has two, of "no" and of "yes"."""
        values = dequantize(scores, self.description["output"])
        logits = self.description["scores"] == "logits"
        if len(values) == 1:
            values = np.append(0 if logits else 1 - values, values)
        if not logits:
            return values
        exponents = np.exp(values - values.max())
        shares: np.ndarray = exponents / exponents.sum()
        return shares


def luma(pixels: np.ndarray) -> np.ndarray:
    """Grey of shape (height, width, 1), as Pillow's convert("L") computes it (ITU-R 601-2)."""
    parts = pixels[:, :, :3].astype(np.int64) @ np.array([19595, 38470, 7471])
    grey: np.ndarray = ((parts + 0x8000) >> 16).astype(np.uint8)[:, :, None]
    return grey


def quantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Bring real values onto a tensor's integer grid; float tensors take them as they are."""
    dtype = np.dtype(tensor["dtype"])
    if tensor["scale"] is None:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(tensor["scale"])) + tensor["zero_point"]
    clipped: np.ndarray = np.clip(steps, limits.min, limits.max).astype(dtype)
    return clipped


def dequantize(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    """Compute real values: (integer - zero point) * scale; float tensors have them already."""
    if tensor["scale"] is None:
        return values.astype(np.float32)
    steps = values.astype(np.float32) - np.float32(tensor["zero_point"])
    return steps * np.float32(tensor["scale"])


def pixels_of(file: str, spec: dict[str, Any]) -> np.ndarray:
    """Decode a picture and bring it to the network's size, as the kit was made.

    Args:
        file: A picture that Pillow reads.
        spec: The preprocessing of ``model.json``.

    Returns:
        Shape (height, width, 3), uint8, red first; 4 with alpha for a network of RGBA.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: The file is no picture that can be used.
    """
    from PIL import Image

    mode = "RGBA" if spec["channel_order"] == "RGBA" else "RGB"
    picture = decode(file, mode)
    height, width = spec["height"], spec["width"]
    size = fitting_size(*picture.size, spec)
    scaled = picture.resize(size, Image.Resampling[spec["interpolation"].upper()])
    if size == (width, height):
        return np.asarray(scaled, dtype=np.uint8)
    opaque = (*(3 * (spec["pad_value"],)), 255)[: len(mode)]
    canvas = Image.new(mode, (width, height), opaque if spec["resize"] == "letterbox" else 0)
    canvas.paste(scaled, (offset(size[0], width), offset(size[1], height)))
    return np.asarray(canvas, dtype=np.uint8)


def fitting_size(columns: int, rows: int, spec: dict[str, Any]) -> tuple[int, int]:
    """Columns and rows that a picture is scaled to."""
    height, width, side = spec["height"], spec["width"], spec["resize_size"]
    if spec["resize"] == "squash":
        return width, height
    if spec["resize"] == "letterbox":
        if columns * height >= rows * width:
            return width, max(1, round(rows * width / columns))
        return max(1, round(columns * height / rows)), height
    if columns <= rows:
        return side, int(side * rows / columns)
    return int(side * columns / rows), side


def offset(scaled: int, wanted: int) -> int:
    """Place a scaled side begins at in the input; negative where it is cut off."""
    return (wanted - scaled) // 2 if scaled <= wanted else -round((scaled - wanted) / 2)


def decode(file: str, mode: str = "RGB") -> Image.Image:
    """Decode a picture file upright, with 8 bits a channel; RGB has transparency on white."""
    from PIL import Image, ImageOps

    try:
        opened = Image.open(file)
        picture = ImageOps.exif_transpose(opened)
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise ValueError(f"{file} cannot be read as a picture: {error}") from error
    if picture.mode in {"I", "F", "LAB", "HSV"}:
        raise ValueError(f"{file} has pixels in {picture.mode}, which nothing brings to RGB")
    if picture.mode.startswith("I;16"):
        # Pillow's convert() clips instead of scaling, and inverts 8 bits alone. The tags of TIFF:
        # 258 bits a sample, 262 whether 0 is white (0) or black (1).
        tags = getattr(opened, "tag_v2", {})
        values, clear = np.asarray(picture).astype(np.int64), picture.info.get("transparency")
        white = 2 ** tags.get(258, (16,))[0] - 1
        grey = ((values * 255 + white // 2) // white).astype(np.uint8)
        picture = Image.fromarray(255 - grey if tags.get(262) == 0 else grey)
        if isinstance(clear, int):
            picture.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if mode == "RGBA":
            return picture
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB").convert(mode)


def class_names(description: dict[str, Any]) -> list[str]:
    """Names of the answers; their numbers where the kit has no names."""
    if description["labels"] is None:
        return [f"class {index}" for index in range(max(2, description["classes"]))]
    text = (HERE / str(description["labels"])).read_text(encoding="utf-8")
    names = text.removesuffix("\n").split("\n")
    return [f"not {names[0]}", *names] if len(names) == 1 else names


def check(model: Model) -> bool:
    """Compare the model's answers with those of the golden set, picture by picture."""
    description, names = model.description, class_names(model.description)
    golden = description["golden"]
    arrays = np.load(HERE / "golden.npz")
    allowed = INPUT_VALUE if description["input"]["scale"] is None else INPUT_STEPS
    print(
        f"{description['file']}: outputs may differ by {golden['tolerance']:.2g} {golden['unit']}"
    )
    passed = True
    for row, picture in enumerate(golden["pictures"]):
        fed, scores = model.input_of(arrays["pixels"][row]), model.run(arrays["inputs"][row])
        off_in = largest_difference(fed, arrays["inputs"][row])
        off_out = largest_difference(scores, arrays["outputs"][row])
        good = off_in <= allowed and off_out <= golden["tolerance"]
        passed = passed and good
        print(
            f"  {'ok    ' if good else 'FAILED'} {picture}: input {off_in:.3g}, output "
            f"{off_out:.4g}; {names[int(model.probabilities(scores).argmax())]} "
            f"(expected {names[golden['answers'][row]]})"
        )
    count = len(golden["pictures"])
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    print(f"{'PASSED' if passed else 'FAILED'}: golden set of {pictures}")
    return passed


def largest_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference; infinite where shapes differ or a value is NaN."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return float("inf")
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()
    return float(difference) if np.isfinite(difference) else float("inf")


def show(model: Model, file: str) -> None:
    """Print the five most likely classes of a picture."""
    names = class_names(model.description)
    pixels = pixels_of(file, model.description["preprocess"])
    shares = model.probabilities(model.run(model.input_of(pixels)))
    for index in np.argsort(-shares, kind="stable")[:5]:
        print(f"{shares[index]:7.1%}  {names[index]}")


def main() -> int:
    """Read the command line; see the text at the top."""
    parser = argparse.ArgumentParser(description="Run the model of this kit.")
    parser.add_argument("picture", nargs="?", help="a picture; without one the golden set is run")
    parser.add_argument("--threads", type=int, default=1, help="threads that LiteRT may use")
    chosen = parser.parse_args()
    description = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    model = Model(description, chosen.threads)
    if chosen.picture is None:
        return 0 if check(model) else 1
    try:
        show(model, chosen.picture)
    except ImportError as error:
        parser.error(f"a picture needs Pillow ({error}): pip install pillow")
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
