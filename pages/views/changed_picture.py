"""A picture under changes: a slider for each, and what every model answers as it moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from engine.comparison import metrics
from engine.comparison.robustness import PictureFlips
from engine.core import formats
from engine.core.errors import EngineError
from engine.images.changes import (
    CHANGE_KINDS,
    SCALES,
    Change,
    ChangeKind,
    Pixels,
    change_pixels,
    in_order,
    key_of_changes,
    seed_of,
)
from engine.images.pictures import Picture, digest_of
from engine.images.preprocess import PreprocessSpec
from engine.reporting.picture_cards import thumbnail
from engine.reporting.plots.figures import worst_rows
from engine.reporting.plots.palette import marker_image
from engine.reporting.text import robustness as sentences
from engine.runs.changed_predictions import (
    ChangedPicture,
    ChangedPredictions,
    Changes,
    best_classes,
    first_class,
)
from engine.tasks.changed_pictures import ask_models
from engine.tasks.robustness import (
    find_flips,
    models_of,
)
from engine.workers.jobs import Job
from pages.state import jobs
from pages.state.evaluation import Evaluation
from pages.state.messages import cell, html, plain, show_problem
from pages.views.figures import align_right, show_rows

POSITION_JOB, FLIPS_JOB = "changed_position", "changed_flips"
_ASKED = "qlab_changed_position"
_LOOKED_AT_EVERY = 0.1
_SIDE = 320
_STYLE = """
<style>
.q-changed{width:100%;max-width:320px;border-radius:12px;display:block;margin:auto}
.q-asked{display:grid;grid-template-columns:8.5rem minmax(0,1fr) auto;gap:.2rem .6rem;
  align-items:center;font-size:.9rem;line-height:1.35;padding:.2rem .4rem;border-radius:8px;
  border:2px solid transparent}
.q-asked.q-differs{border-color:#c62659}
.q-asked span{min-width:0;overflow-wrap:anywhere}
.q-asked .q-share{font-variant-numeric:tabular-nums;white-space:nowrap}
.q-asked em{font-style:normal;font-weight:650;border-radius:6px;padding:0 .35rem;margin-left:.3rem;
  white-space:nowrap;font-size:.75rem;border:1px solid currentColor}
.q-asked em.q-red{background:#c62659;color:#fff;border-color:#c62659}
</style>
"""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What a model answers to a picture, changed or not.

    Attributes:
        model: The model.
        first: Its first class, or `metrics.NO_ANSWER`.
        share: What it believes of that class, 0 to 1.
        clean: Its first class of the picture as it is.
    """

    model: str
    first: int
    share: float
    clean: int


def show_changed_picture(evaluation: Evaluation) -> None:
    """Show a picture, a slider for each change, and what models answer as it moves."""
    st.html(_STYLE)
    row = st.selectbox(
        "Picture",
        range(len(evaluation.pictures)),
        index=worst_rows(evaluation, 1)[0],
        format_func=lambda index: evaluation.pictures[index].name,
        key=f"changed_picture_{digest_of(evaluation.pictures)[:8]}",
    )
    left, right = st.columns([1, 2], gap="medium")
    with right:
        changes = _choose_changes()
    picture = evaluation.pictures[row]
    with left:
        _show_changed(picture, changes, evaluation.run.manifest.preprocess)
    with right:
        _show_answers(evaluation, row, changes)
    _show_flips(evaluation, picture, changes)


def _choose_changes() -> Changes:
    """Show a slider for each kind of change."""
    chosen = []
    columns = st.columns(2, gap="medium")
    for number, kind in enumerate(CHANGE_KINDS):
        scale = SCALES[kind]
        with columns[number % 2]:
            strength = st.select_slider(
                scale.title,
                scale.positions,
                value=scale.unchanged,
                format_func=_position_title(kind),
                key=f"changed_{kind}",
                help=f"{scale.meaning[:1].upper()}{scale.meaning[1:]}.",
            )
        chosen.append(Change(kind, strength))
    changes = in_order(chosen)
    st.button(
        "As it is",
        icon=":material/restart_alt:",
        type="tertiary",
        key="changed_reset",
        on_click=_reset,
        disabled=not changes,
    )
    return changes


def _position_title(kind: ChangeKind) -> Callable[[float], str]:
    scale = SCALES[kind]
    return lambda strength: "none" if strength == scale.unchanged else scale.of(strength)


def _reset() -> None:
    for kind in CHANGE_KINDS:
        st.session_state[f"changed_{kind}"] = SCALES[kind].unchanged


def _show_changed(picture: Picture, changes: Changes, spec: PreprocessSpec) -> None:
    try:
        fitted = _fitted(picture.sha256, spec.fitting_key, picture, spec)
    except EngineError as error:
        show_problem(error)
        return
    changed = change_pixels(fitted, changes, seed_of(picture.sha256))
    name = html(picture.name)
    described = f"{name}, {html(key_of_changes(changes))}" if changes else name
    address = thumbnail(changed[..., :3], _SIDE)
    st.html(f'<img class="q-changed" src="{address}" alt="{described}">')
    st.caption(f"As the network sees it: {spec.width}\xa0×\xa0{spec.height} pixels.")


@st.cache_data(scope="session", max_entries=8, show_spinner=False)
def _fitted(sha256: str, key: str, _picture: Picture, _spec: PreprocessSpec) -> Pixels:
    return _spec.fitted(_picture.decode(_spec.picture_mode))


def _show_answers(evaluation: Evaluation, row: int, changes: Changes) -> None:
    """Show what each model answers, from the run or by asking them once."""
    picture = evaluation.pictures[row]
    predictions = _predictions_or_wait(evaluation, picture, changes) if changes else None
    if changes and predictions is None:
        return
    answers = [
        _answer(evaluation, row, model, changes, predictions) for model in models_of(evaluation)
    ]
    differing = [a.model for a in answers if _differs(a, answers[0])]
    st.markdown(f"**{plain(sentences.differing_sentence(answers[0].model, differing))}**")
    st.html("".join(_answer_row(evaluation, answer, answers[0]) for answer in answers))


def _predictions_or_wait(
    evaluation: Evaluation, picture: Picture, changes: Changes
) -> ChangedPredictions | None:
    """Look up what models predict; ask them where nobody did before.

    Streamlit runs this part again when a slider moves meanwhile. The models then finish what they
    were asked, since to end them would cost the next position their loading.
    """
    run, models = evaluation.run, models_of(evaluation)
    wanted = (ChangedPicture(picture, changes),)
    about = f"{run.folder} {picture.sha256} {key_of_changes(changes)} {models}"
    while (stored := ask_models(run, wanted, models, None)) is None:
        before = jobs.get(POSITION_JOB)
        if before is None or not before.active:
            if before is not None and st.session_state.get(_ASKED) == about:
                _show_failure(before)
                return None
            st.session_state[_ASKED] = about

            def work(job: Job[bool]) -> bool:
                return ask_models(run, wanted, models, job) is not None

            jobs.start(POSITION_JOB, f"Asking {len(models)} models about {picture.name}", work)
        _wait_for_position()
    if (job := jobs.get(POSITION_JOB)) is not None and not job.active:
        jobs.forget(POSITION_JOB)
    return stored


def _show_failure(job: Job[object]) -> None:
    """Say why the models gave no answers, and offer to ask them again."""
    if job.error is not None:
        show_problem(job.error)
    else:
        st.warning("The answers were not kept.", icon=":material/error:")
    st.button(
        "Try again", key="again_changed", icon=":material/refresh:", on_click=_forget_position
    )


def _wait_for_position() -> None:
    """Wait for the models, and let Streamlit interrupt."""
    job = jobs.get(POSITION_JOB)
    with st.spinner("Asking the models"):
        stage = st.empty()
        while job is not None and not job.wait(_LOOKED_AT_EVERY):
            stage.caption(plain(job.progress.stage))
        stage.empty()


def _forget_position() -> None:
    jobs.forget(POSITION_JOB)


def _answer(
    evaluation: Evaluation,
    row: int,
    model: str,
    changes: Changes,
    predictions: ChangedPredictions | None,
) -> ShownAnswer:
    clean = int(evaluation.first_answers(model)[row])
    if predictions is None:
        share = 0.0
        if clean != metrics.NO_ANSWER:
            share = float(evaluation.probabilities(model, row)[clean])
        return ShownAnswer(model, clean, share, clean)
    prediction = predictions.of(model, evaluation.pictures[row], changes)
    assert prediction is not None, "it was asked for"
    softmax = evaluation.comparison.gives_probabilities(model)
    best = best_classes(prediction, softmax)
    return ShownAnswer(model, first_class(prediction, softmax), best[0][1] if best else 0.0, clean)


def _differs(answer: ShownAnswer, reference: ShownAnswer) -> bool:
    return answer.first != reference.first or answer.first == metrics.NO_ANSWER


def _answer_row(evaluation: Evaluation, answer: ShownAnswer, reference: ShownAnswer) -> str:
    broken = answer.first == metrics.NO_ANSWER
    label = "NaN or Inf" if broken else html(evaluation.label(answer.first))
    flags = ""
    differs = answer is not reference and _differs(answer, reference)
    if differs:
        flags += '<em class="q-red">differs</em>'
    if answer.first != answer.clean:
        flags += "<em>changed</em>"
    share = "" if broken else formats.percent(answer.share)
    return (
        f'<div class="q-asked{" q-differs" if differs else ""}">'
        f"<span>{marker_image(answer.model)} {html(answer.model)}</span>"
        f'<span><b>{label}</b>{flags}</span><span class="q-share">{share}</span></div>'
    )


def _show_flips(evaluation: Evaluation, picture: Picture, changes: Changes) -> None:
    """Show at which strength each model changes its answer, where it was searched."""
    flips = find_flips(evaluation, picture, None)
    if flips is not None:
        moved = [change.kind for change in changes if change.kind in flips.kinds]
        for kind in moved or flips.kinds[:1]:
            several = flips.of(kind)
            st.markdown(f"**{plain(sentences.flips_sentence(several))}**")
            back = sentences.back_sentence(several)
            st.caption(plain(f"{sentences.tried_sentence(kind)} {back}".strip()))
        _show_least(flips)
    if flips is None or len(flips.kinds) < len(CHANGE_KINDS):
        st.caption("Every strength of every slider is tried on this picture, on all models.")

        def work(job: Job[bool]) -> bool:
            return find_flips(evaluation, picture, job) is not None

        jobs.job_button(
            FLIPS_JOB,
            "Find the least change that flips it",
            f"Changing {picture.name}",
            work,
            icon=":material/search:",
        )


def _show_least(flips: PictureFlips) -> None:
    """Show the least strength of each kind of change and model as a table."""
    rows: dict[str, dict[str, object]] = {}
    for flip in flips.flips:
        scale = SCALES[flip.kind]
        least = "never" if flip.strength is None else scale.of(flip.strength)
        row = rows.setdefault(flip.model, {"least change for": cell(flip.model)})
        row[scale.title] = "NaN or Inf" if flip.clean_class is None else least
    help_of = {SCALES[kind].title: SCALES[kind].meaning for kind in flips.kinds}
    show_rows(list(rows.values()), align_right(help_of, help_of))
