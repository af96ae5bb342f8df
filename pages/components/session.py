"""What a browser session remembers, typed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from engine import service, store
from engine.errors import RunError
from engine.images import Picture, picture_at, pictures_in
from engine.runs import Run
from engine.types import ORIGINAL

RUN_IN_ADDRESS, REFERENCE_IN_ADDRESS = "run", "against"
_RUN, _PICTURES, _FOLDER, _REFERENCE = "qlab_run", "qlab_pictures", "qlab_folder", "qlab_reference"


def current_run() -> Run | None:
    """The run on show: the one chosen, else the newest; None where there is none."""
    chosen = st.session_state.get(_RUN) or _named_in_address()
    if chosen is not None:
        try:
            return Run.open(chosen)
        except RunError:
            st.session_state.pop(_RUN, None)
    runs = service.known_runs()
    return runs[0] if runs else None


def _named_in_address() -> str | None:
    """Folder of the run that a link names, where the store has it."""
    name = st.query_params.get(RUN_IN_ADDRESS)
    known = (str(run.folder) for run in service.known_runs() if run.folder.name == name)
    return None if name is None else next(known, None)


def keep_in_address(run: Run) -> None:
    """Name the run and what it is compared with in the address, for a link to show the same."""
    shown = {RUN_IN_ADDRESS: run.folder.name, REFERENCE_IN_ADDRESS: reference(run)}
    for key, value in shown.items():
        if st.query_params.get(key) != value:
            st.query_params[key] = value


def choose_run(folder: Path) -> None:
    """Put another run on show."""
    st.session_state[_RUN] = str(folder)


def reference(run: Run) -> str:
    """What the variants are compared with; the original unless the person chose otherwise."""
    named = st.query_params.get(REFERENCE_IN_ADDRESS, ORIGINAL)
    chosen = st.session_state.get(_REFERENCE, named)
    return chosen if chosen in run.columns else ORIGINAL


def choose_reference(column: str) -> None:
    """Compare with another column."""
    st.session_state[_REFERENCE] = column


def pictures() -> tuple[Picture, ...]:
    """The pictures on show: the person's, or the sample images until there are some."""
    chosen: tuple[Picture, ...] = st.session_state.get(_PICTURES, ())
    return chosen or sample_pictures()


def own_pictures() -> bool:
    """Whether the person chose pictures of their own."""
    return bool(st.session_state.get(_PICTURES))


def choose_pictures(chosen: tuple[Picture, ...]) -> None:
    """Show these pictures; none at all brings the sample images back."""
    st.session_state[_PICTURES] = chosen


def sample_pictures() -> tuple[Picture, ...]:
    """The pictures that come with Quantization Lab."""
    return pictures_in(store.SAMPLE_IMAGES)


def keep_upload(name: str, content: bytes) -> Picture:
    """Copy an uploaded file out of Streamlit's memory, which forgets it on a page switch.

    Args:
        name: As the person's machine called it.
        content: The file.

    Returns:
        The file under this session's own folder, named by its content.
    """
    path = _own_folder() / (hashlib.sha256(content).hexdigest() + Path(name).suffix.lower()[:12])
    if not path.exists():
        path.write_bytes(content)
    return picture_at(path, Path(name).name)


def keep_folder(files: Iterable[Picture]) -> Path:
    """A folder that holds exactly these files, for the engine to read.

    Args:
        files: Kept uploads.

    Returns:
        The folder; the same files give the same one.
    """
    kept = sorted(files, key=lambda file: file.sha256)
    digest = hashlib.sha256("".join(file.sha256 for file in kept).encode()).hexdigest()
    folder = _own_folder() / f"set-{digest[:16]}"
    folder.mkdir(exist_ok=True)
    for file in kept:
        target = folder / file.path.name
        if not target.exists():
            target.hardlink_to(file.path)
    return folder


def _own_folder() -> Path:
    if _FOLDER not in st.session_state:
        st.session_state[_FOLDER] = secrets.token_urlsafe(16)
    path = store.folder("uploads") / str(st.session_state[_FOLDER])
    path.mkdir(mode=0o700, exist_ok=True)
    return path
