"""Preprocessing: from an image to the numbers a network is fed.

`PreprocessSpec` is the only place where this is written down. PyTorch, calibration, every
runner and the manifest use the same record, so no variant can be fed differently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from engine.core.errors import OptionError
from engine.core.system import __version__
from engine.core.types import FloatArray, Layout, PictureMode

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
ResizeRule = Literal["shorter_side", "squash", "letterbox"]
ChannelOrder = Literal["RGB", "BGR", "L", "RGBA"]
INTERPOLATIONS: tuple[Interpolation, ...] = (
    "nearest",
    "bilinear",
    "bicubic",
    "lanczos",
    "box",
    "hamming",
)
RESIZE_RULES: tuple[ResizeRule, ...] = ("shorter_side", "squash", "letterbox")
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = ("RGB", "BGR", "L", "RGBA")
CHANNELS: dict[ChannelOrder, int] = {"RGB": 3, "BGR": 3, "L": 1, "RGBA": 4}
LARGEST_SIDE = 2048
InputSize = int | tuple[int, int]
"""Both sides of a square input in pixels, or height and width."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessSpec:
    """One picture in, one network input out.

    The value fed to the network is ``(pixel * scale - mean) / std`` for each channel, with
    ``pixel`` an integer of 0 to 255.

    Attributes:
        height: Rows of the network's input, in pixels.
        width: Columns of the network's input, in pixels.
        resize: ``shorter_side`` scales the shorter side to ``resize_size`` and crops the centre,
            as torchvision's ``Resize`` and ``CenterCrop`` do; ``squash`` scales to height x width
            without regard to proportions; ``letterbox`` scales until the whole picture lies
            inside, and fills the margins on both sides of it.
        resize_size: Length of the shorter side before the crop; only ``shorter_side`` uses it.
            Below the input's longer side, pictures that are too short for it get black margins,
            as by ``CenterCrop``.
        pad_value: Pixel of the margins of ``letterbox``, 0 to 255; 114 is that of YOLO's.
        interpolation: Pillow's resampling filter; all but ``nearest`` are anti-aliased.
        channel_order: Order of the channels that the network expects. ``L`` is grey as in Pillow
            and torchvision's ``Grayscale`` (ITU-R 601-2 luma: R 299/1000 + G 587/1000 +
            B 114/1000), one channel. ``RGBA`` ends with the alpha channel, which is 255 where
            a picture is opaque; for all others transparency is laid on white.
        scale: Factor for pixels, usually 1/255.
        mean: Subtracted after scaling, one a channel in ``channel_order``.
        std: Divided by after that, one a channel in ``channel_order``.

    Raises:
        OptionError: A value cannot describe a preprocessing.
    """

    height: int = 224
    width: int = 224
    resize: ResizeRule = "shorter_side"
    resize_size: int = 256
    interpolation: Interpolation = "bilinear"
    channel_order: ChannelOrder = "RGB"
    scale: float = 1 / 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    pad_value: int = 114

    def __post_init__(self) -> None:
        height_and_width((self.height, self.width))
        for name, choice, choices in (
            ("resize", self.resize, RESIZE_RULES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("channel order", self.channel_order, CHANNEL_ORDERS),
        ):
            _demand(choice in choices, name, choice, "one of " + ", ".join(choices))
        _demand(np.isfinite(self.scale) and self.scale > 0, "scale", self.scale, "more than 0")
        count = self.channels
        finite = f"{count} finite number{'' if count == 1 else 's'}, one a channel"
        for name, values in (("mean", self.mean), ("std", self.std)):
            right = len(values) == count and bool(np.isfinite(values).all())
            _demand(right, name, values, finite)
        _demand(min(self.std) > 0, "std", self.std, "numbers above 0")
        if self.resize == "shorter_side":
            shortest = min(self.height, self.width)
            _demand(
                shortest <= self.resize_size <= 2 * LARGEST_SIDE,
                "resize size",
                self.resize_size,
                f"{shortest} (the input's shorter side) to {2 * LARGEST_SIDE} pixels",
            )
        _demand(0 <= self.pad_value <= 255, "pad value", self.pad_value, "0 to 255")

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        return CHANNELS[self.channel_order]

    @property
    def picture_mode(self) -> PictureMode:
        """Pillow's mode of the images that `fitted` takes and gives."""
        return "RGBA" if self.channel_order == "RGBA" else "RGB"

    def with_input_size(self, size: InputSize) -> PreprocessSpec:
        """Adapt the preprocessing to an input of another size.

        The share of the picture that the crop keeps of its shorter side stays as it was; for an
        input that is no square, the shorter side is as long as the input's longer one at least,
        so that every picture fills it.

        Args:
            size: Both sides in pixels, or height and width.

        Returns:
            A new record.
        """
        height, width = height_and_width(size)
        longest, crop_fraction = max(height, width), max(self.height, self.width) / self.resize_size
        resize_size = max(longest, round(longest / crop_fraction))
        return replace(self, height=height, width=width, resize_size=resize_size)

    def apply(self, pixels: np.ndarray) -> FloatArray:
        """Turn one decoded image into one network input.

        Args:
            pixels: Image in ``picture_mode``: shape (rows, columns, 3 or 4), uint8, red first.

        Returns:
            Network input of shape (height, width, channels), float32, channels in
            ``channel_order``.
        """
        return self.normalized(self.fitted(pixels))

    def fitted(self, pixels: np.ndarray) -> NDArray[np.uint8]:
        """Bring one decoded image to the network's size: the first half of `apply`.

        Returns:
            Shape (height, width, 3 or 4), uint8, in ``picture_mode``: grey is made of it later.
        """
        return np.asarray(self._resize(Image.fromarray(pixels)), dtype=np.uint8)

    def visible(self, pixels: np.ndarray) -> NDArray[np.uint8]:
        """Show what `apply` makes of an image, before its values are scaled.

        Returns:
            Shape (height, width), uint8, for a grey input; as `fitted` for others, in the
            picture's own order of channels.
        """
        fitted = self.fitted(pixels)
        return np.asarray(Image.fromarray(fitted).convert("L")) if self.channels == 1 else fitted

    def normalized(self, fitted: NDArray[np.uint8]) -> FloatArray:
        """Turn pixels of the network's size into its input: the second half of `apply`.

        Returns:
            Shape (height, width, channels), float32, channels in ``channel_order``.
        """
        if self.channel_order == "BGR":
            fitted = fitted[:, :, ::-1]
        elif self.channel_order == "L":
            fitted = np.asarray(Image.fromarray(fitted).convert("L"))[:, :, None]
        rows, columns, channels = fitted.shape
        # In place and along whole rows: broadcasting over the last few numbers is slow.
        values = fitted.astype(np.float32, order="C").reshape(rows, columns * channels)
        values *= np.float32(self.scale)
        values -= np.tile(np.asarray(self.mean, dtype=np.float32), columns)
        values /= np.tile(np.asarray(self.std, dtype=np.float32), columns)
        return values.reshape(fitted.shape)

    def of_pixels(self) -> PreprocessSpec:
        """Leave normalization out: pixels are fed as they are."""
        zeros, ones = (0.0,) * self.channels, (1.0,) * self.channels
        return replace(self, scale=1.0, mean=zeros, std=ones)

    @property
    def feeds_pixels(self) -> bool:
        """Whether the network is fed pixels of 0 to 255 as they are."""
        return self == self.of_pixels()

    def of_noise(self) -> FloatArray:
        """Make the network input of an image of noise, always the same."""
        shape = 512, 512, len(self.picture_mode)
        return self.apply(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))

    @property
    def fitting_key(self) -> str:
        """Everything that `fitted` depends on, short enough for the name of a folder."""
        sizes = {"shorter_side": self.resize_size, "letterbox": self.pad_value}
        size = f"-{sizes[self.resize]}" if self.resize in sizes else ""
        mode = "" if self.picture_mode == "RGB" else f"-{self.picture_mode}"
        fitted_by = f"{self.interpolation}{mode}-{PIL.__version__}-{__version__}"
        return f"{self.height}x{self.width}-{self.resize}{size}-{fitted_by}"

    def _resize(self, picture: Image.Image) -> Image.Image:
        size = self._size_to_scale(*picture.size)
        scaled = picture.resize(size, Image.Resampling[self.interpolation.upper()])
        if size == (self.width, self.height):
            return scaled
        opaque = (*(3 * (self.pad_value,)), 255)[: len(self.picture_mode)]
        margins = opaque if self.resize == "letterbox" else 0
        canvas = Image.new(picture.mode, (self.width, self.height), margins)
        canvas.paste(scaled, (_offset(size[0], self.width), _offset(size[1], self.height)))
        return canvas

    def _size_to_scale(self, columns: int, rows: int) -> tuple[int, int]:
        """Compute the columns and rows that an image is scaled to."""
        if self.resize == "squash":
            return self.width, self.height
        if self.resize == "letterbox":
            if columns * self.height >= rows * self.width:
                return self.width, max(1, round(rows * self.width / columns))
            return max(1, round(columns * self.height / rows)), self.height
        # Rounding as in torchvision's Resize, so that figures carry over.
        if columns <= rows:
            return self.resize_size, int(self.resize_size * rows / columns)
        return int(self.resize_size * columns / rows), self.resize_size


def _offset(scaled: int, wanted: int) -> int:
    """Return where a scaled side begins in the input, as in torchvision's CenterCrop."""
    return (wanted - scaled) // 2 if scaled <= wanted else -round((scaled - wanted) / 2)


def height_and_width(size: InputSize) -> tuple[int, int]:
    """Split an input size into height and width.

    Raises:
        OptionError: It is neither a number nor two, or a side is out of range.
    """
    sides = (size, size) if isinstance(size, int) else size
    _demand(len(sides) == 2, "input size", size, "one side of a square, or height and width")
    for name, side in zip(("height", "width"), sides, strict=True):
        _demand(1 <= side <= LARGEST_SIDE, name, side, f"1 to {LARGEST_SIDE} pixels")
    return sides[0], sides[1]


def input_size_in(text: str) -> InputSize:
    """Parse an input size: ``224``, or ``192x256`` for 192 rows and 256 columns.

    Raises:
        ValueError: The text is something else; the message is a sentence for a person.
    """
    try:
        sides = [
            int(part) for part in text.lower().replace("\N{MULTIPLICATION SIGN}", "x").split("x")
        ]
    except ValueError:
        sides = []
    if len(sides) not in {1, 2}:
        raise ValueError(
            f"'{text}' is not a valid integer, such as 224, nor HEIGHTxWIDTH, such as 192x256."
        )
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def default_preprocess(channels: int) -> PreprocessSpec:
    """Assume ImageNet's usual values for a file without preprocessing, with 1, 3 or 4 channels.

    Grey has the mean of the three colours' values; alpha becomes 0 to 1.
    """
    if channels == 1:
        return PreprocessSpec(channel_order="L", mean=(0.449,), std=(0.226,))
    if channels == 4:
        mean, std = (*IMAGENET_MEAN, 0.0), (*IMAGENET_STD, 1.0)
        return PreprocessSpec(channel_order="RGBA", mean=mean, std=std)
    return PreprocessSpec()


def demand_plausible(spec: PreprocessSpec) -> None:
    """Refuse mean and std that belong to another scale of the pixels than the given one.

    Runs of older versions may hold such values and stay readable, so `PreprocessSpec` allows them.

    Raises:
        OptionError: A mean or std is more than twice the largest scaled pixel, so that all
            pictures give nearly the same input; or std is so small that inputs pass +-500.
    """
    white = 255 * spec.scale
    if max(map(abs, spec.mean)) > 2 * white or max(spec.std) > 2 * white:
        todo = "Give scale 1 with mean and std for pixels of 0 to 255."
    elif white > 500 * min(spec.std):
        todo = "Give their own scale, such as 1/255 (0.00392157) for pixels of 0 to 1."
    else:
        return
    mean, std = (",".join(f"{v:.6g}" for v in values) for values in (spec.mean, spec.std))
    raise OptionError(
        "Reading the preprocessing",
        got=f"mean {mean} and std {std} with scale {spec.scale:.6g}, which makes pixels of "
        f"0 to {white:.6g}",
        expected="mean and std for pixels of that range",
        todo=todo,
    )


def channel_values_in(text: str) -> tuple[float, ...]:
    """Parse a mean or std: numbers with commas, one a channel, or one for all channels.

    Raises:
        ValueError: The text is something else; the message is a sentence for a person.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in {1, *CHANNELS.values()}:
        raise ValueError(
            f"'{text}' is not three numbers such as 0.485,0.456,0.406 (grey has one, RGBA four), "
            "nor one for all channels."
        )
    return numbers


def _demand(holds: object, name: str, got: object, expected: str) -> None:
    if not holds:
        raise OptionError(
            "Reading the preprocessing",
            got=f"{name} {got}",
            expected=expected,
            todo=f"Give another {name}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessChoice:
    """Deviations from the model's own preprocessing; None keeps the model's own value.

    A mean or std of a single number is that of all channels; for the others see `PreprocessSpec`.

    Attributes:
        input_size: Both sides of the network's input in pixels, or height and width.
    """

    input_size: InputSize | None = None
    resize: ResizeRule | None = None
    resize_size: int | None = None
    interpolation: Interpolation | None = None
    channel_order: ChannelOrder | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    pad_value: int | None = None


def in_layout(pictures: FloatArray, layout: Layout) -> FloatArray:
    """Order the dimensions of a batch (pictures, height, width, channels) as ``layout``."""
    if layout == "NCHW":
        pictures = pictures.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pictures)
