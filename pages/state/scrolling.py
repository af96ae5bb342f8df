"""Bringing a part of a page into view."""

from __future__ import annotations

from typing import Literal

import streamlit as st

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
