"""Contents of the page Layers: errors of a variant's operators."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from engine.comparison.layers.records import LayerError, LayerErrors
from engine.core import formats
from engine.images.pictures import Picture, digest_of
from engine.reporting import plots
from engine.reporting.text import layers as layer_sentences
from engine.runs.run import Run
from engine.tasks import layers as service
from engine.tflite.artifact import computes_in_integers
from engine.workers.jobs import Job
from pages.inputs.variant import variant_pills
from pages.state import jobs
from pages.state.messages import cell, end_page, plain
from pages.views.figures import align_right, show_described_figure

JOB = "layers"
_MOST = 3


def choose_variant(run: Run) -> str:
    """Show the integer variants; the page ends here where there are none."""
    names = [card.variant for card in run.artifacts if computes_in_integers(card)]
    if not names:
        st.title("No variant of this run computes in integers")
        st.markdown("Layers are compared for int8, uint8, int8_float_io and int16x8.")
        st.page_link("pages/dashboard/convert.py", label="Add one", icon=":material/bolt:")
        end_page()
    return variant_pills(names)


def layers_or_wait(run: Run, variant: str, pictures: tuple[Picture, ...]) -> LayerErrors:
    """Read the layer errors, or end the page here with progress or a message."""
    errors = service.read_layer_errors(run, variant, pictures)
    if errors is None:
        _work(run, variant, pictures)
        end_page()
    return errors


def _work(run: Run, variant: str, pictures: tuple[Picture, ...]) -> None:
    def work(job: Job[bool]) -> bool:
        service.layers(run, variant, pictures, job)
        return True

    st.title(f"Where does {plain(variant)} lose?")
    title = f"Comparing {variant} with float32, operator by operator"
    jobs.see_through(JOB, title, work, about=f"{run.folder} {variant} {digest_of(pictures)}")


def show_notes(run: Run, errors: LayerErrors) -> None:
    """Show what a reader has to know, and operators without a counterpart."""
    calibration = run.manifest.calibration
    if calibration is not None and calibration.demo:
        st.warning(
            "Demo calibration: findings about ranges may come from it.",
            icon=":material/info:",
        )
    for note in errors.notes:
        st.warning(plain(note), icon=":material/info:")
    if errors.unmatched:
        with st.expander("Operators without a counterpart", icon=":material/link_off:"):
            rows = [(m.side, m.index, cell(m.op), cell(m.name)) for m in errors.unmatched]
            columns = ["file", "operator", "kind", "output"]
            st.dataframe(pd.DataFrame(rows, columns=columns), hide_index=True, width="stretch")


def show_worst(errors: LayerErrors) -> None:
    """Show the three operators that lose most, each with its cause and remedy."""
    for layer in errors.by_loss[:_MOST]:
        own = layer.own.sqnr_db if layer.own is not None else None
        so_far = layer.accumulated.sqnr_db
        st.markdown(
            f"**{plain(layer.title)}** · on its own {formats.decibels(own)}, cumulative "
            f"{formats.decibels(so_far)}  \n{plain(layer_sentences.why(layer))}"
        )
        if layer.cause is not None:
            st.caption(plain(layer.cause.remedy))


def show_operators(errors: LayerErrors, shares: Mapping[int, float]) -> LayerError:
    """Show the table of all operators; the one chosen, or the likeliest culprit, is returned.

    ``shares`` are of the variant's time by index of the operator; empty without a profile.
    """
    rows = [
        {
            "operator": cell(layer.title),
            "on its own, dB": _decibels(layer.own.sqnr_db if layer.own is not None else None),
            "cumulative, dB": _decibels(layer.accumulated.sqnr_db),
            "mean shift": f"{layer.accumulated.mean_shift:+.4f}",
            "at the ends": formats.percent(layer.saturation),
            "range used": formats.percent(layer.range_used),
            "weights, dB": _decibels(layer.weights.worst_sqnr_db if layer.weights else None),
            "MACs, M": f"{layer.macs / 1e6:.1f}",
            **({"of the time": formats.percent(shares.get(layer.index))} if shares else {}),
            "cause": cell(formats.keep_units(layer.cause.sentence))
            if layer.cause is not None
            else "",
        }
        for layer in errors.layers
    ]
    columns = align_right(list(rows[0])[1:-1], _HELP)
    columns["cause"] = st.column_config.TextColumn(width="large")
    picked = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        column_config=columns,
        on_select="rerun",
        selection_mode="single-row",
        key=f"operators_{errors.run}_{errors.variant}",
    )
    chosen = picked["selection"]["rows"]
    return errors.layers[chosen[0]] if chosen else errors.by_loss[0]


_HELP = {
    "on its own, dB": "SQNR of this operator alone, fed with float values: low marks a culprit.",
    "cumulative, dB": "SQNR as the network runs, with the errors of all operators before.",
    "mean shift": "Mean of integer minus float output, as the network runs, in real units.",
    "at the ends": "Share of values at the ends of the integer range; activations end there, too.",
    "range used": "Share of the integer range that the float values span.",
    "of the time": "Share of the variant's latency, by LiteRT's profiler, on one thread.",
    "weights, dB": "SQNR of the output channel whose weights lose most.",
}


def _decibels(value: float | None) -> str:
    return formats.decibels(value).removesuffix(f"{formats.NO_BREAK}dB")


def show_operator(layer: LayerError, variant: str) -> None:
    """Show one operator's values over its grid."""
    st.header(plain(layer.title[:1].upper() + layer.title[1:]))
    caption = layer_sentences.histogram_caption(layer)
    show_described_figure("layer_histogram", caption, plots.layer_histogram, layer, variant)
    st.caption(plain(caption))
