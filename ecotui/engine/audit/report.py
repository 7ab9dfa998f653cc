"""What was found, told as events with small pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from ecotui.audit_categories import BY_NAME, CATEGORIES
from ecotui.engine.audit.findings import NOBODY, Entry, Finding, splits_of
from ecotui.engine.audit.previews import write_preview
from ecotui.engine.data.index import DataIndex
from ecotui.paths import RunDir
from ecotui.plans import AuditExample, AuditReported
from ecotui.text import visible

MAX_EXAMPLES = 12
_ON_REQUEST = frozenset({"label_errors", "outliers"})
"""Categories that only `--labels` looks for."""


class Report:
    """The findings of one audit, as they are told.

    Args:
        index: The data set.
        run: Where pictures go; None for none.
        max_pixels: Largest photo that is decoded for a picture.
        poll: Called before each picture; what it raises ends the work.
    """

    def __init__(
        self, index: DataIndex, run: RunDir | None, *, max_pixels: int, poll: Callable[[], None]
    ) -> None:
        self._index, self._run, self._poll = index, run, poll
        self._max_pixels = max_pixels
        self._splits = splits_of(index)

    def events(self, found: Sequence[Finding]) -> list[AuditReported]:
        """Return findings as events, the worst first, their pictures written.

        Args:
            found: What was found, in any order.
        """
        return [self._event(finding) for finding in in_order(found)]

    def _event(self, finding: Finding) -> AuditReported:
        category = BY_NAME[finding.category]
        verdict = finding.verdict or category.verdict
        is_fine = verdict == "pass"
        return AuditReported(
            category=finding.category,
            verdict=verdict,
            num_files=finding.num_files,
            what=visible(finding.what),
            consequence="" if is_fine else category.consequence,
            remedy="" if is_fine else category.remedy,
            examples=() if is_fine else tuple(self._examples(finding)),
            can_exclude=category.can_exclude and not is_fine,
        )

    def _examples(self, finding: Finding) -> Iterator[AuditExample]:
        for number, entry in enumerate(finding.entries[:MAX_EXAMPLES]):
            yield AuditExample(
                path=self._shown(entry.sample_id),
                label=visible(self._index.class_names[entry.label_in(self._index)]),
                split=entry.split_in(self._splits),
                detail=visible(entry.detail, limit=300),
                other=self._shown(entry.other),
                preview=self._preview(finding.category, number, entry),
            )

    def _preview(self, category: str, number: int, entry: Entry) -> str:
        if entry.sample_id == NOBODY or self._run is None:
            return ""
        self._poll()
        target = self._run.previews / f"audit-{category}-{number:02d}.png"
        target.parent.mkdir(exist_ok=True)
        other = None if entry.other == NOBODY else self._index.path_of(entry.other)
        path = self._index.path_of(entry.sample_id)
        is_there = write_preview(target, path, other, max_pixels=self._max_pixels)
        return str(target.relative_to(self._run.path)) if is_there else ""

    def _shown(self, sample_id: int) -> str:
        return "" if sample_id == NOBODY else visible(self._index.names[sample_id])


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Return findings in the order of their categories, the worst first."""
    by_name = {finding.category: finding for finding in found}
    return [by_name[each.name] for each in CATEGORIES if each.name in by_name]


def nothing_found(found: Sequence[Finding], unlooked: Collection[str] = ()) -> list[AuditReported]:
    """Return an event for each category that was looked for and of which there is none.

    Args:
        found: What was found.
        unlooked: Categories that were not looked for.
    """
    present = {finding.category for finding in found} | {*unlooked}
    return [
        AuditReported(category=each.name, verdict="pass", num_files=0, what=f"no {each.title}")
        for each in CATEGORIES
        if each.name not in present and each.name not in _ON_REQUEST
    ]
