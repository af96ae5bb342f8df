"""A comparison as a table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine import formats
from engine.comparison.comparison import Comparison


def show_table(comparison: Comparison) -> None:
    """Show one row a variant: agreement, differences, size."""
    rows = [
        {
            "variant": variant.variant,
            "same answer": f"{len(comparison.pictures) - len(variant.flips) - variant.non_finite}"
            f" of {len(comparison.pictures)}",
            "95 % interval": formats.interval(variant.top1_agreement_interval),
            "top-5 overlap": formats.percent(variant.top5_overlap),
            "logit rms": formats.logits(variant.logit_rms),
            "largest": formats.logits(variant.logit_max),
            "SQNR": formats.decibels(variant.logit_sqnr_db),
            "cosine": formats.logits(variant.cosine),
            "KL, nats": formats.small(variant.kl),
            "size": formats.megabytes(comparison.sizes.get(variant.variant)),
        }
        for variant in comparison.variants
    ]
    right = {column: st.column_config.TextColumn(alignment="right") for column in list(rows[0])[1:]}
    right["logit rms"] = st.column_config.TextColumn(
        alignment="right", help="Root mean square of the differences, each row's mean removed."
    )
    right["SQNR"] = st.column_config.TextColumn(
        alignment="right", help="Signal to quantization noise ratio: higher is closer."
    )
    right["KL, nats"] = st.column_config.TextColumn(
        alignment="right", help="Kullback-Leibler divergence of the softmaxes: lower is closer."
    )
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=right, width="stretch")
