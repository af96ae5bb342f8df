"""How much of anything from outside is taken: one record, read by the code and shown on pages."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.errors import ModelError

_MIB, _GIB = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds for files from outside, and for the processes that open them.

    Attributes:
        upload_bytes: Of one file dropped on a page; ``.streamlit/config.toml`` holds to it.
        picture_bytes: Of one picture file.
        picture_pixels: Rows times columns of one picture.
        picture_frames: Of one animation; the first is used, the others are only counted.
        model_bytes: Of a checkpoint, ONNX or TFLite file: FlatBuffers and protobuf count in signed
            32-bit offsets.
        model_parameters: As many as a float32 TFLite file can hold.
        text_bytes: Of a file with class names or right answers.
        zip_entries: Files and folders in a zip.
        zip_unpacked_bytes: Of all its pictures together.
        zip_ratio: Unpacked over packed bytes of a file in a zip.
        worker_memory_share: Resident memory of a worker and all it starts, of the machine's.
        worker_seconds: That a worker may spend on one task.
        worker_silent_seconds: That a worker may work without a sign of progress.
        foreign_silent_seconds: The same where it runs a file from elsewhere.
        worker_processes: Of a worker and all it starts, at once.
        worker_log_bytes: That a worker and its libraries may print.
        trial_bytes: Address space of the worker that tries a TFLite file from elsewhere.
    """

    upload_bytes: int = 600 * _MIB
    picture_bytes: int = 64 * _MIB
    picture_pixels: int = 100_000_000
    picture_frames: int = 10_000
    model_bytes: int = 2**31 - 1
    model_parameters: int = (2**31 - 1) // 4
    text_bytes: int = 4 * _MIB
    zip_entries: int = 20_000
    zip_unpacked_bytes: int = 4 * _GIB
    zip_ratio: int = 100
    worker_memory_share: float = 0.8
    worker_seconds: float = 12 * 3600.0
    worker_silent_seconds: float = 3600.0
    foreign_silent_seconds: float = 600.0
    worker_processes: int = 64
    worker_log_bytes: int = 64 * _MIB
    trial_bytes: int = 8 * _GIB


LIMITS = Limits()


def pictures_note(limits: Limits = LIMITS) -> str:
    """Explain on a page which images are taken."""
    return (
        f"Up to {limits.picture_bytes / _MIB:.0f}\xa0MiB and {limits.picture_pixels / 1e6:.0f}\xa0"
        "megapixels each. Only the first frame of an animation is used. A zip may hold "
        f"{limits.zip_entries:,} files and {limits.zip_unpacked_bytes / _GIB:.0f}\xa0GiB unpacked."
    )


def models_note(limits: Limits = LIMITS) -> str:
    """Explain on a page which models are taken."""
    return (
        f"Up to {limits.upload_bytes / _MIB:.0f}\xa0MiB ({limits.model_bytes / _GIB:.0f}\xa0GiB on "
        f"the command line) and {limits.model_parameters / 1e6:.0f} million parameters."
    )


LARGEST_FILE_BYTES = 2**31 - 1
"""FlatBuffers, TFLite's format, counts in signed 32-bit offsets; protobuf, ONNX's, does too."""


def demand_fits(name: str, parameters: int) -> None:
    """Raise `ModelError` for a model whose float32 file cannot exist, before any work on it."""
    size = 4 * parameters
    if size > LARGEST_FILE_BYTES:
        raise ModelError(
            f"Choosing {name}",
            got=f"{parameters / 1e6:.0f} million parameters, {size / 1e9:.2f} GB in float32",
            expected=f"at most {LARGEST_FILE_BYTES / 1e9:.2f} GB, as much as a TFLite file holds",
            todo="Choose a smaller model. Variants of fewer bits are made from the float32 file "
            "and checked against it, so they cannot be made either.",
        )
