"""Weights from the Hugging Face hub: ``model.safetensors`` alone, its size and digest checked."""

from __future__ import annotations

import re
from pathlib import Path

from engine.core.checksums import digest_of_file
from engine.core.errors import ModelError, first_line
from engine.core.limits import LIMITS
from engine.networks.catalog_network import DOWNLOAD_TIMEOUT_SECONDS, no_trained_weights

FILE = "model.safetensors"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def place_in_cache(repository: str) -> str:
    """Where a repository's file is once it was downloaded, with ``*`` for the revision.

    Args:
        repository: Such as ``timm/resnet18.a1_in1k``.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=repository, repo_type="model")
    return str(Path(constants.HF_HUB_CACHE) / folder / "snapshots" / "*" / FILE)


def safetensors_of(repository: str, name: str) -> Path:
    """Find a repository's file in the hub's cache, or download it.

    Args:
        repository: Such as ``timm/resnet18.a1_in1k``.
        name: What to call the network in messages.

    Returns:
        The file.

    Raises:
        ModelError: It cannot be had, is too large, or is not what the hub says it is.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, FILE)
    path = Path(cached) if isinstance(cached, str) else _downloaded(repository, name)
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


def _downloaded(repository: str, name: str) -> Path:
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
