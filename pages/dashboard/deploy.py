"""Deploy: a variant as one zip for an app, and what a phone says about it."""

import streamlit as st

from engine.core.types import FAULT_WORDS
from engine.deployment.description import model_file
from engine.deployment.documents import deploy_headline, kit_sentence
from pages.state.evaluation import evaluation_or_wait, show_notes
from pages.state.messages import no_run_yet
from pages.state.session import current_run, pictures
from pages.views import deploy as deployment

run = current_run()
if run is None:
    no_run_yet()
headline = st.container()
variant = deployment.choose_variant(run)
deployment.show_advice(variant)
size = run.artifact(variant).bytes
shown = pictures()
comparison = evaluation_or_wait(headline).comparison
headline.title(deploy_headline(variant, size, run.manifest.float32_bytes))
compared = {side.variant: side for side in comparison.variants}
fault = compared[variant].fault if variant in compared else None
if variant in compared:
    headline.markdown(kit_sentence(comparison, variant))
with st.container(border=True):
    st.header("One zip for the app")
    file = None if fault is not None else deployment.kit_or_button(run, variant, shown)
    if fault is not None:
        st.error(f"No kit is made of a variant that {FAULT_WORDS[fault]}.", icon=":material/error:")
    elif file is None:
        deployment.show_promise()
    else:
        deployment.show_download(run, variant, file)
    st.caption(
        f"Up to five of the {len(shown)} pictures become the golden set; all give the figures of "
        "the model card."
    )
if file is not None:
    with st.container(border=True):
        st.header("What is in it")
        deployment.show_contents(file)
if fault is None:
    with st.container(border=True):
        deployment.show_micro_kit(run, variant, shown)
with st.container(border=True):
    deployment.show_phone(run, variant, model_file(run, variant))
show_notes(comparison)
