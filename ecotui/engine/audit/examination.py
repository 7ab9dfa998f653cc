"""The audit from the first file to the last event. Needs no torch; changes nothing in the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ecotui.audit_categories import CATEGORIES, CORRUPT
from ecotui.engine.audit.balance_findings import balance_findings
from ecotui.engine.audit.duplicate_findings import duplicate_findings, exact_pairs, near_pairs
from ecotui.engine.audit.file_findings import file_findings, outside_links
from ecotui.engine.audit.findings import Finding
from ecotui.engine.audit.kept_report import keep_report, kept_report, key_of
from ecotui.engine.audit.look_findings import (
    EXPECTED_MEAN,
    EXPECTED_STD,
    look_findings,
    normalisation,
)
from ecotui.engine.audit.report import Report, nothing_found
from ecotui.engine.audit.report_file import write_findings
from ecotui.engine.audit.sampled import OutOfTimeError, looked_at
from ecotui.engine.audit.scan import Scan, scan
from ecotui.engine.data.index import DataIndex
from ecotui.engine.emit import Emit, span
from ecotui.events import LogWritten, SetupAdvanced
from ecotui.paths import RunDir
from ecotui.plans import AuditFinished, AuditReported

MAX_UNREADABLE_FRACTION = 0.20
"""Source: the founding notebook's limit for skipped data, above which it is bad."""

MAX_QUICK_FILES = 100_000
"""Of more files the quick form does not even ask the file system: that takes over a second."""

READING_SHARE = 0.7
"""Of the time of an audit, for reading; the rest is for comparing."""

AUDIT_WHOLE = "To look at all: ecotui audit CONFIG, or preflight.budget_seconds = 3600"

BY_NAMES = frozenset({"missing_classes", "class_names", "few_photos", "class_balance"})
"""Categories that are known without reading a photo."""

ALL_BUT_NAMES = frozenset(each.name for each in CATEGORIES) - BY_NAMES
NEAR_DUPLICATES = frozenset(each.name for each in CATEGORIES if each.name.startswith("near_"))

MoreFindings = Callable[[DataIndex, Scan, Callable[[], None]], Sequence[Finding]]
"""Gives findings of another kind about photos that were read, such as doubtful labels.

Calls what it is given last at each of its steps; what that raises ends the work."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an audit is to do.

    Attributes:
        max_pixels: Largest photo that is decoded.
        rechecks: Read all files again.
        mean: That inputs are normalised by, R, G, B, 0 to 1.
        std: That inputs are normalised by.
        more: Further findings, worked out anew each time; None for none.
        seconds: That it may take, about; what there is no time for is said. None for no limit.
    """

    max_pixels: int
    rechecks: bool = False
    mean: tuple[float, ...] = EXPECTED_MEAN
    std: tuple[float, ...] = EXPECTED_STD
    more: MoreFindings | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """How an audit came out.

    Attributes:
        events: Every finding.
        num_files: Photos that were looked at.
        num_unreadable: Those that training cannot read.
        shortened: What there was no time for, a sentence each.
    """

    events: tuple[AuditReported, ...]
    num_files: int
    num_unreadable: int
    shortened: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether more of the files are unreadable than a training should be begun with."""
        return self.num_unreadable > MAX_UNREADABLE_FRACTION * self.num_files


def examine(
    index: DataIndex, wish: Wish, run: RunDir, emit: Emit, poll: Callable[[], None]
) -> Audit:
    """Read every photo and state what was found.

    Args:
        index: The data set.
        wish: What is to be done.
        run: Where the file of all findings and the pictures go.
        emit: Where the facts go.
        poll: Called ten times a second at least; what it raises ends the audit.

    Emits:
        StageStarted, StageAdvanced, StageFinished, SetupAdvanced, LogWritten for files that do
        not come, AuditReported for every category, AuditFinished.

    Raises:
        OSError: The run directory cannot be written.
    """
    started = time.monotonic()
    reading = None if wish.seconds is None else started + READING_SHARE * wish.seconds
    with span(emit, "audit", total=len(index.names), unit="photos") as stage:
        found = scan(
            index,
            max_pixels=wish.max_pixels,
            rechecks=wish.rechecks,
            poll=poll,
            advance=stage.advance,
            is_over=None if reading is None else lambda: time.monotonic() >= reading,
            warn=lambda message: emit(LogWritten(severity="warning", message=message)),
        )
    key = key_of(index, found, f"{wish.mean} {wish.std}")
    events = None
    if found.is_same and wish.more is None:
        events = kept_report(found, key, run)
    shortened: list[str] = []
    if events is None:
        end = None if wish.seconds is None else started + wish.seconds
        events, shortened = _worked_out(index, found, wish, run, emit, poll, end)
        if wish.more is None and not shortened:
            keep_report(found, key, run, events)
    num_files = len(index.names) - found.num_left_out
    for event in events:
        emit(event)
    emit(
        AuditFinished(
            num_files=num_files,
            num_read=found.num_read,
            num_bytes=found.num_bytes,
            seconds=time.monotonic() - started,
            file=run.audit.name,
            num_left_out=found.num_left_out,
        )
    )
    return Audit(tuple(events), num_files, _num_unreadable(events), tuple(shortened))


def glance(
    index: DataIndex, wish: Wish, emit: Emit, poll: Callable[[], None]
) -> list[AuditReported]:
    """State what is known without reading a photo: of names, links, and from earlier audits.

    Args:
        index: The data set.
        wish: What an earlier audit must have been asked for.
        emit: Where the facts go.
        poll: Called now and then; what it raises ends the work.

    Returns:
        What was stated.

    Emits:
        AuditReported for each category of which something is known.
    """
    found = list(balance_findings(index))
    if len(index.names) <= MAX_QUICK_FILES:
        known = scan(
            index, max_pixels=wish.max_pixels, reads=False, poll=poll, advance=lambda count: None
        )
        found += outside_links(known)
        found += [each for each in file_findings(known) if each.category in CORRUPT]
    report = Report(index, None, max_pixels=wish.max_pixels, poll=poll)
    events = report.events([each for each in found if each.verdict != "pass"])
    for event in events:
        emit(event)
    return events


def _worked_out(
    index: DataIndex,
    found: Scan,
    wish: Wish,
    run: RunDir,
    emit: Emit,
    poll: Callable[[], None],
    end: float | None,
) -> tuple[list[AuditReported], list[str]]:
    """Return findings that take looking at all photos together, and write them down.

    From the moment `end` on, in monotonic seconds, photos are compared no more. What there was
    no time for comes back as well, a sentence each.
    """
    shortened: list[str] = []
    whole, (index, found) = index, looked_at(index, found)
    if found.num_left_out:
        shortened.append(
            f"audit: {found.num_left_out:,} of {len(whole.names):,} photos; those that were "
            f"looked at are spread over the data set. {AUDIT_WHOLE}"
        )
    findings: list[Finding] = [*balance_findings(whole), *file_findings(found)]
    unlooked = ALL_BUT_NAMES if whole.names and not index.names else frozenset[str]()
    if not unlooked:
        findings += look_findings(found.rows)
        findings += normalisation(found.rows, wish.mean, wish.std)
        emit(SetupAdvanced(doing="comparing the photos with one another"))
        copies, alike = exact_pairs(found.rows), []
        try:
            alike = near_pairs(index, found, copies, _until(end, poll), max_pixels=wish.max_pixels)
        except OutOfTimeError:
            unlooked = NEAR_DUPLICATES
            shortened.append(f"audit: near duplicates. {AUDIT_WHOLE}")
        findings += duplicate_findings(index, copies, alike)
    if wish.more is not None:
        with span(emit, "labels", total=0, unit="steps") as stage:

            def step() -> None:
                poll()
                stage.advance()

            findings += wish.more(index, found, step)
    report = Report(index, run, max_pixels=wish.max_pixels, poll=poll)
    write_findings(index, run.audit, findings, num_left_out=found.num_left_out)
    return [*report.events(findings), *nothing_found(findings, unlooked)], shortened


def _until(end: float | None, poll: Callable[[], None]) -> Callable[[], None]:
    """Return what polls, and gives up from a moment on."""

    def look() -> None:
        poll()
        if end is not None and time.monotonic() >= end:
            raise OutOfTimeError

    return look


def _num_unreadable(events: Sequence[AuditReported]) -> int:
    return int(np.sum([event.num_files for event in events if event.category in CORRUPT]))
