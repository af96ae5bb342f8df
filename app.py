"""Quantization Lab's dashboard: page configuration and navigation, nothing else."""

import streamlit as st

from pages.components.frame import show_frame

st.set_page_config(page_title="Quantization Lab", page_icon="static/icon.png", layout="wide")
st.logo("static/logo.svg", size="large", icon_image="static/icon.png")

page = st.navigation(
    [
        st.Page("pages/dashboard/convert.py", title="Convert", icon=":material/conversion_path:"),
        st.Page("pages/dashboard/predictions.py", title="Predictions", icon=":material/image:"),
        st.Page(
            "pages/dashboard/logit_differences.py",
            title="Logit differences",
            icon=":material/scatter_plot:",
        ),
        st.Page("pages/dashboard/layers.py", title="Layers", icon=":material/layers:"),
        st.Page("pages/dashboard/improve.py", title="Improve", icon=":material/auto_fix_high:"),
        st.Page(
            "pages/dashboard/latency_and_size.py",
            title="Latency and size",
            icon=":material/speed:",
        ),
        st.Page("pages/dashboard/accuracy.py", title="Accuracy", icon=":material/target:"),
        st.Page("pages/dashboard/deploy.py", title="Deploy", icon=":material/deployed_code:"),
        st.Page("pages/dashboard/run_details.py", title="Run details", icon=":material/list_alt:"),
    ]
)
show_frame()
page.run()
