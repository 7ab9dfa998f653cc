"""The audit as a job of its own, and as a stage of preflight."""

from __future__ import annotations

from dataclasses import replace

from ecotui.audit_categories import CORRUPT
from ecotui.config import DataConfig, PreflightConfig, RunConfig
from ecotui.config_file import parse_file
from ecotui.engine.audit.examination import MAX_UNREADABLE_FRACTION, Audit, Wish, examine, glance
from ecotui.engine.control import Control
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.emit import Emit
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.waiting import while_polling
from ecotui.errors import EcoError, ExitCode
from ecotui.events import CheckReported, LogWritten, SetupAdvanced, Verdict
from ecotui.jobs import AuditJob
from ecotui.paths import RunDir
from ecotui.text import counted

_MAX_NAMED = 5
_EXPECTED = f"at most {MAX_UNREADABLE_FRACTION:.0%} of the files unreadable"
_REMEDY = "replace or remove them; training leaves them out"


def run_audit(job: AuditJob, run: RunDir, control: Control, emit: Emit) -> None:
    """Audit the data set that `config.toml` names.

    Emits:
        SetupAdvanced, LogWritten, and what `examine` states.

    Raises:
        UsageError: The data set is not one that can be trained on.
        EcoError: More than a fifth of the files are unreadable; exit code 3.
    """
    config = parse_file(run.config)
    emit(SetupAdvanced(doing="reading the data set"))
    index = while_polling(
        lambda: build_index(config.data, config.train.seed), lambda: control.poll(0)
    )
    for note in index.notes:
        emit(LogWritten(severity="note", message=note))
    wish = _wish(config.data, rechecks=job.recheck)
    if job.labels:
        from ecotui.engine.audit.label_findings import LabelSearch  # noqa: PLC0415 - needs torch

        wish = replace(wish, more=LabelSearch(config, job.run_path))
    audit = examine(index, wish, run, emit, lambda: control.poll(0))
    if audit.is_bad:
        check = files_check(audit)
        raise EcoError(check.what, check.expected, check.remedy, ExitCode.PREFLIGHT)


def audit_stage(
    config: RunConfig,
    index: DataIndex,
    spec: InputSpec,
    run: RunDir,
    control: Control,
    emit: Emit,
) -> None:
    """Audit the data before a training, as far as `preflight.level` asks for it.

    Args:
        config: Of the run.
        index: The data set.
        spec: Of the model's input: colours are compared with its normalisation.
        run: The run directory.
        control: Asked whether to stop.
        emit: Where the facts go.

    Emits:
        What `examine` or `glance` state; CheckReported where all files were read.

    Raises:
        EcoError: More than a fifth of the files are unreadable; exit code 3.
    """
    preflight: PreflightConfig = config.preflight
    wish = _wish(config.data, spec=spec)
    if preflight.level == "off" or "audit" in preflight.skip:
        return
    if preflight.level == "quick":
        glance(index, wish, emit, lambda: control.poll(0))
        return
    check = files_check(examine(index, wish, run, emit, lambda: control.poll(0)))
    emit(check)
    if check.verdict == "fail":
        raise EcoError(check.what, check.expected, check.remedy, ExitCode.PREFLIGHT)


def files_check(audit: Audit) -> CheckReported:
    """Return the verdict on the files: a few unreadable ones are a warning, many an error."""
    total = counted(audit.num_files, "file")
    if not audit.num_unreadable:
        return _result("files", "pass", f"all of {total} can be read")
    named = [
        f"{example.path} ({example.detail})"
        for event in audit.events
        if event.category in CORRUPT
        for example in event.examples
    ][:_MAX_NAMED]
    unnamed = audit.num_unreadable - len(named)
    rest = f" and {unnamed:,} more" if unnamed else ""
    what = f"{audit.num_unreadable:,} of {total} cannot be read: {', '.join(named)}{rest}"
    return _result("files", "fail" if audit.is_bad else "warn", what, _EXPECTED, _REMEDY)


def _wish(data: DataConfig, *, spec: InputSpec | None = None, rechecks: bool = False) -> Wish:
    if spec is None:
        return Wish(max_pixels=data.max_pixels, rechecks=rechecks)
    return Wish(max_pixels=data.max_pixels, mean=tuple(spec.mean), std=tuple(spec.std))


def _result(
    check: str, verdict: Verdict, what: str, expected: str = "", remedy: str = ""
) -> CheckReported:
    return CheckReported(
        check=check, layer=3, verdict=verdict, what=what, expected=expected, remedy=remedy
    )
