"""Quantization Lab's dashboard: packages, page configuration and navigation."""

from pathlib import Path

import streamlit as st

from engine.core.errors import PackageError
from engine.core.system import demand_packages, freeze_imports

try:
    demand_packages()
except PackageError as error:
    st.error(str(error))
    st.stop()

from pages.access.auth import require_login
from pages.inputs.pictures import show_picture_set
from pages.shell.navigation import CHAPTERS, chapter, demo_is_on, leave_demo
from pages.shell.sidebar import demand_run_of_link, keep_session, show_marks, show_sidebar
from pages.state.conversion import wait_for_first_run
from pages.state.messages import PageEnd

st.set_page_config(page_title="Quantization Lab", page_icon="static/icon.png", layout="wide")
st.html(Path(__file__).parent / "static/look.css")
shade = "_dark" if st.context.theme.type == "dark" else ""
st.logo(f"static/logo{shade}.svg", size="large", icon_image="static/icon.png")
page = st.navigation(
    [
        st.Page(chapter.file, title=chapter.title, icon=f":material/{chapter.icon}:")
        for chapter in CHAPTERS
    ],
    position="hidden",
)
# After the pages are named, so that a link to one of them is not lost at the door.
require_login()
st.set_page_config(page_title=f"{page.title} · Quantization Lab")
# The progress of a first comparison leads to Convert, too, which has no slide.
if demo_is_on() and page.title != "Convert":
    from pages.views.slides import show_slides

    keep_session()
    try:
        demand_run_of_link()
        show_slides()
    except PageEnd:  # there is nothing to show yet, or something is wrong
        st.button("Leave the slides", on_click=leave_demo, icon=":material/close:")
    st.stop()
run = show_sidebar(page.title)
if run is not None:
    with st.sidebar:
        show_picture_set(run)
        show_marks(run)
with chapter(page.title):
    demand_run_of_link()
    wait_for_first_run(page.title)
    page.run()
# Streamlit collects garbage now, and what a page was the first to import is much.
freeze_imports()
