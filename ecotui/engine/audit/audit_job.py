"""The audit as a job of its own, and as a stage of preflight."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ecotui.audit_categories import CORRUPT
from ecotui.config import DataConfig, PreflightConfig, RunConfig
from ecotui.config_file import parse_file
from ecotui.engine.audit.balance_findings import balance_findings
from ecotui.engine.audit.examination import MAX_UNREADABLE_FRACTION, Audit, Wish, examine, glance
from ecotui.engine.audit.report import Report
from ecotui.engine.checks.acceptance import CANNOT, accepted, accepting
from ecotui.engine.checks.record import Record
from ecotui.engine.control import Control
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.emit import Emit
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.waiting import while_polling
from ecotui.errors import EcoError, ExitCode
from ecotui.events import CheckReported, LogWritten, SetupAdvanced, Verdict
from ecotui.jobs import AuditJob
from ecotui.paths import RunDir
from ecotui.plans import AuditReported
from ecotui.preflight_register import ACCEPTABLE, CHECKS, check_known
from ecotui.text import counted

if TYPE_CHECKING:  # An audit by itself goes without PyTorch.
    from ecotui.engine.assembly import Parts

_MAX_NAMED = 5
_EXPECTED = f"at most {MAX_UNREADABLE_FRACTION:.0%} of the files unreadable"
_ALL_CLASSES = "at least one photo of every class to train on, and another to validate with"
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
    accept = config.preflight.accept
    check_known(accept, "preflight.accept", ACCEPTABLE)
    emit = accepting(emit, accept)
    emit(SetupAdvanced(doing="reading the data set"))
    index = while_polling(
        lambda: build_index(config.data, config.train.seed, lacks_classes=True),
        lambda: control.poll(0),
    )
    for note in index.notes:
        emit(LogWritten(severity="note", message=note))
    wish = _wish(config.data, rechecks=job.recheck)
    if job.labels:
        from ecotui.engine.audit.label_findings import LabelSearch  # noqa: PLC0415 - needs torch

        wish = replace(wish, more=LabelSearch(config, job.run_path))
    audit = examine(index, wish, run, emit, lambda: control.poll(0))
    if audit.is_bad:
        raise _refusal(files_check(audit), accept)
    refuse_missing_classes(audit.events, accept)


def refuse_missing_classes(events: Iterable[AuditReported], accept: Collection[str]) -> None:
    """Refuse what no training can be made of: a class without a photo to train or validate on.

    Args:
        events: Findings of the audit.
        accept: Names that are accepted; an error cannot be.

    Raises:
        EcoError: A class is missing; exit code 3.
    """
    for event in events:
        if event.category == "missing_classes" and event.verdict == "fail":
            remedy = accepted(event, accept).remedy
            raise EcoError(event.what, _ALL_CLASSES, remedy, ExitCode.PREFLIGHT)


def classes_stage(config: RunConfig, index: DataIndex, run: RunDir, emit: Emit) -> None:
    """Look for classes that are missing, before anything is built for them.

    Args:
        config: Of the run.
        index: The data set, which may lack classes.
        run: Where `preflight.json` is written if any are missing.
        emit: Where the facts go.

    Raises:
        EcoError: A class is missing; exit code 3.

    Emits:
        AuditReported, PreflightRecorded; nothing where none is missing.
    """
    preflight = config.preflight
    found = [each for each in balance_findings(index) if each.category == "missing_classes"]
    report = Report(index, None, max_pixels=config.data.max_pixels, poll=lambda: None)
    events = [event for event in report.events(found) if event.verdict == "fail"]
    if not events:
        return
    level: Literal["quick", "full"] = "full" if preflight.level == "full" else "quick"
    record = Record(level, preflight.budget_seconds)
    record.put("audit", section(events, 0, 0, preflight.accept))
    for name in CHECKS:
        record.skip(name, "missing_classes failed")
    record.write(run.preflight, 0.0)
    for event in events:
        emit(accepted(event, preflight.accept))
    emit(record.as_event(run, 0.0))
    refuse_missing_classes(events, preflight.accept)


def audit_stage(
    parts: Parts,
    run: RunDir,
    preflight: PreflightConfig,
    control: Control,
    emit: Emit,
    *,
    record: Record,
    seconds: float,
) -> None:
    """Audit the data before a training, as far as `preflight.level` asks for it.

    Args:
        parts: Of the run: colours are compared with the normalisation of its model's input.
        run: The run directory.
        preflight: What to look at.
        control: Asked whether to stop.
        emit: Where the facts go.
        record: Is given what was found, and what there was no time for.
        seconds: That it may take, about.

    Emits:
        What `examine` or `glance` state; CheckReported where all files were read.

    Raises:
        EcoError: More than a fifth of the files are unreadable; exit code 3.
    """
    index = parts.index
    wish = replace(_wish(parts.config.data, spec=parts.built.spec), seconds=seconds)
    if "audit" in preflight.skip:
        record.skip("audit", "left out by preflight.skip")
        return
    emit = accepting(emit, preflight.accept)
    if preflight.level == "quick":
        events = glance(index, wish, emit, lambda: control.poll(0))
        record.put("audit", section(events, 0, len(index.names), preflight.accept))
        return
    audit = examine(index, wish, run, emit, lambda: control.poll(0))
    num_left_out = len(index.names) - audit.num_files
    record.put("audit", section(audit.events, audit.num_files, num_left_out, preflight.accept))
    for sentence in audit.shortened:
        record.shorten(sentence)
    if not audit.num_files:
        return
    check = files_check(audit)
    emit(check)
    if check.verdict == "fail":
        raise _refusal(check, preflight.accept)


def section(
    events: Iterable[AuditReported], num_files: int, num_left_out: int, accept: Collection[str]
) -> dict[str, object]:
    """Return what `preflight.json` holds of an audit; `audit.json` has every photo.

    Args:
        events: Its findings.
        num_files: Photos that were looked at.
        num_left_out: Photos that were not.
        accept: Names of categories whose warnings are accepted.
    """
    found = [
        {
            "category": event.category,
            "verdict": told.verdict,
            "accepted": told.verdict != event.verdict,
            "what": event.what,
            "num_files": event.num_files,
        }
        for event, told in ((each, accepted(each, accept)) for each in events)
    ]
    return {"num_files": num_files, "num_left_out": num_left_out, "findings": found}


def _refusal(check: CheckReported, accept: Collection[str]) -> EcoError:
    remedy = f"{check.remedy}; {CANNOT}" if check.check in accept else check.remedy
    return EcoError(check.what, check.expected, remedy, ExitCode.PREFLIGHT)


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
