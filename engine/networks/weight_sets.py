"""Sets of weights in a checkpoint: tensors of one network under one beginning of their names.

A checkpoint's names begin with what tensors are wrapped in: ``state_dict.module.fc.weight`` for the
network's ``fc.weight``. Several beginnings are several sets, such as the weights of the last step
and their average over the training (EMA). Wrappers of single modules put parts of their own into
the middle of names: ``features.module.0.weight``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from engine.core.checksums import digest_of_file
from engine.core.errors import ModelError, first_line
from engine.core.limits import LIMITS
from engine.networks.catalog_network import DOWNLOAD_TIMEOUT_SECONDS, no_trained_weights

_AVERAGES = {"ema", "swa", "averaged", "average", "avg", "polyak", "shadow"}
OF_OPTIMIZER = re.compile(r"(.+\.)?state\.\d+\.\w+")
"""Names of tensors in the state dict of any ``torch.optim.Optimizer``."""
_WRAPPERS = {
    "module",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_fpw_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
}
"""Parts of names from DataParallel, torch.compile, FSDP, activation checkpoints and Fabric."""
COUNTERS = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")
"""Ends of names of numbers that evaluation does not use: of batch norms (checkpoints from before
torch 0.4.1 have none), of tools that count operations, of torch's AveragedModel."""


@dataclass(frozen=True, slots=True)
class WeightSet:
    """Tensors of a checkpoint that are a network's.

    Attributes:
        start: What their names begin with, with its dot; empty for the outermost.
        names: Names in the checkpoint by the network's names, of those that are there.
        unexpected: Names under the beginning that belong to a part of the network, but to no
            tensor of it.
    """

    start: str
    names: Mapping[str, str]
    unexpected: tuple[str, ...]

    @property
    def name(self) -> str:
        """What to choose it by."""
        return self.start.removesuffix(".")

    @property
    def averaged(self) -> bool:
        """Whether its name says that it is an average of weights over the training."""
        return not _AVERAGES.isdisjoint(re.split(r"[._-]", self.name.lower()))


def weight_sets(
    tensors: Iterable[str], expected: Iterable[str], head: Iterable[str]
) -> tuple[WeightSet, ...]:
    """Find every beginning of names under which tensors of a network are.

    Args:
        tensors: Names in the checkpoint.
        expected: Names in the network.
        head: Those of them whose shapes depend on the number of classes.

    Returns:
        The sets, in the order of the checkpoint.
    """
    tensors, expected, head = tuple(tensors), frozenset(expected), frozenset(head)
    by_start: dict[str, dict[str, str]] = {}
    for name in tensors:
        parts = name.split(".")
        for depth in range(len(parts)):
            start, inner = "".join(f"{part}." for part in parts[:depth]), parts[depth:]
            key = ".".join(inner)
            if key not in expected and inner[0] not in _WRAPPERS:
                key = ".".join(part for part in inner if part not in _WRAPPERS)
            if key in expected:
                by_start.setdefault(start, {})[key] = name
    sets = []
    for start, names in by_start.items():
        beside = {} if head & names.keys() else _head_beside(start, head, by_start)
        sets.append(_weight_set(start, {**names, **beside}, tensors, expected))
    return tuple(sets)


def _head_beside(
    start: str, head: frozenset[str], by_start: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    """Find the head under another beginning, as mmpretrain's ``backbone.`` and ``head.``."""
    heads = {beginning: names for beginning, names in by_start.items() if names.keys() == head}
    shared = {beginning: _count_shared_parts(start, beginning) for beginning in heads}
    nearest = [beginning for beginning in heads if shared[beginning] == max(shared.values())]
    return heads[nearest[0]] if len(nearest) == 1 else {}


def _count_shared_parts(first: str, second: str) -> int:
    pairs = zip(first.split("."), second.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _weight_set(
    start: str, names: Mapping[str, str], tensors: tuple[str, ...], expected: frozenset[str]
) -> WeightSet:
    parts = {key.partition(".")[0] for key in expected}
    taken = set(names.values())
    unexpected = tuple(
        name
        for name in tensors
        if name.startswith(start)
        and name not in taken
        and name[len(start) :].partition(".")[0] in parts
        and not name.endswith(COUNTERS)
    )
    return WeightSet(start, names, unexpected)


FILE = "model.safetensors"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def place_in_cache(repository: str) -> str:
    """Name the cached file of a repository on the hub, with ``*`` for the revision."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository, repo_type="model")
    return str(Path(constants.HF_HUB_CACHE) / folder / "snapshots" / "*" / FILE)


def safetensors_of(repository: str, name: str) -> Path:
    """Find a repository's file in the hub's cache, or download it.

    Raises:
        ModelError: It cannot be had, is too large, or is not what the hub says it is.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, FILE)
    path = Path(cached) if isinstance(cached, str) else _download(repository, name)
    # The cache names its files after what the hub says of them: SHA-256 for large ones.
    digest = path.resolve().name
    if _SHA256.fullmatch(digest) and digest_of_file(path, again=True) != digest:
        raise ModelError(
            f"Getting the trained weights of {name}",
            got=f"a damaged file at {path}",
            expected=f"one with the SHA-256 digest {digest}",
            todo="Delete the file, so that it is downloaded again.",
        )
    return path


def _download(repository: str, name: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

    timeout = DOWNLOAD_TIMEOUT_SECONDS
    try:
        # Public files: no account of the person takes part. This alone is not tried five times.
        size = get_hf_file_metadata(hf_hub_url(repository, FILE), token=False, timeout=timeout).size
        if size is None or size > LIMITS.model_bytes:
            raise no_trained_weights(
                name,
                "a file of unknown size" if size is None else f"{size / 1e9:.2f} GB",
                f"at most {LIMITS.model_bytes / 1e9:.2f} GB",
            )
        return Path(hf_hub_download(repository, FILE, token=False, etag_timeout=timeout))
    except ModelError:
        raise
    except GatedRepoError as error:
        raise no_trained_weights(name, "a hub that asks for an account and consent") from error
    except Exception as error:  # of the hub, of its HTTP client, and of the system
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise no_trained_weights(name, f"a repository without {FILE}") from error
        raise no_trained_weights(
            name, f"no answer from the server that holds them ({first_line(error)})"
        ) from error
