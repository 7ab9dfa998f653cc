"""Events of what the short jobs made."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event


class ExportWritten(Event):
    """Weights were written in another form (the export job)."""

    kind: Literal["export_written"] = "export_written"
    path: str
    format: str
    source: str
    """The checkpoint they came from."""
    num_bytes: int


class WeightsImported(Event):
    """Weights from outside were looked through and written as safetensors (the import job)."""

    kind: Literal["weights_imported"] = "weights_imported"
    path: str
    source: str
    form: Literal["torch", "safetensors"]
    """Of the source: an archive of `torch.save`, or safetensors."""
    found_under: str
    """The keys of the state dict in the source, joined by dots; empty where it is the file."""
    num_tensors: int
    num_parameters: int
    """Numbers in all tensors."""
    num_bytes: int
    num_classes: int | None
    """Of the classifier; null where none was found."""
    num_left_out: int
    """Entries of the state dict that are no tensors."""
    model: str | None
    """The model they were compared with; null where none was named."""
    fitting: str | None
    """How many of its tensors fit, in words."""
