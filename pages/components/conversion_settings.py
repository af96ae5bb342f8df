"""Settings of a conversion that few need: preprocessing, operator set, lowering, layout."""

from __future__ import annotations

import streamlit as st

from engine.converters.onnx_from_torch import HIGHEST_OPSET, LOWEST_OPSET
from engine.preprocess import CHANNEL_ORDERS, INTERPOLATIONS, RESIZE_RULES, PreprocessSpec
from engine.requests import PreprocessChoice
from engine.types import LAYOUTS, LOWERINGS, Layout, LoweringName
from pages.components.page_end import end_page

_OWN = "the model's own"


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
    size = one.number_input(
        "Input size, px",
        1,
        2048,
        None,
        placeholder="the file's own, else 224" if own_file else _OWN,
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
        key="pre_order",
        persist_state="session",
    )
    return PreprocessChoice(
        input_size=size,
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        channel_order=order,
        mean=_triple("Mean", mean),
        std=_triple("Std", std),
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


def _written(numbers: tuple[float, float, float]) -> str:
    return ", ".join(map(str, numbers))


def _triple(name: str, text: str) -> tuple[float, float, float] | None:
    if not text.strip():
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        st.warning(f"{name}: three numbers with commas, such as 0.485, 0.456, 0.406.")
        end_page()
    return numbers[0], numbers[1], numbers[2]
