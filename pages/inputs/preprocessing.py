"""The preprocessing of a new run: known, or chosen, looked at and confirmed for an own file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import streamlit as st

from engine.core import formats
from engine.core.errors import EngineError
from engine.images.pictures import Picture
from engine.images.preprocess import (
    CHANNEL_ORDERS,
    INTERPOLATIONS,
    RESIZE_RULES,
    PreprocessChoice,
    PreprocessSpec,
    channel_values_in,
    default_preprocess,
    input_size_in,
)
from engine.networks.load import preprocess_words, with_choice
from engine.networks.source import ModelChoice
from engine.tasks import own_model as service
from engine.tasks.own_model import ModelReading, Preview
from engine.workers.jobs import Job
from pages.inputs.pictures import ask_for_pictures
from pages.state import jobs, session
from pages.state.messages import html, plain, show_problem

IMAGENET, UNIT, SIGNED, PIXELS, OWN = "ImageNet", "0 to 1", "-1 to 1", "0 to 255", "Own values"
_RANGES = {UNIT: (1 / 255, 0.0, 1.0), SIGNED: (1 / 255, 0.5, 0.5), PIXELS: (1.0, 0.0, 1.0)}
"""Scale, mean and std of what brings pixels into a range."""
_PRESET, _CONFIRMED = "pre_preset", "qlab_confirmed"
_SIDE = 240
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the step gives.

    Attributes:
        choice: For the request.
        summary: One line for the head of the step.
        problem: Why nothing can be converted yet; empty where it can.
    """

    choice: PreprocessChoice
    summary: str
    problem: str = ""


def network_preprocessing() -> Preprocessing:
    """Show what may differ from the preprocessing that the catalogue knows."""
    st.caption("The catalogue knows how this network was trained: there is nothing to confirm.")
    try:
        choice = _join(_ask_for_fitting(None), _ask_for_values(None))
    except ValueError as error:
        st.warning(plain(str(error)))
        return Preprocessing(PreprocessChoice(), "A value cannot be read", "Correct the value.")
    given = choice != PreprocessChoice()
    return Preprocessing(choice, "The network's own" + (", some values changed" if given else ""))


def file_preprocessing(model: ModelChoice, reading: ModelReading, *, look: bool) -> Preprocessing:
    """Show presets, a preview and the button that confirms them, for a file that holds none.

    Args:
        model: The file, with class names that fit.
        reading: What it holds.
        look: Whether the step is open, so that a picture is to be shown to the model.
    """
    st.caption("The file holds no preprocessing: what you leave empty here is assumed.")
    preset, values = _ask_for_pixels(model, reading)
    try:
        typed = _join(_ask_for_fitting(reading), values())
        spec = with_choice(_sized(reading, typed), typed)
    except ValueError as error:
        st.warning(plain(str(error)))
        return Preprocessing(PreprocessChoice(), "A value cannot be read", "Correct the value.")
    except EngineError as error:
        show_problem(error)
        return Preprocessing(PreprocessChoice(), "Does not fit the file", "Correct the value.")
    choice = _explicit(spec, typed, reading)
    if look:
        _show_preview(model, reading, preset, choice)
    confirmed = st.session_state.get(_CONFIRMED) == (_file_of(model), choice)
    state = "confirmed" if confirmed else "assumed, to be confirmed"
    with st.container(horizontal=True, vertical_alignment="center"):
        if confirmed:
            st.badge("Confirmed", icon=":material/check:", color="green")
        else:
            st.badge("Assumed", icon=":material/help:", color="orange")
            st.button(
                "Confirm the preprocessing",
                type="primary",
                icon=":material/check:",
                on_click=_confirm,
                args=(_file_of(model), choice),
            )
        st.caption("Use the values of the training script. The report says if they were confirmed.")
    problem = "" if confirmed else "Confirm the preprocessing first."
    return Preprocessing(choice, f"{preset}: {state}", problem)


def _confirm(file: str, choice: PreprocessChoice) -> None:
    st.session_state[_CONFIRMED] = file, choice
    st.session_state[STEP] = CALIBRATION


STEP, CALIBRATION = "qlab_step", 2
"""Where the open step is kept, and the number of the one after this."""


def _file_of(model: ModelChoice) -> str:
    return str(model.onnx or (model.checkpoint, model.name, model.weights_of))


def _ask_for_pixels(
    model: ModelChoice, reading: ModelReading
) -> tuple[str, Callable[[], PreprocessChoice]]:
    """Show the presets; give the chosen one, and what reads its values."""
    if reading.takes_pixels:
        st.markdown("The file takes pixels of 0 to 255 and prepares them itself.")
        return "Prepared in the file", PreprocessChoice
    carried = f"As {model.name}" if model.checkpoint is not None else IMAGENET
    presets = list(dict.fromkeys((carried, IMAGENET, *_RANGES, OWN)))
    preset = st.segmented_control(
        "Values of the pixels",
        presets,
        default=carried,
        required=True,
        key=f"{_PRESET}_{'checkpoint' if model.checkpoint is not None else 'onnx'}",
        persist_state="session",
        help="What the network was trained with: mean and deviation of ImageNet, or a plain range.",
    )
    if preset == OWN:
        return preset, lambda: _ask_for_values(reading)
    return preset, lambda: _values_of(preset, reading.preprocess)


def _values_of(preset: str, spec: PreprocessSpec) -> PreprocessChoice:
    """Give scale, mean and std of a preset; those of the catalogue's network for its own."""
    if preset in _RANGES:
        scale, mean, std = _RANGES[preset]
        count = spec.channels
        return PreprocessChoice(scale=scale, mean=(mean,) * count, std=(std,) * count)
    if preset == IMAGENET:
        spec = default_preprocess(spec.channels)
    return PreprocessChoice(scale=spec.scale, mean=spec.mean, std=spec.std)


def _join(fitting: PreprocessChoice, values: PreprocessChoice) -> PreprocessChoice:
    return replace(fitting, scale=values.scale, mean=values.mean, std=values.std)


def _placeholder(reading: ModelReading | None, assumed: object) -> str:
    return "the model's own" if reading is None else f"assumed: {assumed}"


def _ask_for_values(reading: ModelReading | None) -> PreprocessChoice:
    """Show fields for mean, std and scale.

    Raises:
        ValueError: One is no number; the message is a sentence.
    """
    usual = PreprocessSpec() if reading is None else reading.preprocess
    means, stds, scales = st.columns(3)
    mean = means.text_input(
        "Mean",
        placeholder=_placeholder(reading, _number_list(usual.mean)),
        key="pre_mean",
        persist_state="session",
    )
    std = stds.text_input(
        "Std",
        placeholder=_placeholder(reading, _number_list(usual.std)),
        key="pre_std",
        persist_state="session",
    )
    scale = scales.text_input(
        "Scale of pixels",
        placeholder=_placeholder(reading, "1/255"),
        help="Factor for pixels of 0 to 255, before mean and std: 1 where those are for 0 to 255.",
        key="pre_scale",
        persist_state="session",
    )
    return PreprocessChoice(
        mean=_parse("Mean", mean, channel_values_in),
        std=_parse("Std", std, channel_values_in),
        scale=_parse("Scale of pixels", scale, _fraction),
    )


def _ask_for_fitting(reading: ModelReading | None) -> PreprocessChoice:
    """Show how a picture is brought to the network's size, and the order of its channels.

    Raises:
        ValueError: The size is none; the message is a sentence.
    """
    usual = PreprocessSpec() if reading is None else reading.preprocess
    with st.expander("Size, crop and channels", icon=":material/crop:"):
        sides, resizing, filters, orders = st.columns(4)
        size = sides.text_input(
            "Input size, px",
            placeholder="the model's own" if reading is None else _size_of(usual),
            help="One side of a square, or height x width, such as 192x256.",
            key="pre_size",
            persist_state="session",
        )
        resize = resizing.selectbox(
            "Resize",
            RESIZE_RULES,
            None,
            placeholder=_placeholder(reading, usual.resize),
            key="pre_resize",
            persist_state="session",
        )
        resize_size = resizing.number_input(
            "Shorter side, px",
            1,
            4096,
            None,
            placeholder=_placeholder(reading, usual.resize_size),
            key="pre_short",
            persist_state="session",
        )
        interpolation = filters.selectbox(
            "Interpolation",
            INTERPOLATIONS,
            None,
            placeholder=_placeholder(reading, usual.interpolation),
            key="pre_inter",
            persist_state="session",
        )
        pad_value = sides.number_input(
            "Margins of letterbox",
            0,
            255,
            None,
            placeholder=_placeholder(reading, usual.pad_value),
            disabled=resize != "letterbox",
            help="Pixel that fills what the picture leaves free, 0 to 255.",
            key="pre_pad",
            persist_state="session",
        )
        order = orders.selectbox(
            "Channel order",
            CHANNEL_ORDERS,
            None,
            placeholder=_placeholder(reading, usual.channel_order),
            help="L is grey, as Pillow calls it.",
            key="pre_order",
            persist_state="session",
        )
    return PreprocessChoice(
        input_size=_parse("Input size", size, input_size_in),
        resize=resize,
        resize_size=resize_size,
        interpolation=interpolation,
        channel_order=order,
        pad_value=pad_value if resize == "letterbox" else None,
    )


def _size_of(spec: PreprocessSpec) -> str:
    return "x".join(map(str, dict.fromkeys((spec.height, spec.width))))


def _sized(reading: ModelReading, typed: PreprocessChoice) -> PreprocessSpec:
    if typed.input_size is None:
        return reading.preprocess
    return reading.preprocess.with_input_size(typed.input_size)


def _explicit(
    spec: PreprocessSpec, typed: PreprocessChoice, reading: ModelReading
) -> PreprocessChoice:
    """Name every value that has a part in a preprocessing, so that none is assumed later."""
    open_size = typed.input_size is not None or None in reading.facts.shape[1:]
    choice = PreprocessChoice(
        input_size=(spec.height, spec.width) if open_size else None,
        resize=spec.resize,
        resize_size=spec.resize_size if spec.resize == "shorter_side" else None,
        interpolation=spec.interpolation,
        channel_order=spec.channel_order,
        pad_value=spec.pad_value if spec.resize == "letterbox" else None,
    )
    if reading.takes_pixels:
        return choice
    return replace(choice, scale=spec.scale, mean=spec.mean, std=spec.std)


def _show_preview(
    model: ModelChoice, reading: ModelReading, preset: str, choice: PreprocessChoice
) -> None:
    """Show a picture as the network sees it, and what the float model answers."""
    picture = _ask_for_picture()
    others = () if reading.takes_pixels else (IMAGENET, *_RANGES)
    choices = [_join(choice, _values_of(name, reading.preprocess)) for name in others]
    previews = _preview_or_wait(model, (choice, *choices), picture)
    if previews is None:
        return
    first, *rest = previews
    seen, answers, presets = st.columns([1, 1.3, 1.3], gap="medium")
    with seen:
        spec = first.preprocess
        pixels = spec.visible(picture.decode(spec.picture_mode))
        st.image(pixels, width=_SIDE)
        st.caption(
            f"As the network sees it: {formats.sides((spec.height, spec.width))}, values "
            f"{formats.decimal(first.lowest, 2)} to {formats.decimal(first.highest, 2)}; "
            f"{plain(preprocess_words(spec, ('resize', 'resize_size', 'interpolation')))}"
        )
    with answers:
        st.markdown(f"**The float model answers, {plain(preset)}**")
        if not first.answers:
            st.error("NaN or Inf: no answer.", icon=":material/error:")
        st.html(_rows_of((answer.label, answer.share) for answer in first.answers))
    with presets:
        if others:
            st.markdown("**Its first answer under each preset**")
            named = zip(others, rest, strict=True)
            st.html(_rows_of((f"{n}: {_first(shown)}", _share(shown)) for n, shown in named))
            st.caption("On a picture that you know, the right preset gives the right answer.")


def _first(shown: Preview) -> str:
    return shown.answers[0].label if shown.answers else "no number"


def _share(shown: Preview) -> float | None:
    return shown.answers[0].share if shown.answers else None


def _rows_of(rows: Iterable[tuple[str, float | None]]) -> str:
    """Write names with their probabilities, each with a bar."""
    lines = (
        f'<div class="q-share" style="--share:{0 if share is None else share:.4f}">'
        f"<span>{html(name)}</span><span>{formats.percent(share)}</span></div>"
        for name, share in rows
    )
    return "".join(lines)


def _ask_for_picture() -> Picture:
    """Show which picture is looked at: one on show, or one that is dropped here."""
    choosing, dropping = st.columns(2, vertical_alignment="top")
    with dropping.expander("Look at a picture of yours", icon=":material/upload:"):
        try:
            dropped = ask_for_pictures("Picture", "upload_preview")
        except EngineError as error:
            dropped = ()
            show_problem(error)
    pictures = (*dropped, *session.pictures())
    return choosing.selectbox(
        "Picture to look at", pictures, format_func=lambda picture: picture.name
    )


def _preview_or_wait(
    model: ModelChoice, choices: tuple[PreprocessChoice, ...], picture: Picture
) -> tuple[Preview, ...] | None:
    def work(job: Job[tuple[Preview, ...]]) -> tuple[Preview, ...]:
        return service.preview(model, choices, picture, job)

    about = jobs.digest(model, choices, picture.sha256)
    return jobs.result_or_wait(
        "preview", "Showing the picture to the float model", work, about=about
    )


def _number_list(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)


def _fraction(text: str) -> float:
    """Parse a number, perhaps as a fraction such as 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"'{text}' is not a number, such as 1 or 1/255.") from None


def _parse(name: str, text: str, parse: Callable[[str], T]) -> T | None:
    """Parse what was typed, None where nothing was."""
    if not text.strip():
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
