"""What a folder of photos holds, and the start of a training on it with sensible settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from textual.binding import Binding
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from ecotui.config_draft import Draft
from ecotui.errand_state import ErrandState
from ecotui.errors import UsageError
from ecotui.events import DatasetDescribed, RunFailed
from ecotui.jobs import DescribeJob
from ecotui.kept_starts import KeptStart
from ecotui.screens.dialogs.dialog import Dialog
from ecotui.screens.host import Host
from ecotui.screens.messages import Errand, ErrandEnd, NewRun
from ecotui.suggestions import suggested
from ecotui.text import counted, visible

MAX_CLASS_LINES = 8
MAX_KEPT_LINES = 6
PUBLISHED = "published weights (fetched unless they are here)"
BAR_CELLS = 20


class StartScreen(Dialog[Draft]):
    """Has the engine look at a folder, shows its classes, and starts a training on them.

    Closes with None, or with a draft whose settings a person wants to change first.

    Args:
        folder: Of photos.
    """

    HINT = "Enter starts, e changes settings, Esc cancels"
    BINDINGS = [  # noqa: RUF012
        Binding("enter", "start", "Start", priority=True),
        Binding("e", "edit", "Change settings first"),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__("Train on these photos")
        self._folder = folder
        self._job = DescribeJob(data_root=str(folder))
        self._draft: Draft | None = None
        self._is_wanted: str = ""

    @property
    def _kept(self) -> KeptStart | None:
        """What was started on this folder before, where it came to nothing."""
        return cast("Host", self.app).kept_starts.of(self._folder)

    def fill(self) -> Iterable[Widget]:
        """Return what is known, and what can be done about it."""
        yield Static(Content(visible(self._folder)), classes="told", markup=False)
        if self._kept is not None and self._kept.fault:
            yield Static(_failure(self._kept.fault), id="failure", classes="told", markup=False)
        yield Static("looking at the photos …", id="found", classes="told", markup=False)
        yield Button("Start training (Enter)", id="start", variant="primary", compact=True)
        yield Button("Change settings first (e)", id="edit", compact=True)

    def on_mount(self) -> None:
        """Have the engine look."""
        self.watch(self.app, "errand", self._follow, init=False)
        self.post_message(Errand(self._job))

    def _follow(self, errand: ErrandState | None) -> None:
        if errand is None or errand.job != self._job or self._draft is not None:
            return
        found = errand.state.description
        if found is not None:
            self._show(found)
        elif errand.is_over:
            self._tell_fault(errand)

    def _show(self, found: DatasetDescribed) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self._folder.name).strip("-.") or "photos"
        edits = {} if self._kept is None else self._kept.draft.edits
        table = suggested(found, root=str(self._folder))
        self._draft = Draft(name=name, table=table, edits=edits)
        lines = [*described(found), "", *_plan(self._draft), *_typed(edits)]
        self.query_one("#found", Static).update(Content("\n").join(map(Content, lines)))
        if self._is_wanted:
            self._go(self._is_wanted)

    def _tell_fault(self, errand: ErrandState) -> None:
        ending = errand.state.ending
        words = errand.fault.splitlines() or ["the folder could not be looked at"]
        if isinstance(ending, RunFailed):
            words = [f"✗ {ending.what}", f"expected: {ending.expected}", f"to fix: {ending.remedy}"]
        lines = Content("\n").join(Content(visible(line)) for line in words)
        told = lines.stylize("$text-error")
        self.query_one("#found", Static).update(told)
        for button in self.query(Button):
            button.disabled = True

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do what the button says."""
        event.stop()
        self._go(event.button.id or "start")

    def action_start(self) -> None:
        """Start, or do what the button in focus says."""
        focused = self.focused
        is_other = isinstance(focused, Button) and focused.id == "edit"
        self._go("edit" if is_other else "start")

    def action_edit(self) -> None:
        """Change the settings first."""
        self._go("edit")

    def action_cancel(self) -> None:
        """Close without an answer; the engine need not look any more."""
        host = cast("Host", self.app)
        if host.errand is not None and host.errand.job == self._job and not host.errand.is_over:
            self.post_message(ErrandEnd())
        self.dismiss(None)

    def _go(self, what: str) -> None:
        """Do what is wanted; as soon as the photos were looked at, where they were not yet."""
        self._is_wanted = what
        if self._draft is None:
            return
        if what == "edit":
            self.dismiss(self._draft)
            return
        try:
            self.app.post_message(NewRun(self._draft.loaded(), self._draft))
        except UsageError as error:  # Something in the user's own file.
            told = "\n".join(map(visible, error.lines()))
            self.app.notify(told, severity="error", markup=False)
        self.dismiss(None)


def described(found: DatasetDescribed) -> list[str]:
    """Return the classes of a data set with their counts, and how it is split."""
    total = found.num_train + found.num_val + found.num_test
    lines = [
        f"{counted(found.num_classes, 'class', 'classes')}, {counted(total, 'photo')}: "
        f"{found.num_train:,} to train on, {found.num_val:,} to validate, "
        f"{found.num_test:,} to test"
    ]
    counts = list(zip(found.class_names, found.class_counts, strict=False))
    most = max((count for _, count in counts), default=1)
    for name, count in counts[:MAX_CLASS_LINES]:
        bar = "━" * max(1, round(BAR_CELLS * count / max(1, most)))
        lines.append(f"  {visible(name, limit=24):24} {count:>7,} {bar}")
    left = found.num_classes - min(len(counts), MAX_CLASS_LINES)
    if left > 0:
        lines.append(f"  and {counted(left, 'more class', 'more classes')}")
    return lines


def _failure(fault: Sequence[str]) -> Content:
    first, *rest = (visible(line).removeprefix("error: ") for line in fault)
    head = Content.styled(f"✗ the last start failed: {first}", "$text-error")
    return Content("\n").join([head, *map(Content, rest)])


def _typed(edits: Mapping[str, str]) -> list[str]:
    """Return the settings that a person gave when this folder was started before."""
    if not edits:
        return []
    given = [f"{key} = {written or 'default'}" for key, written in edits.items()]
    lines = ["your settings of the last start, kept:"]
    lines += [f"  {visible(each, limit=66)}" for each in given[:MAX_KEPT_LINES]]
    left = len(given) - MAX_KEPT_LINES
    return [*lines, f"  and {counted(left, 'other')}"] if left > 0 else lines


def _plan(draft: Draft) -> list[str]:
    try:
        config = draft.config
    except UsageError as error:
        return [visible(line) for line in error.lines()]
    train, start = config.train, PUBLISHED if config.model.pretrained else "scratch"
    return [
        f"{visible(config.model.name)} from {start}, at most {counted(train.epochs, 'epoch')}, "
        f"{train.batch_size} images a step"
    ]
