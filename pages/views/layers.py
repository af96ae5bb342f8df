"""Contents of the page Layers: errors of a variant's operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from engine.comparison.layers.records import LayerError, LayerErrors
from engine.core import formats
from engine.images.pictures import Picture, digest_of
from engine.portability.catalog import target_named
from engine.reporting import plots
from engine.reporting.layer_map import (
    CAUSES,
    COLOURS,
    cause_legend,
    fold_layers,
    shade_blocks,
    title_of,
)
from engine.reporting.picture_cards import thumbnail
from engine.reporting.text import layers as layer_sentences
from engine.runs.run import Run
from engine.tasks import inspect_operator as inspection
from engine.tasks import layers as service
from engine.tasks.targets import read_answers
from engine.tflite.artifact import computes_in_integers
from engine.workers.jobs import Job
from pages.inputs.variant import variant_pills
from pages.state import jobs, session
from pages.state.evaluation import target_on_show
from pages.state.jobs import job_button
from pages.state.messages import cell, end_page, html, plain
from pages.views.figures import align_right, load_component, show_described_figure

JOB = "layers"


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


def count_sentence(measured: int, chosen: int) -> str:
    """Say how many pictures were measured on, and of how many."""
    if measured == chosen:
        return formats.plural(measured, "picture")
    return f"Measured on {measured} of {chosen} pictures, evenly spaced"


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


_component = load_component("layer_map")
_DETAIL = "operator_detail"


def _chosen_key(errors: LayerErrors) -> str:
    return f"qlab_operator_{errors.run}_{errors.variant}"


def chosen_operator(errors: LayerErrors) -> LayerError:
    """Give the operator that was chosen last, on the map or in the table, or the worst."""
    index = st.session_state.get(_chosen_key(errors))
    return next((x for x in errors.layers if x.index == index), errors.by_loss[0])


def show_map(errors: LayerErrors, shares: Mapping[int, float]) -> None:
    """Show the network as blocks, the colour of which a person chooses."""
    colour = st.pills(
        "Colour by",
        list(COLOURS),
        default="local",
        required=True,
        format_func=lambda name: COLOURS[name],
        key="map_colour",
        label_visibility="collapsed",
    )
    if colour == "time" and not shares:
        st.caption("The time of its operators is not measured yet.")
        st.page_link(
            "pages/dashboard/latency_and_size.py",
            label="Measure the speed",
            icon=":material/timer:",
        )
        return
    blocks = fold_layers(errors)
    shades = shade_blocks(blocks, colour, shares)
    chosen, key = chosen_operator(errors), f"map_{errors.run}_{errors.variant}"
    letters = cause_legend(blocks) if colour == "cause" else ()
    data = {
        "label": f"Operators of {errors.variant}, from picture to logits",
        "ends": ("picture →", "→ logits"),
        "chosen": next(b.worst.index for b in blocks if chosen in b.layers),
        "blocks": [
            {
                "id": block.worst.index,
                "group": block.group,
                "level": round(shade.level, 3),
                "mark": shade.mark,
                "spoken": f"{block.title}: {shade.value}",
            }
            for block, shade in zip(blocks, shades, strict=True)
        ],
        "legend": [(letter, f"{CAUSES[cause]} ({count})") for letter, cause, count in letters],
    }

    def choose() -> None:
        st.session_state[_chosen_key(errors)] = st.session_state[key].get("chosen")

    _component(key=key, data=data, on_chosen_change=choose)
    st.caption(
        "Letters name causes; tall blocks lose most by theirs."
        if colour == "cause"
        else "Tall blocks "
        + ("take" if colour == "time" else "lose")
        + " most; 1 to 3 mark the worst. Click one, or use the arrow keys and Enter."
    )


def show_detail(run: Run, errors: LayerErrors, pictures: tuple[Picture, ...]) -> None:
    """Show the chosen operator: its cause and remedy, its values, and a trial in float32."""
    layer = chosen_operator(errors)
    with st.container(key=_DETAIL):
        st.header(plain(title_of(layer)))
        own = layer.own.sqnr_db if layer.own is not None else None
        st.markdown(
            f"{formats.decibels(own)} on its own, {formats.decibels(layer.accumulated.sqnr_db)} "
            f"cumulative. {plain(layer_sentences.why(layer))}"
        )
        if layer.cause is not None:
            st.markdown(f"**Remedy:** {plain(layer.cause.remedy)}")
        caption = layer_sentences.histogram_caption(layer)
        show_described_figure(
            "layer_histogram", caption, plots.layer_histogram, layer, errors.variant
        )
        st.caption(plain(caption))
        _show_trial(run, errors, layer, pictures)


def _show_trial(
    run: Run, errors: LayerErrors, layer: LayerError, pictures: tuple[Picture, ...]
) -> None:
    """Show what the operator in float32 wins, or the button that measures it."""
    if layer.grid is None:
        return
    trial = inspection.read_float_trial(run, errors.variant, layer.index, pictures)
    if trial is not None:
        st.markdown(f"**{plain(layer_sentences.trial_headline(trial))}.**")
        st.caption(plain(layer_sentences.trial_figures(trial)))
        return

    def work(job: Job[inspection.FloatTrial]) -> inspection.FloatTrial:
        return inspection.try_in_float(run, errors.variant, layer.index, pictures, job)

    title = f"Trying {layer.title} of {errors.variant} in float32"
    job_button(f"trial_{layer.index}", "Try it in float32", title, work, icon=":material/science:")


_MAPS_JOB = "feature_maps"
_MAP_SIDE = 132


def show_feature_maps(run: Run, errors: LayerErrors, pictures: tuple[Picture, ...]) -> None:
    """Show the channels of the chosen operator that differ most on one picture."""
    layer = chosen_operator(errors)
    st.header(f"Feature maps of {plain(title_of(layer))}")
    names = {picture.sha256: picture.name for picture in pictures}
    wanted = session.named("picture")
    first = next((x.sha256 for x in pictures if wanted in (x.name, x.sha256)), pictures[0].sha256)
    digest = st.selectbox(
        "Picture",
        list(names),
        index=list(names).index(first),
        format_func=names.__getitem__,
        key="maps_picture",
    )
    picture = next(picture for picture in pictures if picture.sha256 == digest)
    maps = inspection.read_feature_maps(run, errors.variant, layer.index, picture)
    if maps is None:

        def work(job: Job[bool]) -> bool:
            inspection.feature_maps(run, errors.variant, layer.index, picture, job)
            return True

        about = f"{run.folder} {errors.variant} {layer.index} {picture.sha256}"
        jobs.see_through(_MAPS_JOB, "Running both models on the picture", work, about=about)
        return
    st.markdown(f"{plain(layer_sentences.maps_sentence(maps))}.")
    if maps.maps:
        st.html(_maps_table(maps, errors.variant, picture))
        low, high = maps.scale
        st.caption(f"All on one scale: black is {low:.3g}, white is {high:.3g}.")


_MAPS_STYLE = """
<style>
.q-maps{display:flex;flex-wrap:wrap;gap:1rem}
.q-maps figure{margin:0}
.q-maps img{width:132px;height:132px;image-rendering:pixelated;border-radius:8px;object-fit:contain}
.q-maps .q-pair{display:flex;gap:.4rem}
.q-maps figcaption,.q-maps span{font-size:.85rem}
.q-maps .q-pair div{display:flex;flex-direction:column}
</style>
"""


def _maps_table(maps: inspection.FeatureMaps, variant: str, picture: Picture) -> str:
    low, high = maps.scale

    def image(values: tuple[float, ...], shown: inspection.FeatureMap, model: str) -> str:
        rows = np.asarray(values, np.float32).reshape(shown.height, shown.width)
        grey = np.clip((rows - low) / (high - low or 1.0) * 255, 0, 255).astype(np.uint8)
        alt = html(f"Channel {shown.channel} of {model} on {picture.name}")
        address = thumbnail(np.repeat(grey[..., None], 3, axis=2), _MAP_SIDE)
        return f'<div><img src="{address}" alt="{alt}"><span>{html(model)}</span></div>'

    cards = (
        f'<figure><div class="q-pair">{image(shown.exact, shown, "float32")}'
        f"{image(shown.variant, shown, variant)}</div><figcaption>channel {shown.channel}, "
        f"differs by {shown.difference:.2g}</figcaption></figure>"
        for shown in maps.maps
    )
    return f'{_MAPS_STYLE}<div class="q-maps">{"".join(cards)}</div>'


def show_split(errors: LayerErrors) -> None:
    """Say and draw how much of the loss is the weights', and how much the activations'."""
    if errors.split is None:
        return
    with st.container(border=True):
        sentence = layer_sentences.split_sentence(errors.split)
        st.header(plain(sentence))
        show_described_figure(
            "loss_split", sentence, plots.loss_split, errors.split, errors.variant
        )
        st.caption(plain(layer_sentences.split_note(errors.split)))


def _show_cycles(run: Run, variant: str) -> Mapping[int, float]:
    """Say whose cycles the table has, and give them by index of the operator; empty without."""
    name = target_on_show()
    if name is None:
        return {}
    cycles = read_answers(run, (name,)).of(variant, name).cycles
    title = target_named(name).title
    if cycles:
        st.caption(plain(f"Cycles are those on {title}, estimated by Vela for its NPU."))
    elif target_named(name).compile is not None:
        st.caption(plain(f"{title} has no cycles for {variant}: ask it on the page Targets."))
    return cycles


def show_operators(run: Run, errors: LayerErrors, shares: Mapping[int, float]) -> None:
    """Show the table of all operators; a row that is chosen is shown beside the map.

    ``shares`` are of the variant's time by index of the operator; empty without a profile.
    """
    cycles = _show_cycles(run, errors.variant)
    rows = [
        {
            "operator": cell(title_of(layer)),
            "cause": cell(formats.keep_units(layer.cause.sentence))
            if layer.cause is not None
            else "",
            # What was asked for by a profile or a target stands where nobody has to scroll.
            **({"of the time": formats.percent(shares.get(layer.index))} if shares else {}),
            **({_CYCLES: _count(cycles.get(layer.index))} if cycles else {}),
            "on its own, dB": _decibels(layer.own.sqnr_db if layer.own is not None else None),
            "cumulative, dB": _decibels(layer.accumulated.sqnr_db),
            "mean shift": f"{layer.accumulated.mean_shift:+.4f}",
            "at the ends": formats.percent(layer.saturation),
            "range used": formats.percent(layer.range_used),
            "weights, dB": _decibels(layer.weights.worst_sqnr_db if layer.weights else None),
            "MACs, M": f"{layer.macs / 1e6:.1f}",
        }
        for layer in errors.layers
    ]
    columns = align_right(list(rows[0])[2:], _HELP)
    columns["operator"] = st.column_config.TextColumn(width="medium", pinned=True)
    columns["cause"] = st.column_config.TextColumn(width=_CAUSE_WIDTH)
    key = f"operators_{errors.run}_{errors.variant}"

    def choose() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen:
            st.session_state[_chosen_key(errors)] = errors.layers[chosen[0]].index
            st.session_state[_SCROLL] = st.session_state.get(_SCROLL, 0) + 1

    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        column_config=columns,
        row_height=_ROW_HEIGHT,
        on_select=choose,
        selection_mode="single-row",
        key=key,
    )
    if moment := st.session_state.get(_SCROLL):
        session.scroll_to(_DETAIL, (_SCROLL, moment))


def _count(cycles: float | None) -> str:
    return formats.UNKNOWN if cycles is None else f"{cycles:,.0f}"


_CYCLES = "cycles"
_CAUSE_WIDTH = 260
_SCROLL = "qlab_operator_scroll"
_ROW_HEIGHT = 72
"""Three lines, which the longest causes need."""


_HELP = {
    "on its own, dB": "SQNR of this operator alone, fed with float values: low marks a culprit.",
    "cumulative, dB": "SQNR as the network runs, with the errors of all operators before.",
    "mean shift": "Mean of integer minus float output, as the network runs, in real units.",
    "at the ends": "Share of values at the ends of the integer range; activations end there, too.",
    "range used": "Share of the integer range that the float values span.",
    _CYCLES: "On the chosen target's NPU, estimated by Vela; operators that stay on the processor "
    "have none.",
    "of the time": "Share of the variant's latency, by LiteRT's profiler, on one thread.",
    "weights, dB": "SQNR of the output channel whose weights lose most; 0 and below: nothing of "
    "that channel's weights is left.",
}


def _decibels(value: float | None) -> str:
    return formats.decibels(value).removesuffix(f"{formats.NO_BREAK}dB")
