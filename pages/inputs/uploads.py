"""Widgets for files from a person: models with their data, external TFLite files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.elements.lib.utils import LabelVisibility
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.core import formats
from engine.core.errors import EngineError, OptionError
from engine.core.file_types import demand_onnx
from engine.core.limits import LIMITS, models_note
from engine.images.pictures import Picture
from engine.images.preprocess import input_size_in
from engine.networks.checkpoints import choose_checkpoint_file, is_part
from engine.networks.onnx_parts import demand_complete
from engine.networks.onnx_precision import is_model, pack_onnx
from engine.networks.source import FileFacts, ModelChoice
from engine.reporting.plots.palette import marker_image
from engine.reporting.text.runs import fact_rows
from engine.runs.external_files import name_for, remove_file
from engine.runs.manifest import AddedFile
from engine.runs.run import Run
from engine.tasks import own_model
from engine.tasks.add_file import add_file
from engine.tasks.litert_torch import add_litert_torch, check_route
from engine.tasks.own_model import ModelReading
from engine.workers import sandbox
from engine.workers.jobs import Job
from pages.access.auth import shared
from pages.state import jobs, session
from pages.state.conversion import fault_mark
from pages.state.messages import html, plain, show_errors, show_problem

JOB = "also"


def show_files_from_elsewhere(run: Run) -> None:
    """Show the external files of a run, and the widgets to add one."""
    st.header("Add a TFLite file")
    busy = jobs.busy(JOB)
    for added in run.added:
        _show_added(run, added)
    if shared() and run.public:
        st.caption(
            "On a shared dashboard files can be added to runs of your own uploads alone: everybody "
            "sees this one."
        )
        return
    with st.container(border=True):
        st.caption(
            "A .tflite that another tool made of the same model becomes one more column on every "
            "page. It gets the pictures as this run prepares them. "
            f"{models_note()} {sandbox.note()}"
        )
        files = ask_for_files("TFLite file", ["tflite"], key="also_file", most=LIMITS.upload_bytes)
        if files:
            file = files[0]
            name = st.text_input("Name", name_for(file.name), key=f"also_name_{file.file_id}")
            if st.button("Add to the comparison", disabled=busy, icon=":material/add:"):
                with show_errors():
                    upload = session.keep_upload(file.name, file.getvalue())

                def work(job: Job[Run]) -> Run:
                    return add_file(run, name.strip(), upload.path, job, origin=upload.name)

                jobs.start(JOB, f"Adding {name}", work)
                st.rerun()
        _show_route(run, busy=busy)
        jobs.show(JOB)


def _show_route(run: Run, *, busy: bool) -> None:
    """Show the button of the second converter, or what is missing for it."""
    try:
        check_route(run.manifest.model.kind)
    except OptionError as error:
        st.caption(
            "Comparing with litert-torch needs `make setup-litert-torch` and a catalogue model. "
            f"{plain(error.todo)}"
        )
        return
    if st.button("Convert with litert-torch, too", disabled=busy, icon=":material/alt_route:"):

        def work(job: Job[Run]) -> Run:
            return add_litert_torch(run, job)

        jobs.start(JOB, "Converting with litert-torch", work)
        st.rerun()


def _show_added(run: Run, added: AddedFile) -> None:
    card, name = added.artifact, added.artifact.variant
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.html(
            f'<div style="min-width:10rem">{marker_image(name)} <b>{html(name)}</b> '
            f"&nbsp;{formats.megabytes(card.bytes)}"
            f'<br><span style="opacity:.7">from {html(added.origin)}</span>{fault_mark(card)}</div>'
        )
        if shared() and run.public:
            return
        if st.button("Remove", key=f"remove_{name}", icon=":material/delete:", width="content"):
            with show_errors():
                remove_file(run, name)
            st.rerun()


_DROPPED, _REPLACED = "qlab_dropped_", "qlab_replaced_"


def keep_model(files: Sequence[UploadedFile]) -> Picture:
    """Keep an ONNX file, or a zip of it and its data.

    Raises:
        ModelError: It is not one whole model.
        StorageError: The disk refuses it.
    """
    current = _current("models", files, _another_model)
    upload = session.keep_upload(*pack_onnx([(file.name, file.getvalue()) for file in current]))
    demand_onnx(upload.path)
    demand_complete(upload.path)
    return upload


def keep_checkpoint(files: Sequence[UploadedFile]) -> Picture:
    """Keep a checkpoint with its index and all its files, and give it, or its index.

    Raises:
        ModelError: It is not one whole checkpoint.
        StorageError: The disk refuses it.
    """
    current = _current("checkpoints", files, _another_checkpoint)
    uploads = [session.keep_upload(file.name, file.getvalue()) for file in current]
    if len(uploads) > 1:
        uploads = session.keep_together(uploads)
    file = choose_checkpoint_file([upload.path for upload in uploads])
    return next(upload for upload in uploads if upload.path == file)


def _another_model(old: Sequence[UploadedFile], new: Sequence[UploadedFile]) -> bool:
    """Check whether a model was dropped after another: its data may be dropped later."""
    return all(any(is_model(file.name) for file in side) for side in (old, new))


def _another_checkpoint(old: Sequence[UploadedFile], new: Sequence[UploadedFile]) -> bool:
    """Check whether these are not all parts of a checkpoint in several files."""
    return not all(is_part(file.name) for file in (*old, *new))


def _current(
    kind: str,
    files: Sequence[UploadedFile],
    another: Callable[[Sequence[UploadedFile], Sequence[UploadedFile]], bool],
) -> list[UploadedFile]:
    """Leave out the files that others, dropped later, replaced: ``another`` says whether."""
    dropped: set[str] = st.session_state.setdefault(_DROPPED + kind, set())
    replaced: set[str] = st.session_state.setdefault(_REPLACED + kind, set())
    old = [file for file in files if file.file_id in dropped]
    new = [file for file in files if file.file_id not in dropped]
    dropped |= {file.file_id for file in new}
    if new and another(old, new):
        replaced |= {file.file_id for file in old}
    # Where what replaced them was removed, they are back.
    return [file for file in files if file.file_id not in replaced] or list(files)


_MIB = 1 << 20
_MOST_WRITTEN = 512 * _MIB


def ask_for_files(
    label: str,
    endings: Iterable[str],
    *,
    key: str,
    most: int,
    several: bool = False,
    help: str | None = None,
    label_visibility: LabelVisibility = "visible",
) -> tuple[UploadedFile, ...]:
    """Show a file uploader and give the files in it.

    ``endings`` are those of the files that are taken, without the dot, any where there is none;
    ``most`` is the largest size of one in bytes, whole MiB.
    """
    # Streamlit writes more than half a GiB as "1GB": static/look.css hides that, and the page says
    # the limit itself.
    kind = "large" if most > _MOST_WRITTEN else "small"
    with st.container(key=f"{kind}_files_{key}"):
        files = st.file_uploader(
            label,
            type=list(endings) or None,
            accept_multiple_files=several,
            key=key,
            help=help,
            label_visibility=label_visibility,
            max_upload_size=most // _MIB,
        )
    if files is None:
        return ()
    return tuple(files) if isinstance(files, list) else (files,)


_UPLOADED, _CHECKED = "qlab_uploaded_", "qlab_checked_"


def ask_for_upload(
    label: str,
    *endings: str,
    help: str,
    most: int = LIMITS.upload_bytes,
    several: bool = False,
    keep: Callable[[Sequence[UploadedFile]], Picture] | None = None,
) -> str | None:
    """Show a file uploader as `ask_for_files` does, and keep what is dropped there.

    ``keep`` stores what was dropped, or raises where it can be nothing of use; without it the file
    is stored as it is.

    Returns:
        Its path; None until there is one that can be used.
    """
    files = ask_for_files(
        label, endings, key=f"upload_{label}", most=most, several=several, help=help
    )
    if files:
        dropped = tuple(file.file_id for file in files)
        try:
            # Large files are looked into once, not with every click.
            if st.session_state.get(_CHECKED + label) != dropped or not _is_there(label):
                st.session_state[_UPLOADED + label] = (keep or _keep_file)(files)
                st.session_state[_CHECKED + label] = dropped
        except EngineError as error:
            show_problem(error)
            return None
        st.caption(session.uploads_kept())
    upload = st.session_state.get(_UPLOADED + label)
    if upload is None:
        return None
    if len(files) != 1:
        st.caption(f"Using {plain(upload.name)}{'' if files else ', uploaded before'}.")
    return str(upload.path)


def _is_there(label: str) -> bool:
    upload: Picture = st.session_state[_UPLOADED + label]
    return upload.path.exists()


def _keep_file(files: Sequence[UploadedFile]) -> Picture:
    return session.keep_upload(files[0].name, files[0].getvalue())


def read_or_wait(model: ModelChoice, size: str) -> ModelReading | None:
    """Give what a person's file holds; None while it is read, and where it cannot be."""
    try:
        input_size = input_size_in(size) if size.strip() else None
    except ValueError:
        input_size = None  # the step about sizes says so

    def work(job: Job[ModelReading]) -> ModelReading:
        return own_model.read_model(model, job, input_size=input_size)

    bare = replace(model, labels=None)
    about = jobs.digest(bare, input_size)
    return jobs.result_or_wait("read_model", "Reading the file", work, about=about)


def labels_or_wait(labels: str, classes: int) -> bool:
    """Whether class names fit a model: False while they are read, and where they do not."""

    def work(job: Job[tuple[str, ...]]) -> tuple[str, ...]:
        return own_model.check_labels(Path(labels), classes, job)

    about = jobs.digest(labels, classes)
    names = jobs.result_or_wait("check_labels", "Reading the class names", work, about=about)
    return names is not None


def describe_facts(facts: FileFacts) -> str:
    """Say in a few words what a file holds."""
    shape = formats.sides("any" if size is None else size for size in facts.shape)
    return f"{shape}, {formats.plural(facts.classes, 'class', 'classes')}"


def show_facts(reading: ModelReading) -> None:
    """Show what was read from a file."""
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{html(value)}</dd></div>"
        for name, value in fact_rows(reading.facts)
    )
    st.html(f'<dl class="q-facts">{rows}</dl>')
    for note in reading.notes:
        if not note.startswith("Preprocessing assumed"):  # the next step is about that
            st.caption(plain(note))
