"""Settings of a conversion that few need: preprocessing, operator set, lowering, layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from engine.conversion.onnx_from_torch import HIGHEST_OPSET, LOWEST_OPSET
from engine.core.types import LAYOUTS, LOWERINGS, Layout, LoweringName
from engine.images.preprocess import (
    CHANNEL_ORDERS,
    INTERPOLATIONS,
    RESIZE_RULES,
    PreprocessChoice,
    PreprocessSpec,
    channel_values_in,
    input_size_in,
)
from pages.components.page_end import end_page
from pages.components.problems import plain

_OWN = "the model's own"
T = TypeVar("T")


def preprocessing(*, own_file: bool) -> PreprocessChoice:
    """Show what may differ from the model's own preprocessing.

    Args:
        own_file: The model is an ONNX file, which holds no preprocessing: it is assumed.
    """
    usual = PreprocessSpec()
    if own_file:
        st.caption("An ONNX file holds no preprocessing: what you leave empty here is assumed.")

    def placeholder(assumed: object) -> str:
        return f"assumed: {assumed}" if own_file else _OWN

    one, two, three, four = st.columns(4)
    size = one.text_input(
        "Input size, px",
        placeholder="the file's own, else 224" if own_file else _OWN,
        help="One side of a square, or height x width, such as 192x256.",
        key="pre_size",
        persist_state="session",
    )
    resize_size = one.number_input(
        "Shorter side, px",
        1,
        4096,
        None,
        placeholder=placeholder("8/7 of the input"),
        key="pre_short",
        persist_state="session",
    )
    resize = two.selectbox(
        "Resize",
        RESIZE_RULES,
        None,
        placeholder=placeholder(usual.resize),
        key="pre_resize",
        persist_state="session",
    )
    interpolation = two.selectbox(
        "Interpolation",
        INTERPOLATIONS,
        None,
        placeholder=placeholder(usual.interpolation),
        key="pre_inter",
        persist_state="session",
    )
    pad_value = one.number_input(
        "Margins of letterbox",
        0,
        255,
        None,
        placeholder=placeholder(usual.pad_value),
        disabled=resize != "letterbox",
        help="Pixel that fills what the picture leaves free, 0 to 255.",
        key="pre_pad",
        persist_state="session",
    )
    mean = three.text_input(
        "Mean",
        placeholder=placeholder(_written(usual.mean)),
        key="pre_mean",
        persist_state="session",
    )
    std = three.text_input(
        "Std",
        placeholder=placeholder(_written(usual.std)),
        key="pre_std",
        persist_state="session",
    )
    order = four.selectbox(
        "Channel order",
        CHANNEL_ORDERS,
        None,
        placeholder=placeholder(usual.channel_order),
        help="L is grey, as Pillow calls it.",
        key="pre_order",
        persist_state="session",
    )
    scale = four.text_input(
        "Scale of pixels",
        placeholder=placeholder("1/255"),
        help="Factor for pixels of 0 to 255, before mean and std: 1 where those are for 0 to 255.",
        key="pre_scale",
        persist_state="session",
    )
    return PreprocessChoice(
        input_size=_parsed("Input size", size, input_size_in),
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        channel_order=order,
        scale=_parsed("Scale of pixels", scale, _fraction),
        mean=_parsed("Mean", mean, channel_values_in),
        std=_parsed("Std", std, channel_values_in),
        pad_value=pad_value if resize == "letterbox" else None,
    )


def translation(*, own_file: bool) -> tuple[int | None, LoweringName, Layout, bool]:
    """Show how the model is translated.

    Args:
        own_file: The model is an ONNX file, whose operator set is what it is.

    Returns:
        Operator set (None for the lowest that works, or the file's own), lowering, input layout,
        and whether TensorFlow operators may be used.
    """
    one, two, three, four = st.columns(4, vertical_alignment="bottom")
    opset = one.number_input(
        "ONNX opset",
        LOWEST_OPSET,
        HIGHEST_OPSET,
        None,
        placeholder="the file's own" if own_file else "lowest that works",
        disabled=own_file,
        key="opset",
        persist_state="session",
    )
    lowering = two.selectbox(
        "Lowering",
        LOWERINGS,
        key="lowering",
        persist_state="session",
        help="nhwc: our translation, without needless transposes. stock: onnx-tf's own.",
    )
    layout = three.selectbox(
        "Input layout",
        LAYOUTS,
        key="input_layout",
        persist_state="session",
        help="NHWC is how phone code feeds pictures; NCHW costs a transpose.",
    )
    allow_flex = four.toggle(
        "Allow SELECT_TF",
        key="flex",
        persist_state="session",
        help="TensorFlow operators outside TFLite's own, only where a model needs them: the app "
        "then ships a larger runtime.",
    )
    return None if own_file else opset, lowering, layout, allow_flex


def _written(numbers: tuple[float, ...]) -> str:
    return ", ".join(map(str, numbers))


def _fraction(text: str) -> float:
    """Parse a number, perhaps as a fraction such as 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"'{text}' is not a number, such as 1 or 1/255.") from None


def _parsed(name: str, text: str, parse: Callable[[str], T]) -> T | None:
    """Parse what was typed, None where nothing was; wrong words end the page with a sentence."""
    if not text.strip():
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        st.warning(f"{name}: {plain(str(error))}")
        end_page()
