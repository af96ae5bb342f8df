"""How a picture becomes the numbers a network is fed.

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

import engine
from engine.errors import OptionError
from engine.types import FloatArray

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
ResizeRule = Literal["shorter_side", "squash"]
ChannelOrder = Literal["RGB", "BGR"]

INTERPOLATIONS: tuple[Interpolation, ...] = (
    "nearest",
    "bilinear",
    "bicubic",
    "lanczos",
    "box",
    "hamming",
)
RESIZE_RULES: tuple[ResizeRule, ...] = ("shorter_side", "squash")
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = ("RGB", "BGR")
LARGEST_SIDE = 2048

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
        resize: ``shorter_side`` scales the shorter side to ``resize_size`` and crops the centre;
            ``squash`` scales to height x width without regard to proportions.
        resize_size: Length of the shorter side before the crop; not used by ``squash``.
        interpolation: Pillow's resampling filter; all but ``nearest`` are anti-aliased.
        channel_order: Order of the channels that the network expects.
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
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name, value in (("height", self.height), ("width", self.width)):
            _demand(1 <= value <= LARGEST_SIDE, name, value, f"1 to {LARGEST_SIDE} pixels")
        _demand(self.resize in RESIZE_RULES, "resize", self.resize, _any_of(RESIZE_RULES))
        _demand(
            self.interpolation in INTERPOLATIONS,
            "interpolation",
            self.interpolation,
            _any_of(INTERPOLATIONS),
        )
        _demand(
            self.channel_order in CHANNEL_ORDERS,
            "channel order",
            self.channel_order,
            _any_of(CHANNEL_ORDERS),
        )
        _demand(np.isfinite(self.scale) and self.scale > 0, "scale", self.scale, "more than 0")
        _demand(
            len(self.mean) == 3 and bool(np.isfinite(self.mean).all()),
            "mean",
            self.mean,
            "three finite numbers",
        )
        _demand(
            len(self.std) == 3 and bool(np.isfinite(self.std).all()) and min(self.std) > 0,
            "std",
            self.std,
            "three finite numbers above 0",
        )
        if self.resize == "shorter_side":
            _demand(
                max(self.height, self.width) <= self.resize_size <= 2 * LARGEST_SIDE,
                "resize size",
                self.resize_size,
                f"{max(self.height, self.width)} (the input size) to {2 * LARGEST_SIDE} pixels",
            )

    def with_input_size(self, size: int) -> PreprocessSpec:
        """The same preprocessing for a square input of another size.

        The share of the picture that the crop keeps stays as it was.

        Args:
            size: Height and width in pixels.

        Returns:
            A new record.
        """
        crop_fraction = max(self.height, self.width) / self.resize_size
        resize_size = max(size, round(size / crop_fraction))
        return replace(self, height=size, width=size, resize_size=resize_size)

    def apply(self, rgb: np.ndarray) -> FloatArray:
        """Turn one decoded picture into one network input.

        Args:
            rgb: Picture of shape (rows, columns, 3), uint8, red first.

        Returns:
            Network input of shape (height, width, 3), float32, channels in ``channel_order``.
        """
        return self.normalized(self.fitted(rgb))

    def fitted(self, rgb: np.ndarray) -> NDArray[np.uint8]:
        """Bring one decoded picture to the network's size: the first half of `apply`.

        Args:
            rgb: Picture of shape (rows, columns, 3), uint8, red first.

        Returns:
            Shape (height, width, 3), uint8, red first.
        """
        return np.asarray(self._resized(Image.fromarray(rgb)), dtype=np.uint8)

    def normalized(self, fitted: NDArray[np.uint8]) -> FloatArray:
        """Turn pixels of the network's size into its input: the second half of `apply`.

        Args:
            fitted: As `fitted` gives them.

        Returns:
            Shape (height, width, 3), float32, channels in ``channel_order``.
        """
        rows, columns, channels = fitted.shape
        if self.channel_order == "BGR":
            fitted = fitted[:, :, ::-1]
        # In place and along whole rows: broadcasting over the last three numbers is slow.
        values = fitted.astype(np.float32, order="C").reshape(rows, columns * channels)
        values *= np.float32(self.scale)
        values -= np.tile(np.asarray(self.mean, dtype=np.float32), columns)
        values /= np.tile(np.asarray(self.std, dtype=np.float32), columns)
        return values.reshape(fitted.shape)

    @property
    def fitting_key(self) -> str:
        """Everything that `fitted` depends on, short enough for the name of a folder."""
        size = f"-{self.resize_size}" if self.resize == "shorter_side" else ""
        fitted_by = f"{PIL.__version__}-{engine.__version__}"
        return f"{self.height}x{self.width}-{self.resize}{size}-{self.interpolation}-{fitted_by}"

    def _resized(self, picture: Image.Image) -> Image.Image:
        filter_ = Image.Resampling[self.interpolation.upper()]
        if self.resize == "squash":
            return picture.resize((self.width, self.height), filter_)
        # Rounding as in torchvision's Resize and CenterCrop, so that figures carry over.
        columns, rows = picture.size
        if columns <= rows:
            size = (self.resize_size, int(self.resize_size * rows / columns))
        else:
            size = (int(self.resize_size * columns / rows), self.resize_size)
        scaled = picture.resize(size, filter_)
        left = round((size[0] - self.width) / 2)
        top = round((size[1] - self.height) / 2)
        return scaled.crop((left, top, left + self.width, top + self.height))


def demand_plausible(spec: PreprocessSpec) -> None:
    """Refuse mean and std that belong to another scale of the pixels than the given one.

    Runs of older versions may hold such values and stay readable, so `PreprocessSpec` allows them.

    Args:
        spec: The preprocessing.

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


def _any_of(words: tuple[str, ...]) -> str:
    return "one of " + ", ".join(words)


def _demand(holds: object, name: str, got: object, expected: str) -> None:
    if not holds:
        raise OptionError(
            "Reading the preprocessing",
            got=f"{name} {got}",
            expected=expected,
            todo=f"Give another {name}.",
        )
