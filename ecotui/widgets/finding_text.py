"""What stands beside a finding: evidence, why it matters, what to do, and what can be done here."""

from __future__ import annotations

import shlex

from textual.content import Content

from ecotui.events import CheckReported
from ecotui.findings import LAYER_NAMES
from ecotui.foresight_text import visible_lines
from ecotui.plans import AuditExample, AuditReported, Bottleneck, PlanProposed
from ecotui.text import bytes_size, duration, percent, visible
from ecotui.widgets.finding_rows import (
    CheckRow,
    FileRow,
    FindingRow,
    Heading,
    PicturesRow,
    PlanRow,
    Row,
)
from ecotui.widgets.marks import SET_ASIDE, VERDICTS

_BOUND: dict[Bottleneck, str] = {
    "compute": "bound by computing",
    "data": "bound by reading the photos",
    "balanced": "reading and computing keep pace",
    "unknown": "",
}


def detail(row: Row | None, left_out: frozenset[str] = frozenset()) -> Content:
    """Return all that is to be said of a row; nothing for a heading."""
    match row:
        case CheckRow():
            return _check(row.check)
        case FindingRow():
            return _finding(row.finding, left_out)
        case FileRow():
            return _file(row, left_out)
        case PicturesRow():
            captions = {each.caption for each in row.previews if each.caption}
            told = visible("; ".join(sorted(captions)) or "as the model will see them")
            return Content.styled(told[:1].upper() + told[1:], "bold")
        case PlanRow():
            return _plan(row.plan)
        case Heading() | None:
            return Content("")


def _check(check: CheckReported) -> Content:
    lines = [
        VERDICTS[check.verdict].before(f"{check.verdict}: {visible(check.what)}"),
        *_named(
            ("expected", check.expected),
            ("to fix", check.remedy),
            ("why", check.why),
            ("source", check.source),
        ),
    ]
    if check.fix and shlex.join(check.fix) != check.remedy:
        lines += _named(("mended by", shlex.join(check.fix)))
    place = f"layer {check.layer}, {LAYER_NAMES[check.layer]}: {check.check}"
    return _joined([*lines, *_named(("check", place))])


def _finding(finding: AuditReported, left_out: frozenset[str]) -> Content:
    lines = [
        VERDICTS[finding.verdict].before(f"{finding.verdict}: {visible(finding.what)}"),
        *_named(("training", finding.consequence), ("to fix", finding.remedy)),
    ]
    count = sum(bool(each.path) and each.path in left_out for each in finding.examples)
    if count:
        lines.append(SET_ASIDE.before(f"{count} of these are left out from the next run on"))
    lines += [Content(f"  {example_words(each)}") for each in finding.examples if not each.preview]
    return _joined(lines)


def _file(row: FileRow, left_out: frozenset[str]) -> Content:
    example = row.example
    lines = [
        Content.styled(visible(example.path or example.label), "bold"),
        *_named(
            ("class", example.label),
            ("split", example.split),
            ("why", example.detail),
            ("beside", example.other),
            ("found as", row.finding.what),
            ("training", row.finding.consequence),
        ),
    ]
    if example.path in left_out:
        lines.insert(1, SET_ASIDE.before("left out from the next run on"))
    return _joined(lines)


def _plan(plan: PlanProposed) -> Content:
    split = "" if plan.micro_batch_size == plan.batch_size else f", {plan.micro_batch_size} a pass"
    lines = _named(
        ("batch size", f"{plan.batch_size}{split}"),
        ("learning rate", f"{plan.learning_rate:g}"),
        ("workers", f"{plan.workers}"),
        ("memory", _memory(plan)),
        ("speed", _speed(plan)),
        ("time", _time(plan)),
        ("disk", _disk(plan)),
    )
    lines += [Content.styled(visible(note), "$foreground-muted") for note in plan.notes]
    written = visible_lines(plan.settings)
    if not written:
        return _joined([Content("the settings of the config suit this machine"), *lines])
    better = Content.styled("settings that would suit it better:", "$text-primary bold")
    return _joined([better, *(Content(f"  {line}") for line in written), *lines])


def _memory(plan: PlanProposed) -> str:
    if plan.peak_memory_bytes is None:
        return "not measured"
    peak = bytes_size(plan.peak_memory_bytes)
    if plan.memory_limit_bytes is None:
        return peak
    margin = percent(plan.margin_fraction, 0)
    return f"{peak} of {bytes_size(plan.memory_limit_bytes)} that may be used; {margin} stay free"


def _speed(plan: PlanProposed) -> str:
    if plan.images_per_second is None:
        return "not measured"
    bound = _BOUND[plan.bottleneck]
    return f"{plan.images_per_second:,.1f} images/s" + (f", {bound}" if bound else "")


def _time(plan: PlanProposed) -> str:
    if plan.run_seconds is None or plan.epoch_seconds is None:
        return "not measured"
    return f"{duration(plan.run_seconds)} in all, {duration(plan.epoch_seconds)} an epoch"


def _disk(plan: PlanProposed) -> str:
    needed, free = bytes_size(plan.disk_needed_bytes), bytes_size(plan.disk_free_bytes)
    one = bytes_size(plan.checkpoint_bytes)
    return f"{needed} at most, {free} free; {one} a checkpoint"


def example_words(example: AuditExample) -> str:
    """Return a photo, the one it clashes with, and why, in a line."""
    beside = f" = {visible(example.other)}" if example.other else ""
    detail = f" ({visible(example.detail)})" if example.detail else ""
    return f"{visible(example.path or example.label)}{beside}{detail}"


def caption(example: AuditExample) -> str:
    """Return what stands below the picture of a photo."""
    beside = f" | {visible(example.other)}" if example.other else ""
    return visible(example.path) + beside


def _named(*told: tuple[str, str]) -> list[Content]:
    return [
        Content.assemble((f"{name}: ", "$text-primary bold"), visible(words))
        for name, words in told
        if words
    ]


def _joined(lines: list[Content]) -> Content:
    return Content("\n").join(lines)
