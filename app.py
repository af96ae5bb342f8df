"""Quantization Lab's dashboard: page configuration and navigation, nothing else."""

import streamlit as st

from pages.components.demo import show_demo
from pages.components.frame import show_frame
from pages.components.sharing import demand_let_in
from pages.components.story import CHAPTERS, chapter

st.set_page_config(page_title="Quantization Lab", page_icon="static/icon.png", layout="wide")
st.logo("static/logo.svg", size="large", icon_image="static/icon.png")
demand_let_in()

page = st.navigation(
    [st.Page(known.file, title=known.title, icon=f":material/{known.icon}:") for known in CHAPTERS]
)
show_frame()
show_demo()
with chapter(page.title):
    page.run()
