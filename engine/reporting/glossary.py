"""Glossary: one definition of each term, for tooltips, pages and reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.core.errors import OptionError

GLOSSARY: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "Share of the labelled pictures whose first answer is the right one.",
        "agreement": "Pictures on which the variant's first answer is that of the original, "
        "or of another baseline: top-1 agreement.",
        "calibration": "Showing example pictures to the float model, to find the range of every "
        "activation.",
        "cosine": "Mean cosine similarity of the logits of each picture: 1 where they point the "
        "same way.",
        "faster": "Latency of float32 divided by that of the variant: above 1 is faster.",
        "file size": "Bytes of the .tflite file, in megabytes of a million bytes.",
        "flip": "A picture on which the variant's first answer is another than the original's.",
        "front": "The variants that none beats in both figures of a trade-off.",
        "interval": "Where the figure for all pictures lies, with a confidence of 95\xa0%: "
        "Wilson's score interval.",
        "KL": "Kullback-Leibler divergence of the softmaxes, in nats: 0 where both believe the "
        "same, lower is closer.",
        "largest difference": "The largest difference of any logit on any of the pictures.",
        "latency": "Median time of one call on one picture, in milliseconds, with all models timed "
        "in turns. A model whose batch is fixed to N takes N pictures a call.",
        "latency ratio": "Latency of the variant divided by that of float32: below 1 is faster.",
        "load time": "Median time to open the file and allocate its tensors, in milliseconds.",
        "logit": "What the model gives for a class before the softmax; the class with the largest "
        "one is the answer.",
        "logit rms": "Root mean square of the differences of the logits, each picture's mean taken "
        "off, since softmax does not see it: lower is closer.",
        "margin": "The largest logit minus the second: how sure the answer is, and what a variant "
        "must not take away.",
        "operator": "One step of the network in a TFLite file, such as CONV_2D.",
        "peak memory": "The most memory that loading and calling the file takes here, above an "
        "empty file.",
        "per-channel": "One scale for each output channel of a weight; per-tensor: one for all "
        "of it.",
        "representative dataset": "The pictures that calibration looks at; they should be like "
        "those that the model will meet.",
        "scale": "The real value of one step of an integer grid.",
        "size ratio": "Bytes of the variant's file divided by those of float32's: below 1 is "
        "smaller.",
        "smaller": "Bytes of the float32 file divided by those of the variant's: above 1 is "
        "smaller.",
        "SQNR": "Signal to quantization noise ratio in dB: 6 dB more halve the error.",
        "threads": "How many cores a model may use for one call.",
        "top-5 overlap": "Share of the original's first five answers that are among the variant's "
        "first five.",
        "zero point": "The integer that stands for the real value 0.",
    }
)
"""Definitions by term."""


def meaning(term: str) -> str:
    """Define a term.

    Raises:
        OptionError: The glossary lacks it.
    """
    try:
        return GLOSSARY[term]
    except KeyError:
        raise OptionError(
            "Looking into the glossary",
            got=f"'{term}'",
            expected="one of " + ", ".join(GLOSSARY),
            todo="Name one of these.",
        ) from None
