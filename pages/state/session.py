"""What a browser session remembers, typed."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import streamlit as st

from engine.core import store
from engine.core.errors import RunError
from engine.core.files import write_whole
from engine.core.types import ORIGINAL
from engine.images.pictures import Picture, RgbPicture, pictures_in
from engine.reporting.picture_cards import thumbnail
from engine.runs import cleanup as service
from engine.runs.cleanup import mark_used
from engine.runs.request import ConvertRequest
from engine.runs.run import Run
from engine.workers.jobs import RUNS_ON_SHOW
from pages.access import auth as sharing
from pages.access.auth import account, browser_token

RUN_IN_ADDRESS, REFERENCE_IN_ADDRESS = "run", "against"
_RUN, _PICTURES, _FOLDER, _REFERENCE = "qlab_run", "qlab_pictures", "qlab_folder", "qlab_reference"
_OWNER, _MISSING, _NEWEST = "qlab_owner", "qlab_missing_run", "qlab_newest_pictures"
_TABLE, _OPENED = "qlab_labels_table", "qlab_picture_set_opened"
PICTURE_SET = "picture_set"
"""Key of the part of the sidebar that chooses pictures; its value is whether it is open."""
SIDES = GALLERY_SIDE, STAGE_SIDE = 320, 720
"""Longer sides of thumbnails in pixels."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def owner() -> str:
    """Identify the person by a digest: of the account, else the browser, else this session.

    Streamlit gives every browser a random token of 128 bits against forged requests; it stays
    when the page is closed or the server is started again.
    """
    if _OWNER not in st.session_state:
        who = account() or browser_token(str(st.context.cookies.get("_streamlit_xsrf")))
        secret = who or secrets.token_hex(16)
        st.session_state[_OWNER] = hashlib.sha256(f"owner {secret}".encode()).hexdigest()[:32]
    return str(st.session_state[_OWNER])


def visible_runs() -> tuple[Run, ...]:
    """List the runs that this person may see, the newest first."""
    runs = service.load_runs()
    if not sharing.shared():
        return runs
    return tuple(run for run in runs if run.visible_to(owner()))


def current_run() -> Run | None:
    """Return the run on show, which stays on show whatever another tab chooses.

    It is the one that a link names or the person chose; in a new session the one that the same
    person chose last, else the newest.

    Returns:
        The run; None without any, and while the one named is gone; see `missing_run`.
    """
    if missing_run() is not None:
        return None
    folder = st.session_state.get(_RUN)
    run = _open(RUNS_ON_SHOW.of(owner())) or _newest() if folder is None else _open(folder)
    if run is not None:
        st.session_state[_RUN] = str(run.folder)
        mark_used(run.folder)
    elif folder is not None:
        st.session_state[_MISSING] = Path(folder).name
    return run


def missing_run() -> str | None:
    """Name of the run that a link or this session names, while it is gone; None otherwise."""
    name: str | None = st.session_state.get(_MISSING)
    return name


def read_run_address() -> None:
    """Remember the run and the reference that the address names.

    Streamlit drops the query on the way to another page. Where there is one, it is the person's:
    a link, a reload, or the browser's way back and forward.
    """
    name = st.query_params.get(RUN_IN_ADDRESS, missing_run())
    if name is not None and (missing_run() or name != Path(st.session_state.get(_RUN, "")).name):
        run = next((run for run in visible_runs() if run.folder.name == name), None)
        st.session_state[_MISSING] = None if run else name
        st.session_state[_RUN] = str(run.folder) if run else None
    if (column := st.query_params.get(REFERENCE_IN_ADDRESS)) is not None:
        choose_reference(column)


def keep_in_address() -> None:
    """Name run, baseline and target in the address, for a link to show the same."""
    run = current_run()
    shown = {RUN_IN_ADDRESS: missing_run() or ""}
    if run is not None:
        shown = {RUN_IN_ADDRESS: run.folder.name, REFERENCE_IN_ADDRESS: reference(run)}
        if (target := named("target")) is not None:
            shown["target"] = target
    news = {key: value for key, value in shown.items() if st.query_params.get(key, "") != value}
    if news:
        # At once: each change of the address is a step of the browser's way back.
        st.query_params.update(news)


def choose_run(folder: Path) -> None:
    """Put another run on show."""
    st.session_state[_RUN] = str(folder)
    st.session_state[_MISSING] = None
    st.query_params[RUN_IN_ADDRESS] = folder.name
    RUNS_ON_SHOW.note(owner(), str(folder))


def choose_no_run() -> None:
    """Forget the run that is named, where it is gone and there is no other."""
    st.session_state[_MISSING] = None
    st.query_params.pop(RUN_IN_ADDRESS, None)


def _open(folder: str | None) -> Run | None:
    try:
        return None if folder is None else Run.open(folder)
    except RunError:
        return None


def _newest() -> Run | None:
    return next(iter(visible_runs()), None)


def reference(run: Run) -> str:
    """Return what the variants are compared with; the original unless the person chose."""
    chosen = st.session_state.get(_REFERENCE, ORIGINAL)
    return chosen if chosen in run.columns else ORIGINAL


def choose_reference(column: str) -> None:
    """Compare with another column."""
    st.session_state[_REFERENCE] = column
    if st.query_params.get(REFERENCE_IN_ADDRESS) != column:
        st.query_params[REFERENCE_IN_ADDRESS] = column


def pictures() -> tuple[Picture, ...]:
    """List the pictures on show: the person's, or the sample images until there are some."""
    chosen: tuple[Picture, ...] = st.session_state.get(_PICTURES, ())
    return chosen or sample_pictures()


def own_pictures() -> bool:
    """Whether the person chose pictures of their own."""
    return bool(st.session_state.get(_PICTURES))


def choose_pictures(chosen: tuple[Picture, ...], table: Path | None = None) -> None:
    """Show these pictures; none at all brings the sample images back.

    Args:
        chosen: The pictures.
        table: Their right answers as a CSV file, where one came with them.
    """
    st.session_state[_TABLE] = table
    before = {picture.sha256 for picture in st.session_state.get(_PICTURES, ())}
    new = frozenset(picture.sha256 for picture in chosen) - before
    if new or not chosen:
        st.session_state[_NEWEST] = new
    st.session_state[_PICTURES] = chosen


def table_of_pictures() -> Path | None:
    """Return the CSV file of right answers that came with the pictures on show."""
    table: Path | None = st.session_state.get(_TABLE)
    return table


def open_picture_set() -> None:
    """Open the part of the sidebar that chooses pictures; it is for a callback."""
    st.session_state[PICTURE_SET] = True
    st.session_state[_OPENED] = st.session_state.get(_OPENED, 0) + 1


def picture_set_opened() -> int:
    """Count how often a page opened the picture set."""
    return int(st.session_state.get(_OPENED, 0))


def newest_pictures() -> frozenset[str]:
    """Give the digests of the person's pictures that came last, together; empty for the samples."""
    newest: frozenset[str] = st.session_state.get(_NEWEST, frozenset())
    return newest


def sample_pictures() -> tuple[Picture, ...]:
    """List the pictures that come with Quantization Lab."""
    return pictures_in(store.SAMPLE_IMAGES)


def thumbnail_of(picture: Picture, side: int) -> str:
    """Make a thumbnail once a session; see `thumbnail`."""
    return draw_thumbnail(picture.sha256, side, picture)


@st.cache_data(scope="session", max_entries=2000, show_spinner=False)
def draw_thumbnail(
    sha256: str, side: int, _picture: Picture, _pixels: RgbPicture | None = None
) -> str:
    """Make a thumbnail once a session, of pixels that are decoded already where they are."""
    return thumbnail(_picture.decode() if _pixels is None else _pixels, side)


def keep_upload(name: str, content: bytes) -> Picture:
    """Copy an uploaded file out of Streamlit's memory, which forgets it on a page switch.

    Args:
        name: As the person's machine called it.
        content: The file.

    Returns:
        The file under this session's own folder, in a folder named by its content.
    """
    shown = Path(name).name
    safe = _UNSAFE.sub("_", Path(shown).stem).strip("_.")[:40] or "file"
    suffix = _UNSAFE.sub("", Path(shown).suffix.lower())[:12]
    digest = hashlib.sha256(content).hexdigest()
    path = _own_folder() / digest / (safe + suffix)
    if not path.exists():
        write_whole(path, content)
    return Picture(shown, path, digest)


def keep_together(uploads: Iterable[Picture]) -> list[Picture]:
    """Put kept uploads into one folder under their own names, by which they name each other.

    Args:
        uploads: With names of their own.

    Returns:
        The files in the folder; the same uploads give the same one.
    """
    by_name = {_UNSAFE.sub("_", upload.name).lstrip("."): upload for upload in uploads}
    content = "".join(f"{name}{by_name[name].sha256}" for name in sorted(by_name))
    folder = _own_folder() / f"set-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    together = []
    for name, upload in by_name.items():
        target = folder / name
        if not target.exists():
            target.hardlink_to(upload.path)
        together.append(Picture(upload.name, target, upload.sha256))
    return together


def keep_folder(files: Iterable[Picture]) -> Path:
    """Make a folder that holds exactly these files, for the engine to read.

    Args:
        files: Kept uploads.

    Returns:
        The folder; the same files give the same one.
    """
    by_digest = sorted(files, key=lambda file: file.sha256)
    digest = hashlib.sha256("".join(file.sha256 for file in by_digest).encode()).hexdigest()
    folder = _own_folder() / f"set-{digest[:16]}"
    folder.mkdir(exist_ok=True)
    for file in by_digest:
        target = folder / (file.sha256 + file.path.suffix)
        if not target.exists():
            target.hardlink_to(file.path)
    return folder


def folder_of(shown: Sequence[Picture]) -> Path:
    """Give the folder that holds a person's pictures, for the engine to read.

    Those of a folder of this machine are read there; kept uploads are put into one.
    """
    folder = Path(os.path.commonpath([picture.path.parent for picture in shown]))
    return keep_folder(shown) if folder.is_relative_to(store.folder("uploads")) else folder


def uploads_kept() -> str:
    """How long uploads are kept, in words."""
    hours = store.limits().uploads_seconds / 3600
    return f"Stays on this machine, visible only to you. Deleted after {hours:g} hours without use."


def keep_alive() -> None:
    """Note that this session is still there, so that its uploads stay."""
    if _FOLDER in st.session_state:
        mark_used(_own_folder())


def uploads_owner(request: ConvertRequest) -> str | None:
    """Return this person if a request is about an upload; None for everybody."""
    paths = (
        request.model.checkpoint,
        request.model.onnx,
        request.model.labels,
        request.calibration.folder,
    )
    uploads = store.folder("uploads")
    own = any(path is not None and Path(path).is_relative_to(uploads) for path in paths)
    return owner() if own else None


def _own_folder() -> Path:
    if _FOLDER not in st.session_state:
        st.session_state[_FOLDER] = secrets.token_urlsafe(16)
    path = store.folder("uploads") / str(st.session_state[_FOLDER])
    path.mkdir(mode=0o700, exist_ok=True)
    return path


_SCRIPT = """
<script>
/* {moment} */
{{
  let left = 20;
  const leave = () => {{ left = 0; }};
  for (const kind of ["wheel", "touchstart", "mousedown", "keydown"]) {{
    window.addEventListener(kind, leave, {{ once: true }});
  }}
  const scroll = () => {{
    document.querySelector(".st-key-{key}")?.scrollIntoView({{ block: "{block}" }});
    if (left-- > 0) setTimeout(scroll, 100);
  }};
  setTimeout(scroll, 100);
}}
</script>
"""
"""It goes on for two seconds, while plots above take their room, unless the person acts."""


def scroll_to(key: str, moment: object, *, block: Literal["nearest", "start"] = "nearest") -> None:
    """Scroll to the container of a key, once.

    Args:
        key: Of the container.
        moment: What happened: the browser runs a script again only where its text is another.
        block: Where the container is to be; nearest leaves what is in view where it is.
    """
    script = _SCRIPT.format(key=key, moment=hash(moment), block=block)
    st.html(script, unsafe_allow_javascript=True)


Named = Literal["variant", "picture", "flip", "target", "axes"]
_NAMES: tuple[Named, ...] = ("variant", "picture", "flip", "target", "axes")


def read_address() -> None:
    """Remember what the address names, before Streamlit forgets it on the way to a page."""
    for key in _NAMES:
        if (value := st.query_params.get(key)) is not None:
            st.session_state[f"qlab_{key}"] = value


def named(key: Named) -> str | None:
    """Return what was named last, by the link or by a choice."""
    value: str | None = st.session_state.get(f"qlab_{key}")
    return value


def name(key: Named, value: str) -> None:
    """Name a choice, for a link and for the other pages."""
    st.session_state[f"qlab_{key}"] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value


def unname(key: Named) -> None:
    """Take back what was named."""
    st.session_state.pop(f"qlab_{key}", None)
    st.query_params.pop(key, None)
