"""Pictures from the clipboard: Ctrl+V anywhere on the page."""

from __future__ import annotations

import base64

import streamlit as st

from engine.core.errors import PictureError
from engine.core.limits import LIMITS

_HTML = '<span class="hint">Or paste a copied picture with Ctrl+V.</span>'
_CSS = """
.hint { color: var(--st-text-color); opacity: .72; font-size: .875rem;
  font-family: var(--st-font); }
"""
_JS = """
export default function ({ setTriggerValue, data }) {
  const onPaste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])]
      .filter((file) => file.type.startsWith("image/") && file.size <= data.most);
    if (!files.length) return;
    event.preventDefault();
    Promise.all(files.map((file) => new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onerror = failed;
      reader.onload = () => done({ name: file.name, content: reader.result.split(",")[1] });
      reader.readAsDataURL(file);
    }))).then((pictures) => setTriggerValue("pasted", pictures));
  };
  document.addEventListener("paste", onPaste);
  return () => document.removeEventListener("paste", onPaste);
}
"""
_component = st.components.v2.component("paste_pictures", html=_HTML, css=_CSS, js=_JS)


def pasted_files() -> list[tuple[str, bytes]]:
    """Show that pictures can be pasted.

    Returns:
        Name and content of what was pasted since the last run of the script, not yet looked into.

    Raises:
        PictureError: The browser sent something else.
    """
    shown = _component(
        key="paste_pictures", data={"most": LIMITS.picture_bytes}, on_pasted_change=lambda: None
    )
    try:
        return [
            (str(one["name"]), base64.b64decode(one["content"], validate=True))
            for one in shown.get("pasted") or ()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise PictureError(
            "Pasting",
            got="a message that holds no pictures",
            expected="name and content of each",
            todo="Copy the picture again, or drop it as a file.",
        ) from error
