"""What to convert: the widgets, and the request they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.conversion.onnx_from_torch import HIGHEST_OPSET, LOWEST_OPSET
from engine.core.errors import EngineError
from engine.core.limits import LIMITS, models_note
from engine.core.types import LAYOUTS, LOWERINGS, Layout, LoweringName
from engine.images.pictures import Picture
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
from pages.inputs.pictures import uploaded_pictures
from pages.inputs.uploads import dropped_files, kept_checkpoint, kept_model
from pages.state import jobs, session
from pages.state.messages import end_page, page_on_show, plain, show_problem, told

CATALOGUE, ONNX = "From the catalogue", "My ONNX file"
TRAINED, CHECKPOINT, RANDOM = "Trained", "My checkpoint", "Random"
DEMO, UPLOAD, FOLDER = "Crops of the sample images", "My pictures", "A folder on this machine"
_UPLOADED, _DROPPED = "qlab_uploaded_", "qlab_dropped_"


def convert_form() -> ConvertRequest | None:
    """Show the widgets.

    Returns:
        The request; None while something it needs is missing.
    """
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
        file = _upload(
            "ONNX file",
            help_="One picture in, logits out. Where its weights lie beside it (model.onnx.data), "
            "drop both together, or a zip of both.",
            several=True,
            keep=kept_model,
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
        checkpoint = _upload(
            "State dict",
            "pth",
            "pt",
            "ckpt",
            "bin",
            "safetensors",
            "json",
            help_="Tensors only: nothing in it is run. Where it is in several files, drop them "
            "together with their index (model.safetensors.index.json).",
            several=True,
            keep=kept_checkpoint,
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


def _upload(
    label: str,
    *endings: str,
    help_: str,
    most: int = LIMITS.upload_bytes,
    several: bool = False,
    keep: Callable[[Sequence[UploadedFile]], Picture] | None = None,
) -> str | None:
    """Show a place for a file, and keep what is dropped there.

    Args:
        label: Of the widget.
        endings: Of the files that are taken; any where none is given.
        help_: What the file is.
        most: Bytes that are taken.
        several: Whether more than one file may be dropped.
        keep: Keeps what was dropped, or raises where it can be nothing of use.

    Returns:
        Its path; None until there is one that can be used.
    """
    files = dropped_files(
        label, endings, key=f"upload_{label}", most=most, several=several, help=help_
    )
    if files:
        dropped = tuple(file.file_id for file in files)
        try:
            # Large files are looked into once, not with every click.
            if st.session_state.get(_DROPPED + label) != dropped or not _is_there(label):
                st.session_state[_UPLOADED + label] = (keep or _kept_file)(files)
                st.session_state[_DROPPED + label] = dropped
        except EngineError as error:
            show_problem(error)
            return None
        st.caption(session.uploads_kept())
    kept = st.session_state.get(_UPLOADED + label)
    if kept is None:
        return None
    if len(files) != 1:
        st.caption(f"Using {plain(kept.name)}{'' if files else ', uploaded before'}.")
    return str(kept.path)


def _is_there(label: str) -> bool:
    upload: Picture = st.session_state[_UPLOADED + label]
    return upload.path.exists()


def _kept_file(files: Sequence[UploadedFile]) -> Picture:
    return session.keep_upload(files[0].name, files[0].getvalue())


def _labels() -> str | None:
    with st.expander("Class names", icon=":material/label:"):
        st.caption("ImageNet's for 1,000 classes unless you give others.")
        return _upload(
            "Class names",
            *("txt", "csv", "json", "yaml", "yml"),
            help_="One a line, in the order of the outputs; or JSON, YAML or CSV with indices.",
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
            "Good for a look. For figures that count, give 100 to 500 pictures like those the "
            "model will meet."
        )
    elif source == FOLDER and not shared():
        folder = st.text_input("Folder", key="convert_folder", persist_state="session").strip()
        if not folder:
            return None
    else:
        folder = _uploaded_folder()
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
            "Seed of the choice", 0, 2**31, 0, key="convert_seed", persist_state="session"
        ),
    )


def _uploaded_folder() -> str | None:
    with told():
        kept = uploaded_pictures("Pictures", "upload_calibration")
        if kept:
            st.caption(session.uploads_kept())
            st.session_state[_UPLOADED + "calibration"] = str(session.keep_folder(kept))
    found: str | None = st.session_state.get(_UPLOADED + "calibration")
    return found


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
