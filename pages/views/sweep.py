"""Contents of the page Calibration: the plan of a sweep, and its figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from engine.core import formats
from engine.core.errors import EngineError
from engine.core.formats import plural
from engine.images.pictures import Picture
from engine.quantization.calibration import CalibrationChoice
from engine.reporting import plots
from engine.reporting.text.sweep import (
    best_method,
    enough,
    enough_sentence,
    faults,
    line,
    method_sentence,
    notes,
)
from engine.runs.run import Run
from engine.tasks.sweep.records import Sweep, SweepBasis, newest_sweep, read_sweep
from engine.tasks.sweep.sweep import (
    DEFAULT_COUNTS,
    SweepChoice,
    basis_of,
    cell_names,
    own_calibration,
    sweep,
    unseen_pictures,
)
from engine.workers.jobs import Job
from pages.inputs.pictures import offer_picture_set
from pages.state import jobs, session
from pages.state.conversion import offer_calibrating, show_red
from pages.state.messages import plain, show_problem
from pages.views.figures import align_right, show_described_figure, show_rows

JOB = "sweep"
SMALL, FULL = "Small", "Full"
_RECIPES = ("int8_float_io", "int8_float_io_optimized", "int8", "int8_optimized", "int16x8")
_SMALL = SweepChoice(counts=(8, 16, 32, 64), seeds=(0, 1), ranges=("min_max", "mse"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the person asks for, as far as it can be done.

    Attributes:
        basis: What all cells have in common.
        choice: What is varied.
        calibration: Folder of the calibration pictures; None for crops of the supplied pictures.
        missing: How many cells are not measured yet.
        cells: How many there are.
    """

    basis: SweepBasis
    choice: SweepChoice
    calibration: str | None
    missing: int
    cells: int


def measured_pictures(run: Run) -> tuple[Picture, ...]:
    """Give the pictures on show, and say where none of them could be measured on."""
    if not _measurable(run) and newest_sweep(run) is None:
        with st.container(border=True):
            st.header("Show pictures to measure on")
            st.markdown(
                "Calibration may use each of the pictures on show, and ranges are judged on "
                "pictures that it has not seen."
            )
            offer_picture_set("Choose pictures")
    return session.pictures()


def _measurable(run: Run) -> bool:
    """Check whether a picture on show is none of calibration's, or its folder is wrong."""
    folder = st.session_state.get(_folder_key(run), own_calibration(run) or "").strip()
    try:
        return bool(unseen_pictures(session.pictures(), folder or None))
    except EngineError:
        return True


def _folder_key(run: Run) -> str:
    return f"sweep_folder_{run.folder}"


def plan_controls(run: Run, pictures: tuple[Picture, ...]) -> Plan | None:
    """Show the widgets and make the plan; None where it cannot be done."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        recipe = st.selectbox("Variant", _RECIPES, key="sweep_recipe", persist_state="session")
        size = st.segmented_control(
            "Sweep",
            [SMALL, FULL],
            default=SMALL,
            required=True,
            key="sweep_size",
            persist_state="session",
            help="Small: 8 to 64 pictures, two choices of each, two methods. Full: up to 128 "
            "pictures, three choices, five methods.",
        )
        folder = st.text_input(
            "Calibration pictures",
            value=own_calibration(run) or "",
            key=_folder_key(run),
            placeholder="a folder; crops of the supplied pictures if empty",
        ).strip()
    if not _measurable(run):
        st.caption("A sweep needs pictures on show that calibration does not use.")
        return None
    try:
        return _plan(run, pictures, folder or None, recipe, full=size == FULL)
    except EngineError as error:
        show_problem(error)
        return None


def _plan(
    run: Run, pictures: tuple[Picture, ...], folder: str | None, recipe: str, *, full: bool
) -> Plan:
    basis, _ = basis_of(run, pictures, folder)
    most = max(DEFAULT_COUNTS) if basis.available is None else basis.available
    small = replace(_SMALL, counts=tuple(n for n in _SMALL.counts if n <= most))
    choice = replace(SweepChoice() if full else small, recipes=(recipe,))
    names = cell_names(choice, basis)
    stored = read_sweep(basis)
    done = {cell.variant for cell in stored.cells} if stored is not None else set()
    return Plan(basis, choice, folder, sum(name not in done for name in names), len(names))


def show_button(run: Run, pictures: tuple[Picture, ...], plan: Plan) -> None:
    """Offer the sweep, show the work, and come back when it is done."""
    busy = jobs.busy(JOB)
    if not busy and plan.missing:
        verb = "Sweep" if plan.missing == plan.cells else "Go on with"
        if st.button(
            f"{verb}: {plan.missing} models, some seconds each",
            type="primary",
            icon=":material/grid_on:",
            key="sweep",
        ):

            def work(job: Job[bool]) -> bool:
                sweep(run, pictures, job, plan.choice, calibration=plan.calibration)
                return True

            jobs.start(JOB, "Quantizing with other calibration pictures and ranges", work)
            st.rerun()
    elif not busy:
        st.caption(f"All {plan.cells} models of this sweep are measured.")
    jobs.show(JOB)
    job = jobs.get(JOB)
    if job is not None and job.state == "cancelled":
        st.caption("What was finished is kept: the next sweep goes on there.")


def sweep_of(run: Run, plan: Plan | None) -> Sweep | None:
    """Read what was measured on these pictures; else the newest sweep of the run, or None."""
    stored = read_sweep(plan.basis) if plan is not None else None
    return stored or newest_sweep(run)


def show_sweep(run: Run, measured: Sweep, recipe: str, plan: Plan | None) -> None:
    """Show the plot and the table of one recipe, and a button to convert with what is enough."""
    show_red(faults(measured, recipe))
    with st.container(border=True):
        description = enough_sentence(measured, recipe)
        show_described_figure(
            "calibration_counts", description, plots.calibration_counts, measured, recipe
        )
        st.caption(
            "Mean over the choices of pictures, with their standard deviation. Enough is the "
            "number from which on no choice's rms is more than 5\xa0% (its KL divergence 10\xa0%) "
            "above the mean with the most pictures."
        )
        st.markdown(plain(method_sentence(measured, recipe)))
        count = enough(line(measured, recipe, best_method(measured, recipe)))
        if plan is not None and count is not None:
            choose = partial(CalibrationChoice, folder=plan.calibration, count=count)
            offer_calibrating(run, choose, f"Convert again with {plural(count, 'picture')}")
    for note in notes(measured):
        st.caption(plain(note))
    with st.container(border=True):
        st.header("All figures")
        _table(measured, recipe)
        st.download_button(
            "Download as CSV",
            lambda: measured.to_frame().to_csv(index=False, na_rep="NaN"),
            file_name=f"sweep_{measured.basis.model}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _table(measured: Sweep, recipe: str) -> None:
    groups = measured.of(recipe)
    rows = [
        {
            "ranges": group.range_method,
            "pictures": str(group.count),
            "choices": str(len(group.cells)),
            "logit rms": f"{group.rms.mean:.4f}",
            "± rms": formats.spread(group.rms.deviation),
            "KL, nats": f"{group.kl.mean:.5f}",
            "± KL": formats.spread(group.kl.deviation),
            "SQNR": formats.decibels(group.sqnr_db.mean),
            "same answer": formats.percent(group.agreement.mean),
        }
        for group in groups
    ]
    faulty = [group.fault is not None for group in groups]
    show_rows(rows, align_right(list(rows[0])[1:], _HELP), faulty)


_HELP = {
    "choices": "Seeds: other choices of as many pictures.",
    "± rms": "Standard deviation over the choices.",
    "± KL": "Standard deviation over the choices.",
    "same answer": "Top-1 agreement with float32, mean over the choices.",
}


def recipe_of(measured: Sweep | None, plan: Plan | None) -> str | None:
    """Choose the recipe to show: the one chosen, where it was swept; else one that was."""
    if measured is None:
        return None
    chosen = plan.choice.recipes[0] if plan is not None else ""
    return chosen if chosen in measured.recipes else measured.recipes[0]


def headline(measured: Sweep | None, recipe: str | None) -> str:
    """Write the page's title: the result, or the question."""
    if measured is None or recipe is None:
        return "How many calibration pictures are enough?"
    return enough_sentence(measured, recipe)
