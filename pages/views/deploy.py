"""Contents of the page Deploy: the kit of a variant, and timings of phones."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pandas as pd
import streamlit as st

from engine.comparison.records import MemoryUse
from engine.core import formats
from engine.core.errors import FileError
from engine.core.formats import join_names
from engine.deployment.adb import VARIABLE, time_on_phone
from engine.deployment.documents import phone_sentence
from engine.deployment.kit import CARD, DESCRIPTION, FILES_TITLE, Kit, kit_file, make_kit, text_in
from engine.deployment.micro_kit import FIRMWARE, README, make_micro_kit
from engine.deployment.micro_sources import ARENA_MARGIN
from engine.deployment.phone import (
    LARGEST_BYTES,
    PhoneBenchmark,
    PhoneTiming,
    add_benchmark,
    benchmark_command,
    benchmark_log,
    benchmarks_of,
    read_timing,
    remove_benchmark,
    variant_of,
)
from engine.images.pictures import Picture
from engine.reporting.text.destination import target_lines
from engine.reporting.text.overview import not_recommended
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks.targets import read_memory
from engine.tflite.artifact import has_integer_edges
from engine.workers.jobs import Job
from pages.inputs.uploads import ask_for_files
from pages.inputs.variant import first_shown, show_pills
from pages.state import jobs, session
from pages.state.evaluation import choice_on_show, target_on_show
from pages.state.jobs import job_button
from pages.state.messages import end_page, plain, show_errors, show_problem
from pages.views.figures import align_right

JOB, _MICRO_JOB = "deploy", "deploy_micro"
_ASKED = "qlab_kit_asked"
_SOURCES = ("main.cc", "model.h", "golden.h")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_SNIPPETS = (
    ("Python", "run_model.py", "python"),
    ("Kotlin, the numbers", "android/ModelSpec.kt", "kotlin"),
    ("Kotlin, the app", "android/Classifier.kt", "kotlin"),
    ("Swift", "ios/Classifier.swift", "swift"),
    ("JSON", DESCRIPTION, "json"),
)


def choose_variant(run: Run) -> str:
    """Show the variants that LiteRT runs; the page ends here where there are none.

    It begins with the recommended one: what was looked at elsewhere is not what is shipped.
    """
    names = list(run.runnable)
    if not names:
        st.title("LiteRT runs no variant of this run")
        st.markdown("Their SELECT_TF operators need TensorFlow itself, which a kit cannot bring.")
        st.page_link("pages/dashboard/convert.py", label="Add a variant", icon=":material/bolt:")
        end_page()
    key = _shipped(run)
    wanted = st.query_params.get("variant") or st.session_state.get(key)
    first = first_shown(names, wanted)
    variant = show_pills(names, first)
    if variant != first or variant == wanted:
        st.session_state[key] = st.query_params["variant"] = variant
    return variant


def _shipped(run: Run) -> str:
    return f"qlab_shipped_{run.folder.name}"


def ask_for_kit(run: Run, variant: str) -> None:
    """Let the page make the kit of a variant as soon as it is opened, with no second press."""
    st.session_state[_shipped(run)] = variant
    st.session_state[_ASKED] = run.folder, variant


def show_advice(variant: str) -> None:
    """Say so where another variant than the one on show is recommended, and how it runs there."""
    choice = choice_on_show()
    if choice is None:
        return
    note, target = not_recommended(choice, variant), choice.destination
    if note:
        st.info(plain(note), icon=":material/info:")
    if target is not None and target.fit(variant).level != "refused":
        st.caption(plain(target_lines((variant,), target)[0]))


def kit_or_button(run: Run, variant: str, pictures: tuple[Picture, ...]) -> Path | None:
    """Give the kit that the run has, or show the button that makes it."""
    reference, target = session.reference(run), target_on_show()

    def work(job: Job[Kit]) -> Kit:
        return make_kit(run, variant, pictures, job, reference=reference, target=target)

    file = kit_file(run, variant, pictures, target)
    asked = st.session_state.pop(_ASKED, None) == (run.folder, variant)
    if file.is_file():
        return file
    if asked:
        jobs.start(JOB, f"Packing {variant}", work)
    icon = ":material/deployed_code:"
    job_button(JOB, "Make the kit", f"Packing {variant}", work, icon=icon, primary=True)
    return None


def show_micro_kit(run: Run, variant: str, pictures: tuple[Picture, ...]) -> None:
    """Show the kit for a microcontroller, or the button that makes it, or what it would take."""
    st.header("One zip for a microcontroller")
    if not has_integer_edges(run.artifact(variant)):
        fit = [name for name in run.runnable if has_integer_edges(run.artifact(name))]
        todo = f"Take {join_names(fit, 'or')}" if fit else "Add int8 on the page Convert"
        st.markdown(
            f"Devices without floats want integers at both ends, and {plain(variant)} has floats "
            f"there. {plain(todo)}."
        )
        return
    reference = session.reference(run)

    def work(job: Job[Kit]) -> Kit:
        return make_micro_kit(run, variant, pictures, job, reference=reference)

    file = kit_file(run, variant, pictures, FIRMWARE)
    if not file.is_file():
        st.markdown(
            "- the model as a **C array**, and the list of its operators for TFLite Micro\n"
            "- the **arena** that TFLite Micro used here, with "
            f"{formats.with_unit(str(ARENA_MARGIN), '%')} more\n"
            "- a **golden set** as C arrays, and a `main.cc` that prints PASSED or FAILED"
        )
        title = f"Packing {variant} for a microcontroller"
        job_button(_MICRO_JOB, "Make the firmware kit", title, work, icon=":material/memory:")
        return
    name = f"{run.manifest.model.file_stem}_{variant}_firmware.zip"
    _download("Download the firmware kit", file, name)
    with st.expander("How to build it, and what it needs", icon=":material/description:"):
        st.markdown(_short(text_in(file, README)))
    for shown, tab in zip(_SOURCES, st.tabs(list(_SOURCES)), strict=True):
        tab.container(height=320, border=False).code(
            text_in(file, shown), language="cpp", wrap_lines=True
        )


def _short(card: str) -> str:
    """Cut a card to what fits a page: no title, no list of files, short digests, bold headings."""
    # Headings become bold, since the page has its own; whole digests would make tables wider than
    # a phone.
    text = _DIGEST.sub(r"\1…", card).partition(f"## {FILES_TITLE}")[0]
    return _HEADING.sub(r"**\1**", text.partition("\n")[2])


def _download(label: str, file: Path, name: str) -> None:
    st.download_button(
        f"{label} ({formats.megabytes(file.stat().st_size)})",
        file.read_bytes,
        file_name=name,
        mime="application/zip",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )


def show_promise() -> None:
    """Show what a kit will hold."""
    st.markdown(
        "- the model with **TFLite Metadata** in it: labels, normalisation, description\n"
        "- a **golden set**: inputs, expected answers, and how far they may be off\n"
        "- a **Python script** that runs the model with two packages and checks itself\n"
        "- **Kotlin and Swift** with this model's shapes, scales and normalisation\n"
        "- a **model card** with the figures of this run"
    )


def show_download(run: Run, variant: str, file: Path) -> None:
    """Show the download of the kit, and how to try it."""
    name = f"{run.manifest.model.file_stem}_{variant}_kit.zip"
    _download("Download the kit", file, name)
    lines = (
        "pip install ai-edge-litert numpy",
        f"unzip {shlex.quote(name)} -d kit",
        "python kit/run_model.py",
    )
    st.code("\n".join(lines), language="bash", wrap_lines=True)
    st.caption(
        "The script feeds the golden inputs and says whether the answers are the same. For a "
        "picture of your own, as in `python kit/run_model.py photo.jpg`, install `pillow`, too."
    )
    if st.button("Make it again", icon=":material/refresh:", type="tertiary"):
        file.unlink(missing_ok=True)
        st.rerun()


def show_contents(file: Path) -> None:
    """Show the model card and the snippets, as they lie in the kit."""
    titles = ["Model card", *(title for title, _, _ in _SNIPPETS)]
    card, *others = st.tabs(titles)
    card.markdown(_short(text_in(file, CARD)))
    for tab, (_, name, language) in zip(others, _SNIPPETS, strict=True):
        tab.caption(name)
        # A box around it: a keyboard scrolls what holds a button, and code alone holds none.
        box = tab.container(height=480, border=False)
        box.code(text_in(file, name), language=language, wrap_lines=True)


def show_phone(run: Run, variant: str, model: str) -> None:
    """Show how to time the model on a phone, timings of phones, and where to upload one."""
    with show_errors():
        benchmarks = benchmarks_of(run)
    own = [timing for timing in benchmarks if timing.variant == variant]
    threads = own[0].timing.threads if own else None
    sentence = phone_sentence(variant, benchmarks, load_latency(run, threads or 1))
    st.header(sentence or "How fast is it on your phone?")
    if benchmarks:
        _show_table(run, benchmarks)
    _show_adb(run, variant)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**1. Time it over adb.** The tool is in LiteRT's documentation.")
        st.code(benchmark_command(model), language="bash", wrap_lines=True)
    with right:
        st.markdown(
            f"**2. Bring its output:** {plain(benchmark_log(model))}, which these lines write."
        )
        _bring(run, variant)


def _show_adb(run: Run, variant: str) -> None:
    """Show the button that times the variant on the phone that adb sees."""

    def work(job: Job[tuple[PhoneBenchmark, ...]]) -> tuple[PhoneBenchmark, ...]:
        return time_on_phone(run, (variant,), job)

    if not os.environ.get(VARIABLE):
        st.caption(
            f"Set {plain(VARIABLE)} to the file of benchmark_model for Android, and a button here "
            "times the phone that adb sees."
        )
        return
    title = f"Timing {variant} on the phone"
    job_button(f"adb_{variant}", "Time it on the phone", title, work, icon=":material/smartphone:")


def _bring(run: Run, variant: str) -> None:
    files = ask_for_files(
        "Output of benchmark_model",
        ["txt", "log"],
        key="phone_file",
        most=LARGEST_BYTES,
        label_visibility="collapsed",
    )
    if not files:
        return
    file = files[0]
    if file.size > LARGEST_BYTES:
        st.warning(f"{plain(file.name)} is larger than the tool's output ever is.")
        return
    text = file.getvalue().decode(errors="replace")
    try:
        timing = read_timing(text)
    except FileError as error:
        show_problem(error)
        return
    about = variant_of(run, timing) or variant
    phone = st.text_input("Which phone is it?", placeholder="Pixel 9", key="phone_name")
    time = formats.milliseconds(timing.mean_ms)
    st.markdown(f"**{time}** a call for {plain(about)}: {_how(timing)}")
    if st.button("Keep it beside this machine's figures", icon=":material/add:"):
        with show_errors():
            add_benchmark(run, about, phone, text)
        st.rerun()


def _show_table(run: Run, benchmarks: tuple[PhoneBenchmark, ...]) -> None:
    rows, memory = [], read_memory(run)
    for benchmark in benchmarks:
        timed = load_latency(run, benchmark.timing.threads or 1)
        host = None if timed is None else timed.of(benchmark.variant)
        ratio = benchmark.timing.mean_ms / host.median_ms if host and host.median_ms else None
        pictures = host.pictures if host else 1
        rows.append(
            {
                "variant": benchmark.variant,
                "phone": benchmark.phone,
                "on the phone": formats.milliseconds(benchmark.timing.mean_ms, pictures),
                "on this machine": formats.milliseconds(host.median_ms if host else None, pictures),
                "phone ÷ machine": formats.UNKNOWN if ratio is None else f"{ratio:.2f}",
                "how": _how(benchmark.timing),
            }
            | _memories(benchmark, memory.get(benchmark.variant))
        )
    picked = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        column_config=align_right(
            ("on the phone", "on this machine", "phone ÷ machine", "memory there", "memory here"),
            _HELP,
        ),
        on_select="rerun",
        selection_mode="single-row",
        key=f"phones_{run.folder.name}_{len(rows)}",
    )
    chosen = picked["selection"]["rows"]
    if chosen and st.button("Remove the chosen timing", icon=":material/delete:"):
        remove_benchmark(run, benchmarks[chosen[0]])
        st.rerun()


def _memories(benchmark: PhoneBenchmark, here: MemoryUse | None) -> dict[str, str]:
    """Set the memory on the phone beside that on this machine."""
    return {
        "memory there": formats.megabytes(benchmark.timing.memory_bytes),
        "memory here": formats.megabytes(None if here is None else here.peak_bytes),
    }


_HELP = {
    "memory there": "What benchmark_model's memory grew by; approximate, as it says itself.",
    "memory here": "Peak memory on this machine's CPU, as the page Targets measures it.",
    "on the phone": "Mean of benchmark_model's timed calls.",
    "on this machine": "Median with as many threads, as on the page about latency.",
}


def _how(timing: PhoneTiming) -> str:
    parts = (
        f"mean of {timing.calls} calls" if timing.calls else "mean",
        f"threads: {timing.threads}" if timing.threads else "",
        timing.delegate or "",
    )
    return ", ".join(part for part in parts if part)
