"""Choice of what a conversion makes: variants, a device, and how the model is translated."""

from __future__ import annotations

import streamlit as st

from engine.conversion.onnx_from_torch import HIGHEST_OPSET, LOWEST_OPSET
from engine.core import formats
from engine.core.types import LAYOUTS, LOWERINGS, Layout, LoweringName
from engine.portability.catalog import targets
from engine.quantization.recipes import ON_REQUEST, RECIPES, recipes_named
from engine.tasks.targets import choose_variants

_ANY, _DEVICE, _VARIANTS = "Any", "convert_device", "convert_variants"
_Options = tuple[int | None, LoweringName, Layout, bool]


def choose_variants_to_make(*, own_onnx: bool) -> tuple[tuple[str, ...], _Options]:
    """Show the variants, and how the model is translated; give both."""
    names = [recipe.name for recipe in RECIPES]
    st.selectbox(
        "For a device",
        [_ANY, *(target.title for target in targets() if target.variants)],
        key=_DEVICE,
        persist_state="session",
        on_change=_choose_for_device,
        help="Chooses the variants that run there.",
    )
    variants = st.pills(
        "Variants",
        [*names, *ON_REQUEST],
        selection_mode="multi",
        default=names,
        label_visibility="collapsed",
        persist_state="session",
        key=_VARIANTS,
    )
    with st.expander("Operator set and layout", icon=":material/tune:"):
        options = translation(own_file=own_onnx)
    return tuple(variants), options


def _choose_for_device() -> None:
    """Choose the variants that suit the device; those of a run where there is none."""
    title = st.session_state[_DEVICE]
    chosen = choose_variants(target.name for target in targets() if target.title == title)
    st.session_state[_VARIANTS] = [recipe.name for recipe in recipes_named(chosen)]


def count_variants(variants: tuple[str, ...]) -> str:
    """Name the variants that were chosen."""
    if set(variants) == {recipe.name for recipe in RECIPES}:
        return f"All {formats.number(len(variants))}"
    return ", ".join(variants) or "None yet"


def translation(*, own_file: bool) -> tuple[int | None, LoweringName, Layout, bool]:
    """Show how the model is translated.

    Returns:
        Operator set (None for the lowest that works, or the file's own), lowering, input layout,
        and whether TensorFlow operators may be used.
    """
    columns = st.columns(4, vertical_alignment="bottom")
    opset = columns[0].number_input(
        "ONNX opset",
        LOWEST_OPSET,
        HIGHEST_OPSET,
        None,
        placeholder="the file's own" if own_file else "lowest that works",
        disabled=own_file,
        key="opset",
        persist_state="session",
    )
    lowering = columns[1].selectbox(
        "Lowering",
        LOWERINGS,
        key="lowering",
        persist_state="session",
        help="nhwc: our translation, without needless transposes. stock: onnx-tf's own.",
    )
    layout = columns[2].selectbox(
        "Input layout",
        LAYOUTS,
        key="input_layout",
        persist_state="session",
        help="NHWC is how phone code feeds pictures; NCHW costs a transpose.",
    )
    allow_flex = columns[3].toggle(
        "Allow SELECT_TF",
        key="flex",
        persist_state="session",
        help="TensorFlow operators outside TFLite's own, only where a model needs them: the app "
        "then ships a larger runtime.",
    )
    return None if own_file else opset, lowering, layout, allow_flex
