"""Form of a conversion: the widgets, and the request that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import streamlit as st

from engine.conversion.onnx_from_torch import HIGHEST_OPSET, LOWEST_OPSET
from engine.core.limits import LIMITS, models_note
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
from engine.networks.source import DEFAULT_MODEL, ModelChoice
from engine.quantization.calibration import DEFAULT_CALIBRATION_COUNT, CalibrationChoice
from engine.quantization.recipes import RECIPES
from engine.reporting.glossary import meaning
from engine.runs.request import ConvertRequest
from engine.tasks import catalog as service
from engine.workers import sandbox
from pages.access.auth import shared
from pages.inputs.pictures import ask_for_pictures
from pages.inputs.uploads import ask_for_upload, keep_checkpoint, keep_model
from pages.state import jobs, session
from pages.state.messages import end_page, page_on_show, plain, show_errors

CATALOGUE, ONNX = "From the catalogue", "My ONNX file"
TRAINED, CHECKPOINT, RANDOM = "Trained", "My checkpoint", "Random"
DEMO, UPLOAD, FOLDER = "Crops of the supplied pictures", "My pictures", "A folder on this machine"
_UPLOADED_FOLDER = "qlab_uploaded_calibration"


def convert_form() -> ConvertRequest | None:
    """Show the widgets and make the request; None while something it needs is missing."""
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.header("Model")
        model = _model()
    with right.container(border=True, height="stretch"):
        st.header("Calibration pictures", help=meaning("representative dataset"))
        calibration = _calibration()
    with st.container(border=True):
        st.header("Variants")
        variants = st.pills(
            "Variants",
            [recipe.name for recipe in RECIPES],
            selection_mode="multi",
            default=[recipe.name for recipe in RECIPES],
            label_visibility="collapsed",
            persist_state="session",
            key="convert_variants",
        )
        own_file = model is not None and model.onnx is not None
        with st.expander(
            "Preprocessing and operator set", expanded=own_file, icon=":material/tune:"
        ):
            preprocess = preprocessing(own_file=own_file)
            opset, lowering, input_layout, allow_flex = translation(own_file=own_file)
    if model is None or calibration is None:
        return None
    if not variants:
        st.info("Choose at least one variant.", icon=":material/info:")
        return None
    request = ConvertRequest(
        model=model,
        preprocess=preprocess,
        variants=tuple(variants),
        calibration=calibration,
        opset=opset,
        allow_flex=allow_flex,
        lowering=lowering,
        input_layout=input_layout,
    )
    return replace(request, owner=session.uploads_owner(request))


def _model() -> ModelChoice | None:
    kind = st.segmented_control(
        "Where it comes from",
        [CATALOGUE, ONNX],
        default=CATALOGUE,
        required=True,
        label_visibility="collapsed",
        key="convert_kind",
        persist_state="session",
    )
    if kind == ONNX:
        file = ask_for_upload(
            "ONNX file",
            help="One picture in, logits out. Where its weights lie beside it (model.onnx.data), "
            "drop both together, or a zip of both.",
            several=True,
            keep=keep_model,
        )
        st.caption(f"{models_note()} {sandbox.note()}")
        labels = _labels()
        output = st.text_input(
            "Output",
            key="convert_output",
            persist_state="session",
            placeholder="the only one that can hold logits",
            help="Where the file has several outputs that can: the name of the one to take.",
        ).strip()
        if file is None:
            st.info("Upload an ONNX file to go on.", icon=":material/upload:")
            return None
        return ModelChoice(name=Path(file).stem, onnx=file, labels=labels, output=output or None)
    name = st.selectbox("Model", _names(), key="convert_model", persist_state="session")
    weights = st.segmented_control(
        "Weights",
        [TRAINED, CHECKPOINT, RANDOM],
        default=TRAINED,
        required=True,
        key="convert_weights",
        persist_state="session",
        help="Random weights show size and latency only.",
    )
    if weights == RANDOM:
        return ModelChoice(name=name, random_weights=True)
    checkpoint, weights_of = None, ""
    if weights == CHECKPOINT:
        checkpoint = ask_for_upload(
            "State dict",
            "pth",
            "pt",
            "ckpt",
            "bin",
            "safetensors",
            "json",
            help="Tensors only: nothing in it is run. Where it is in several files, drop them "
            "together with their index (model.safetensors.index.json).",
            several=True,
            keep=keep_checkpoint,
        )
        st.caption(f"{models_note()} {sandbox.note()}")
        weights_of = st.text_input(
            "Set of weights",
            key="convert_weights_of",
            persist_state="session",
            placeholder="the average over the training (EMA), where there is one",
            help="Where the checkpoint holds several sets: what the names of the one to take "
            "begin with, such as state_dict_ema. The run's notes name them all.",
        ).strip()
        if checkpoint is None:
            st.info("Upload a checkpoint to go on.", icon=":material/upload:")
            return None
    return ModelChoice(
        name=name, checkpoint=checkpoint, weights_of=weights_of or None, labels=_labels()
    )


def _names() -> list[str]:
    job = jobs.get("catalog")
    if job is None:
        jobs.start("catalog", "Reading the catalogue", service.models)
        job = jobs.get("catalog")
    if job is not None and not job.active:
        if job.error is None and isinstance(job.result, tuple):
            return [entry.name for entry in job.result]
        return [DEFAULT_MODEL]
    _wait_for_catalogue(page_on_show())
    return [DEFAULT_MODEL]


@st.fragment(run_every=1.0)
def _wait_for_catalogue(page: str) -> None:
    if page != page_on_show():
        return
    job = jobs.get("catalog")
    if job is not None and not job.active:
        st.rerun()
    st.caption("Reading the catalogue; more models appear in a few seconds.")


def _labels() -> str | None:
    with st.expander("Class names", icon=":material/label:"):
        st.caption("ImageNet's for 1,000 classes unless you give others.")
        return ask_for_upload(
            "Class names",
            *("txt", "csv", "json", "yaml", "yml"),
            help="One a line, in the order of the outputs; or JSON, YAML or CSV with indices.",
            most=LIMITS.text_bytes,
        )


def _calibration() -> CalibrationChoice | None:
    source = st.segmented_control(
        "Source",
        [DEMO, UPLOAD] if shared() else [DEMO, UPLOAD, FOLDER],
        default=DEMO,
        required=True,
        label_visibility="collapsed",
        key="convert_calibration",
        persist_state="session",
    )
    folder: str | None = None
    if source == DEMO:
        st.caption(
            "Good for a first look. Before relying on the numbers, give 100 to 500 pictures like "
            "those the model will see."
        )
    elif source == FOLDER and not shared():
        folder = st.text_input("Folder", key="convert_folder", persist_state="session").strip()
        if not folder:
            return None
    else:
        folder = _ask_for_folder()
        if folder is None:
            st.info("Drop some pictures to go on.", icon=":material/upload:")
            return None
    count, seed = st.columns(2)
    return CalibrationChoice(
        folder=folder,
        count=count.number_input(
            "Pictures to use",
            1,
            10_000,
            DEFAULT_CALIBRATION_COUNT,
            key="convert_count",
            persist_state="session",
        ),
        seed=seed.number_input(
            "Random seed", 0, 2**31, 0, key="convert_seed", persist_state="session"
        ),
    )


def _ask_for_folder() -> str | None:
    with show_errors():
        pictures = ask_for_pictures("Pictures", "upload_calibration")
        if pictures:
            st.caption(session.uploads_kept())
            st.session_state[_UPLOADED_FOLDER] = str(session.keep_folder(pictures))
    folder: str | None = st.session_state.get(_UPLOADED_FOLDER)
    return folder


_OWN = "the model's own"
T = TypeVar("T")


def preprocessing(*, own_file: bool) -> PreprocessChoice:
    """Show what may differ from the model's own preprocessing; an ONNX file holds none."""
    usual = PreprocessSpec()
    if own_file:
        st.caption("An ONNX file holds no preprocessing: what you leave empty here is assumed.")

    def placeholder(assumed: object) -> str:
        return f"assumed: {assumed}" if own_file else _OWN

    sides, resizing, values, pixels = st.columns(4)
    size = sides.text_input(
        "Input size, px",
        placeholder="the file's own, else 224" if own_file else _OWN,
        help="One side of a square, or height x width, such as 192x256.",
        key="pre_size",
        persist_state="session",
    )
    resize_size = sides.number_input(
        "Shorter side, px",
        1,
        4096,
        None,
        placeholder=placeholder("8/7 of the input"),
        key="pre_short",
        persist_state="session",
    )
    resize = resizing.selectbox(
        "Resize",
        RESIZE_RULES,
        None,
        placeholder=placeholder(usual.resize),
        key="pre_resize",
        persist_state="session",
    )
    interpolation = resizing.selectbox(
        "Interpolation",
        INTERPOLATIONS,
        None,
        placeholder=placeholder(usual.interpolation),
        key="pre_inter",
        persist_state="session",
    )
    pad_value = sides.number_input(
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
    mean = values.text_input(
        "Mean",
        placeholder=placeholder(_number_list(usual.mean)),
        key="pre_mean",
        persist_state="session",
    )
    std = values.text_input(
        "Std",
        placeholder=placeholder(_number_list(usual.std)),
        key="pre_std",
        persist_state="session",
    )
    order = pixels.selectbox(
        "Channel order",
        CHANNEL_ORDERS,
        None,
        placeholder=placeholder(usual.channel_order),
        help="L is grey, as Pillow calls it.",
        key="pre_order",
        persist_state="session",
    )
    scale = pixels.text_input(
        "Scale of pixels",
        placeholder=placeholder("1/255"),
        help="Factor for pixels of 0 to 255, before mean and std: 1 where those are for 0 to 255.",
        key="pre_scale",
        persist_state="session",
    )
    return PreprocessChoice(
        input_size=_parse("Input size", size, input_size_in),
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        channel_order=order,
        scale=_parse("Scale of pixels", scale, _fraction),
        mean=_parse("Mean", mean, channel_values_in),
        std=_parse("Std", std, channel_values_in),
        pad_value=pad_value if resize == "letterbox" else None,
    )


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


def _number_list(numbers: tuple[float, ...]) -> str:
    return ", ".join(map(str, numbers))


def _fraction(text: str) -> float:
    """Parse a number, perhaps as a fraction such as 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"'{text}' is not a number, such as 1 or 1/255.") from None


def _parse(name: str, text: str, parse: Callable[[str], T]) -> T | None:
    """Parse what was typed, None where nothing was; wrong words end the page with a sentence."""
    if not text.strip():
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        st.warning(f"{name}: {plain(str(error))}")
        end_page()
