"""Form of a conversion: five steps, and the request that they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from engine.core.limits import LIMITS, models_note
from engine.images.preprocess import PreprocessChoice
from engine.networks.source import DEFAULT_MODEL, ModelChoice
from engine.quantization.calibration import DEFAULT_CALIBRATION_COUNT, CalibrationChoice
from engine.reporting.glossary import meaning
from engine.runs.request import ConvertRequest
from engine.tasks import catalog as service
from engine.tasks.own_model import ModelReading
from engine.workers import sandbox
from pages.access.auth import shared
from pages.inputs.pictures import ask_for_pictures
from pages.inputs.preprocessing import (
    CALIBRATION,
    STEP,
    Preprocessing,
    file_preprocessing,
    network_preprocessing,
)
from pages.inputs.recipes import choose_variants_to_make, count_variants
from pages.inputs.uploads import (
    ask_for_upload,
    describe_facts,
    keep_checkpoint,
    keep_model,
    labels_or_wait,
    read_or_wait,
    show_facts,
)
from pages.state import jobs, session
from pages.state.messages import page_on_show, plain, show_errors

CATALOGUE, ONNX = "From the catalogue", "My ONNX file"
TRAINED, CHECKPOINT, RANDOM = "Trained", "My checkpoint", "Random"
DEMO, UPLOAD, FOLDER = "Crops of the supplied pictures", "My pictures", "A folder on this machine"
_UPLOADED_FOLDER = "qlab_uploaded_calibration"
_STEPS = ("Model", "Preprocessing", "Calibration", "Variants", "Summary")
MODEL, PREPROCESSING, VARIANTS, SUMMARY = 0, 1, 3, 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What the steps give.

    Attributes:
        request: What to convert; None while something is missing.
        problem: What is missing, in words for beside the button; empty where nothing is.
        step: Number of the step where it is missing.
    """

    request: ConvertRequest | None
    problem: str = ""
    step: int = SUMMARY


@dataclass(frozen=True, slots=True)
class _Model:
    """What the first step gives; ``reading`` is that of a person's own file."""

    choice: ModelChoice | None
    summary: str
    problem: str = ""
    reading: ModelReading | None = None

    @property
    def own_file(self) -> bool:
        """Whether it is an ONNX file or a checkpoint."""
        choice = self.choice
        return choice is not None and (choice.onnx is not None or choice.checkpoint is not None)


def convert_form() -> Asked:
    """Show the steps, one of them open, and make the request."""
    opened = int(st.session_state.setdefault(STEP, MODEL))
    _hide_closed_steps(opened)
    with _step(MODEL, opened) as head:
        model = _model()
        head.caption(plain(model.summary))
    with _step(PREPROCESSING, opened) as head:
        preprocessing = _preprocessing(model, look=opened == PREPROCESSING)
        head.caption(plain(preprocessing.summary))
    with _step(CALIBRATION, opened) as head:
        calibration, summary, missing = _calibration()
        head.caption(plain(summary))
    with _step(VARIANTS, opened) as head:
        own_onnx = model.choice is not None and model.choice.onnx is not None
        variants, options = choose_variants_to_make(own_onnx=own_onnx)
        head.caption(plain(count_variants(variants)))
    for step, problem in (
        (MODEL, model.problem),
        (PREPROCESSING, preprocessing.problem),
        (CALIBRATION, missing),
        (VARIANTS, "" if variants else "Choose at least one variant."),
    ):
        if problem:
            return Asked(None, problem, step)
    assert model.choice is not None
    assert calibration is not None
    opset, lowering, input_layout, allow_flex = options
    request = ConvertRequest(
        model=model.choice,
        preprocess=preprocessing.choice,
        variants=variants,
        calibration=calibration,
        opset=opset,
        allow_flex=allow_flex,
        lowering=lowering,
        input_layout=input_layout,
    )
    return Asked(replace(request, owner=session.uploads_owner(request)))


def summary_head() -> None:
    """Show the number and name of the last step."""
    st.html(f'<h2 class="q-step">{SUMMARY + 1}. {_STEPS[SUMMARY]}</h2>')


def open_step(step: int) -> None:
    """Open a step, and close the one that is open; the same one again closes it."""
    st.session_state[STEP] = step


def _hide_closed_steps(opened: int) -> None:
    # Hidden and not left out: their widgets keep what they hold, uploads above all.
    bodies = (f".st-key-step_body_{n}" for n in range(SUMMARY) if n != opened)
    closed = ",".join(f"{body},[data-testid=stLayoutWrapper]:has(>{body})" for body in bodies)
    st.html(f"<style>{closed}{{display:none}}</style>")


@contextmanager
def _step(number: int, opened: int) -> Iterator[st.delta_generator.DeltaGenerator]:
    """Show a step: its head, and its widgets where it is open.

    Yields:
        Where the summary of the step goes.
    """
    with st.container(border=True, key=f"step_{number}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", key=f"step_head_{number}"):
            st.button(
                f"{number + 1}. {_STEPS[number]}",
                key=f"open_step_{number}",
                type="tertiary",
                icon=":material/expand_more:" if number == opened else ":material/chevron_right:",
                on_click=open_step,
                args=(SUMMARY if number == opened else number,),
            )
            summary = st.container(width="stretch")
        with st.container(key=f"step_body_{number}"):
            yield summary
            st.button(
                f"Next: {_STEPS[number + 1]}",
                key=f"next_{number}",
                icon=":material/arrow_downward:",
                on_click=open_step,
                args=(number + 1,),
            )


def _preprocessing(model: _Model, *, look: bool) -> Preprocessing:
    if not model.own_file and model.choice is not None:
        return network_preprocessing()
    if model.choice is None or model.reading is None:
        st.info("Choose a model file first.", icon=":material/upload:")
        return Preprocessing(PreprocessChoice(), "Waits for the model")
    return file_preprocessing(model.choice, model.reading, look=look)


def _model() -> _Model:
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
        return _onnx_file()
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
        return _Model(ModelChoice(name=name, random_weights=True), f"{name}, random weights")
    if weights == CHECKPOINT:
        return _checkpoint(name)
    return _Model(ModelChoice(name=name, labels=_labels(None)), f"{name}, trained weights")


def _onnx_file() -> _Model:
    file = ask_for_upload(
        "ONNX file",
        help="One picture in, logits out. Where its weights lie beside it (model.onnx.data), "
        "drop both together, or a zip of both.",
        several=True,
        keep=keep_model,
    )
    st.caption(f"{models_note()} {sandbox.note()}")
    facts = st.container()
    output = st.text_input(
        "Output",
        key="convert_output",
        persist_state="session",
        placeholder="the only one that can hold logits",
        help="Where the file has several outputs that can: the name of the one to take.",
    ).strip()
    if file is None:
        _labels(None)
        return _Model(None, "No file yet", "Upload an ONNX file to go on.")
    choice = ModelChoice(name=Path(file).stem, onnx=file, output=output or None)
    return _own_file(choice, Path(file).name, facts)


def _checkpoint(name: str) -> _Model:
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
    facts = st.container()
    weights_of = st.text_input(
        "Set of weights",
        key="convert_weights_of",
        persist_state="session",
        placeholder="the average over the training (EMA), where there is one",
        help="Where the checkpoint holds several sets: what the names of the one to take "
        "begin with, such as state_dict_ema. The run's notes name them all.",
    ).strip()
    if checkpoint is None:
        _labels(None)
        return _Model(None, "No checkpoint yet", "Upload a checkpoint to go on.")
    choice = ModelChoice(name=name, checkpoint=checkpoint, weights_of=weights_of or None)
    return _own_file(choice, f"{name}, {Path(checkpoint).name}", facts)


def _own_file(choice: ModelChoice, title: str, facts: st.delta_generator.DeltaGenerator) -> _Model:
    """Show what was read from a person's file as soon as it is there."""
    with facts:
        size = str(st.session_state.get("pre_size") or "")
        reading = read_or_wait(choice, size)
        if reading is not None:
            show_facts(reading)
    labels = _labels(None if reading is None else reading.facts.classes)
    if reading is None:
        problem = "The file is not read yet: see the step Model."
        return _Model(replace(choice, labels=labels), title, problem)
    unfit = labels is not None and not labels_or_wait(labels, reading.facts.classes)
    return _Model(
        replace(choice, labels=labels),
        f"{title}: {describe_facts(reading.facts)}",
        "The class names do not fit the model." if unfit else "",
        reading,
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


def _labels(classes: int | None) -> str | None:
    with st.expander("Class names", icon=":material/label:"):
        what = "ImageNet's for 1,000 classes unless you give others."
        st.caption(what if classes is None else f"{what} This model has {classes:,}.")
        return ask_for_upload(
            "Class names",
            *("txt", "csv", "json", "yaml", "yml"),
            help="One a line, in the order of the outputs; or JSON, YAML or CSV with indices.",
            most=LIMITS.text_bytes,
        )


def _calibration() -> tuple[CalibrationChoice | None, str, str]:
    """Show which pictures the ranges are found with; give them, a summary and what is missing."""
    st.caption(meaning("representative dataset"))
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
    what = "crops of the supplied pictures"
    if source == DEMO:
        st.caption(
            "Good for a first look. Before relying on the numbers, give 100 to 500 pictures like "
            "those the model will see."
        )
    elif source == FOLDER and not shared():
        folder = st.text_input("Folder", key="convert_folder", persist_state="session").strip()
        if not folder:
            return None, "No folder yet", "Name the folder with calibration pictures."
        what = f"pictures of {folder}"
    else:
        folder = _ask_for_folder()
        if folder is None:
            return None, "No pictures yet", "Drop some calibration pictures to go on."
        what = "of your pictures"
    counts, seeds = st.columns(2)
    count = counts.number_input(
        "Pictures to use",
        1,
        10_000,
        DEFAULT_CALIBRATION_COUNT,
        key="convert_count",
        persist_state="session",
    )
    seed = seeds.number_input(
        "Random seed", 0, 2**31, 0, key="convert_seed", persist_state="session"
    )
    choice = CalibrationChoice(folder=folder, count=count, seed=seed)
    return choice, f"{count} {what}" if folder is None else f"Up to {count} {what}", ""


def _ask_for_folder() -> str | None:
    with show_errors():
        pictures = ask_for_pictures("Pictures", "upload_calibration")
        if pictures:
            st.caption(session.uploads_kept())
            st.session_state[_UPLOADED_FOLDER] = str(session.keep_folder(pictures))
    folder: str | None = st.session_state.get(_UPLOADED_FOLDER)
    return folder
