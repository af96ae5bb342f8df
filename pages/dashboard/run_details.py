"""Run details: what each file is, and how to make the run again."""

import msgspec
import pandas as pd
import streamlit as st

from engine.core.files import escape_formulas
from engine.reporting.glossary import GLOSSARY
from engine.reporting.text import runs as sentences
from engine.runs.manifest import FILE_NAME
from engine.runs.run import LOGS, ONNX_FILE
from pages.inputs.variant import variant_pills
from pages.state.conversion import offer_retry, show_assumptions, show_faults
from pages.state.messages import no_run_yet, plain
from pages.state.session import current_run
from pages.views.files import show_all_files, show_card
from pages.views.latency import show_lowerings

run = current_run()
if run is None:
    no_run_yet()
manifest = run.manifest
st.title(plain(sentences.details_headline(manifest)))
st.caption(f"Made {manifest.created_at[:16].replace('T', ' ')} UTC in {plain(str(run.folder))}")
show_faults(run)
offer_retry(run)
show_assumptions(run)
names = [artifact.variant for artifact in run.artifacts]
show_card(run, run.artifact(variant_pills(names)))
show_all_files(run)
show_lowerings(run)
with st.container(border=True):
    st.header("The command that makes it again")
    language = "bash" if manifest.command.startswith("python ") else "python"
    st.code(manifest.command, language=language, wrap_lines=True)
left, right = st.columns(2, gap="medium")
with left.container(border=True, height="stretch"):
    st.header("Made with")
    versions = pd.DataFrame(manifest.versions.items(), columns=["package", "version"])
    st.dataframe(escape_formulas(versions), hide_index=True, width="stretch")
with right.container(border=True, height="stretch"):
    st.header("Files of the run")
    for name in (FILE_NAME, ONNX_FILE):
        path = run.folder / name
        st.download_button(name, path.read_bytes, file_name=name, icon=":material/download:")
    with st.expander("Manifest", icon=":material/data_object:"):
        plain_manifest = msgspec.to_builtins(manifest)
        plain_manifest["labels"] = None if manifest.labels is None else len(manifest.labels)
        st.json(plain_manifest, expanded=1)
    with st.expander("Logs of the converters", icon=":material/article:"):
        for log in sorted((run.folder / LOGS).glob("*.log")):
            if log.is_symlink():
                continue  # a log of ours is a file
            st.caption(plain(log.name))
            text = log.read_text(errors="replace")[-20_000:] or "(nothing was printed)"
            st.code(text, language=None, wrap_lines=True)
with st.expander("What the words mean", icon=":material/menu_book:"):
    st.markdown("\n".join(f"- **{term}**: {meaning}" for term, meaning in GLOSSARY.items()))
