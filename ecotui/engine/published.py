"""Where the published weights of a model lie: in a cache, or on which server, under which name.

Nothing is fetched here but the few headers that say how large a file is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import huggingface_hub.constants
import timm
import torch.hub
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import EntryNotFoundError, build_hf_headers  # type: ignore[attr-defined]

from ecotui.errors import EnvironmentFaultError, UsageError
from ecotui.text import listed, visible

HUB_TIMEOUT_SECONDS = 8.0
"""How long the weights' server may take to answer before the run is refused.

The hub's own client tries again for about a minute before it gives up.
"""

WEIGHT_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""In the order in which timm looks for them."""
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Source:
    """A file of weights on a server, and where it goes.

    Attributes:
        host: Name of the server.
        url: Of the file.
        headers: To send along.
        target: Where the whole file is to lie.
        size: Bytes; None where the server does not say.
        sha256: Of the content, where that is known.
        repository: Name and revision on the hub; empty for a plain web address.
        file: Its name there.
    """

    host: str
    url: str
    headers: Mapping[str, str]
    target: Path
    size: int | None = None
    sha256: str | None = None
    repository: str = ""
    file: str = ""

    @property
    def partial(self) -> Path:
        """Where the part lies that has come so far; the next attempt goes on from it."""
        return self.target.with_name(f"{self.target.name}.ecotui.incomplete")


def check_published(name: str, preset: Mapping[str, Any]) -> None:
    """Check that there are published weights at all.

    Raises:
        UsageError: Nobody published weights for this model.
    """
    if preset.get("hf_hub_id") or preset.get("url"):
        return
    tagged = timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)
    raise UsageError(
        f"there are no published weights for model '{visible(name)}'",
        "a model with weights, or training from scratch",
        f"set model.pretrained = false, or model.name to {listed(tagged)}"
        if tagged
        else "set model.pretrained = false",
    )


def cached(preset: Mapping[str, Any]) -> Path | None:
    """Return the file of a model's weights in the cache; None where it is not there."""
    hub_id = preset.get("hf_hub_id")
    if not hub_id:
        kept = _torch_hub_path(str(preset["url"]))
        return kept if kept.is_file() else None
    repository, _, revision = str(hub_id).partition("@")
    for file in _files(preset):
        found = huggingface_hub.try_to_load_from_cache(
            repository,
            file,
            revision=revision or None,
            cache_dir=huggingface_hub.constants.HF_HUB_CACHE,
        )
        if isinstance(found, str):
            return Path(found)
    return None


def address_of(preset: Mapping[str, Any]) -> str:
    """Return the address of the server that has a model's weights."""
    if preset.get("hf_hub_id"):
        return huggingface_hub.constants.ENDPOINT
    parts = urlsplit(str(preset["url"]))
    return f"{parts.scheme}://{parts.netloc}"


def find_source(preset: Mapping[str, Any]) -> Source:
    """Ask the server for the file of a model's weights; blocks for as long as it takes.

    Raises:
        OSError, LookupError: It has no such file, cannot be reached or does not want to.
    """
    if preset.get("hf_hub_id"):
        return _on_hub(preset)
    url = str(preset["url"])
    return Source(urlsplit(url).netloc, url, {}, _torch_hub_path(url))


def unavailable(name: str, preset: Mapping[str, Any], reason: str) -> EnvironmentFaultError:
    """Return the refusal of a run whose weights cannot be had, with the choices there are."""
    address = visible(address_of(preset))
    return EnvironmentFaultError(
        f"the published weights of '{visible(name)}' are not on this machine, and "
        f"{address} cannot be reached or does not give them ({visible(reason, limit=300)})",
        "a network connection, or the weights in the cache "
        f"({visible(huggingface_hub.constants.HF_HUB_CACHE)})",
        "try again, what has come so far is kept; or another mirror: HF_ENDPOINT=https://...; "
        "or a cache that has them: HF_HOME=...; or a local file: --set "
        "model.weights=FILE.safetensors; or train from scratch: --set model.pretrained=false",
    )


def _files(preset: Mapping[str, Any]) -> tuple[str, ...]:
    own = preset.get("hf_hub_filename")
    return (str(own), *WEIGHT_FILES) if own else WEIGHT_FILES


def _on_hub(preset: Mapping[str, Any]) -> Source:
    repository, _, revision = str(preset["hf_hub_id"]).partition("@")
    endpoint = huggingface_hub.constants.ENDPOINT
    for file in _files(preset):
        url = huggingface_hub.hf_hub_url(
            repository, file, revision=revision or None, endpoint=endpoint
        )
        try:
            found = huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_SECONDS)
        except EntryNotFoundError:
            continue
        if found.etag is None or found.commit_hash is None:
            raise LookupError("its answer is not that of a model hub")
        folder = repo_folder_name(repo_id=repository, repo_type="model")
        return Source(
            host=urlsplit(endpoint).netloc,
            url=url,
            headers=build_hf_headers(),
            target=Path(huggingface_hub.constants.HF_HUB_CACHE) / folder / "blobs" / found.etag,
            size=found.size,
            sha256=found.etag if len(found.etag) == _SHA256_DIGITS else None,
            repository=str(preset["hf_hub_id"]),
            file=file,
        )
    raise LookupError(f"it has none of {listed(WEIGHT_FILES)} of this model")


def _torch_hub_path(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
