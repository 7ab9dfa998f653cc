"""What a person can have done from the panels of the training screen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from textual import on
from textual.content import Content

from ecotui.alert_lines import Acknowledged, AlertRow, row_of
from ecotui.alert_register import GUARDS
from ecotui.events import GuardTripped, Layer
from ecotui.screens.frame import EcoScreen
from ecotui.screens.messages import CheckpointDeletion, Errand, Request, Resumption
from ecotui.screens.training_files import record_of, sizes_of
from ecotui.text import counted, listed, visible
from ecotui.widgets.checkpoint_table import CheckpointTable
from ecotui.widgets.guard_strip import GuardStrip
from ecotui.widgets.log_view import LogView

if TYPE_CHECKING:  # Dialogs and what they ask for are needed when somebody opens one.
    from ecotui.errand_state import ErrandState
    from ecotui.run_state import RunState
    from ecotui.screens.dialogs.alert import AlertWish
    from ecotui.screens.dialogs.layer import LayerWish

Form = Literal["pth", "timm"]
_FORMS: tuple[tuple[Form, str], ...] = (
    ("pth", "one file: a plain state dict, for torch.load"),
    ("timm", "a folder that timm loads as local-dir:"),
)


class TrainingRequests(EcoScreen):
    """Answers what panels say: an alert or a layer opened, a checkpoint to be used.

    Attributes:
        acknowledged: Alerts that a person has seen.
    """

    acknowledged: Acknowledged
    _told_errand: ErrandState | None = None

    # Alerts and layers ----------------------------------------------------------------------------

    @on(LogView.Chosen)
    def _open_line(self, event: LogView.Chosen) -> None:
        event.stop()
        self._open_alert(row_of(event.line))

    def _open_alert(self, row: AlertRow) -> None:
        from ecotui.guard_standing import silenced
        from ecotui.screens.dialogs.alert import AlertScreen

        host = self.host
        is_silent = row.name in silenced(host.run_state, host.run_dir)
        question = AlertScreen(row, can_ask=self._can_ask(), is_silent=is_silent)
        self.app.push_screen(question, partial(self._do_about, row))

    def _do_about(self, row: AlertRow, wish: AlertWish | None) -> None:
        from ecotui.screens.dialogs.alert import TextScreen, record_lines

        match wish:
            case "silence":
                self._turn_silence(row.name)
            case "record" if self.host.run_dir is not None:
                written = record_of(self.host.run_dir, row.record)
                lines = [Content(visible(line)) for line in record_lines(written)]
                title = f"Record of the incident: {visible(row.record, limit=60)}"
                self.app.push_screen(TextScreen(title, lines, "Esc closes, y copies"))
            case "layer" if row.layer is not None:
                self._open_layer(cast(Layer, row.layer))
            case "seen":
                self.acknowledged.add(row.seq)
                self.follow()

    @on(GuardStrip.Chosen)
    def _open_chosen_layer(self, event: GuardStrip.Chosen) -> None:
        self._open_layer(event.layer)

    def _open_layer(self, number: Layer) -> None:
        from ecotui.guard_standing import limits, silenced
        from ecotui.screens.dialogs.layer import GuardRow, LayerScreen

        state, run = self.host.run_state, self.host.run_dir
        silent = silenced(state, run)
        tripped = [each.guard for each in state.alerts if isinstance(each, GuardTripped)]
        guards = [
            GuardRow(
                name,
                entry.title,
                name in silent,
                tripped.count(name),
                tuple(limits(name, state, run)),
            )
            for name, entry in GUARDS.items()
            if entry.layer == number
        ]
        layer = next((each for each in state.layers if each.layer == number), None)
        if layer is not None:
            checks = [check for check in state.checks if check.layer == number]
            screen = LayerScreen(
                layer,
                guards,
                checks,
                self.host.alerts,
                self.acknowledged,
                can_ask=self._can_ask(),
            )
            self.app.push_screen(screen, self._do_in_layer)

    def _do_in_layer(self, wish: LayerWish | None) -> None:
        if wish is not None and wish.guard:
            self._turn_silence(wish.guard)
        elif wish is not None and wish.line:
            self._open_alert(row_of(wish.line))

    def _turn_silence(self, guard: str) -> None:
        from ecotui.commands import SilenceGuard
        from ecotui.guard_standing import silenced

        is_silent = guard in silenced(self.host.run_state, self.host.run_dir)
        self.post_message(Request(SilenceGuard(guard=guard, silent=not is_silent)))

    def _can_ask(self) -> bool:
        situation = self.host.situation
        return situation.is_live and not situation.is_readonly

    # Checkpoints ----------------------------------------------------------------------------------

    @on(CheckpointTable.Wished)
    def _use_checkpoint(self, event: CheckpointTable.Wished) -> None:
        match event.wish:
            case "export":
                self._ask_form()
            case "resume":
                self._resume_from(event.path, is_best=event.is_best)
            case "delete":
                self._delete(event.path, is_best=event.is_best)

    def _ask_form(self) -> None:
        from ecotui.screens.dialogs.choice import Choice, ChoiceScreen

        if self.host.run_state.best is None:
            self._say("there is no best model yet: it comes with the first validation")
            return
        choices = [Choice(form, form, remark) for form, remark in _FORMS]
        self.app.push_screen(ChoiceScreen("Export the best model as", choices), self._export)

    def _export(self, form: str | None) -> None:
        from ecotui.jobs import ExportJob

        best, run = self.host.run_state.best, self.host.run_dir
        if form is None or best is None or run is None:
            return
        path = run.path.absolute()
        name = Path(best.path).name + (".pth" if form == "pth" else "")
        output = path / run.exports.name / name
        if output.exists():
            self._say(f"{visible(output)} is there already")
            return
        job = ExportJob(run_path=str(path), format=cast(Form, form), output=str(output))
        self.post_message(Errand(job))
        self._say(f"exporting to {visible(output)}")

    def tell_errand(self, errand: ErrandState | None) -> None:
        """Say how an export ended, once."""
        if errand is None or not errand.is_over or errand is self._told_errand:
            return
        self._told_errand = errand
        if errand.job.kind != "export":
            return
        written, ending = errand.state.export, errand.state.ending
        if written is not None:
            self._say(f"exported: {visible(written.path)}", timeout=20)
        else:
            why = errand.fault or getattr(ending, "what", "the engine is gone")
            self._say(f"not exported: {why}", severity="error", timeout=20)

    def _resume_from(self, path: str, *, is_best: bool) -> None:
        state, run, situation = self.host.run_state, self.host.run_dir, self.host.situation
        if run is None or is_best:
            self._say("the best model holds weights alone: choose a checkpoint below it")
        elif situation.is_live:
            self._say("the run is going: stop it first (s), then resume from here")
        elif not situation.is_resumable:
            self._say("the run is complete: give it more epochs to go on (ecotui extend)")
        else:
            newer = self._newer_than(path, state)
            if path not in sizes_of(run, [path]):
                self._say("this checkpoint was removed")
            elif not newer:
                self.post_message(Resumption(run))
            else:
                self._ask_without(path, newer)

    def _newer_than(self, path: str, state: RunState) -> list[str]:
        """Return the checkpoints on the disk that were saved after one."""
        paths = [saved.path for saved in state.checkpoints]
        later = paths[paths.index(path) + 1 :] if path in paths else []
        run = self.host.run_dir
        return [] if run is None else list(sizes_of(run, later))

    def _ask_without(self, path: str, newer: list[str]) -> None:
        from ecotui.screens.dialogs.confirm import ConfirmScreen

        names = listed(visible(each) for each in newer)
        lines = (
            f"A run goes on from its newest checkpoint, so {counted(len(newer), 'newer one')} "
            f"will be removed: {names}.",
            "What was trained after this checkpoint is trained again. This cannot be undone.",
        )
        yes = f"Go on from {Path(path).name}"
        self.app.push_screen(
            ConfirmScreen("Go on from an earlier checkpoint", lines, yes=yes),
            partial(self._resume_without, newer),
        )

    def _resume_without(self, newer: list[str], is_sure: bool | None) -> None:
        run = self.host.run_dir
        if is_sure and run is not None:
            self.post_message(Resumption(run, without=tuple(newer)))

    def _delete(self, path: str, *, is_best: bool) -> None:
        state, run = self.host.run_state, self.host.run_dir
        if run is None or is_best:
            self._say("the best model stays as long as its run does")
        elif self.host.situation.is_live:
            self._say("the run is going, and keeps its own checkpoints: stop it first (s)")
        else:
            others = [each.path for each in state.checkpoints if each.path != path]
            is_last = not sizes_of(run, others)
            remark = "It is the last one: the run cannot go on without it." if is_last else ""
            self.post_message(CheckpointDeletion(run, path, remark))

    def _say(
        self,
        words: str,
        *,
        severity: Literal["information", "warning", "error"] = "information",
        timeout: float = 8,
    ) -> None:
        self.notify(words, severity=severity, timeout=timeout, markup=False)
