"""What an engine can be asked to do in a directory of its own: `job.json`.

Training is the job of a run directory; exporting and importing weights and
describing a folder of photos are short jobs with directories under `.jobs`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class TrainJob(BaseModel):
    """Train what `config.toml` asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["train"] = "train"


class ExportJob(BaseModel):
    """Write the best weights of a run in another form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["export"] = "export"
    run_path: str
    """Absolute path of the run directory to export from."""
    format: Literal["pth", "timm"]
    """`pth`: a plain state dict; `timm`: a folder that `timm` loads as `local-dir:`."""
    output: str
    """Absolute path to write: a file for `pth`, a folder for `timm`; must not exist."""


class ImportJob(BaseModel):
    """Write weights from outside as a safetensors file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["import"] = "import"
    source: str
    """Absolute path of the file."""
    output: str
    """Absolute path of the .safetensors file to write; must not exist."""
    model: str | None = None
    """The timm model that they should fit, where that is to be looked at."""


class DescribeJob(BaseModel):
    """Look at a folder of photos: layout, classes, split and sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["describe"] = "describe"
    data_root: str
    """Absolute path of the folder."""


class TerminalFacts(BaseModel):
    """The terminal of the person who asks: the engine has none of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_terminal: bool
    kind: str
    """Value of TERM."""
    columns: int
    rows: int
    colors: int
    encoding: str
    in_tmux: bool
    tmux_clipboard: str = ""
    """Value of tmux's set-clipboard; empty outside tmux, or where it does not answer."""


class DiagnoseJob(BaseModel):
    """Examine the environment: layer 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["diagnose"] = "diagnose"
    runs_path: str
    """Absolute path of the runs directory, whose disk is looked at."""
    python: str | None = None
    """Absolute path of another interpreter to examine instead of the engine's own."""
    terminal: TerminalFacts | None = None
    """What the screens would be drawn on; None where nobody looked."""
    repair: Literal["no", "plan", "apply"] = "no"
    """What to do about what is found: nothing, say what would mend it, or mend it."""


class PreflightJob(BaseModel):
    """Check what `config.toml` asks for, without training: layers 1 to 3."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["preflight"] = "preflight"


class AuditJob(BaseModel):
    """Look at every photo of the data set that `config.toml` names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["audit"] = "audit"
    recheck: bool = False
    """Read all files again, also those that have not changed since they were read."""
    labels: bool = False
    """Also look for doubtful labels, by a short training."""
    run_path: str | None = None
    """Absolute path of a run whose best model is to be used for that; None for none."""


Job = Annotated[
    TrainJob | ExportJob | ImportJob | DescribeJob | DiagnoseJob | PreflightJob | AuditJob,
    Field(discriminator="kind"),
]
JOB_ADAPTER: TypeAdapter[Job] = TypeAdapter(Job)
