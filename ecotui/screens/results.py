"""What a run has reached: its end, its surest mistakes, classes and curves, and what to do next."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Literal, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ecotui.actions.results import RESULTS
from ecotui.errand_state import ErrandState
from ecotui.events import ValidationFinished
from ecotui.jobs import ExportJob
from ecotui.mistakes import Mistake, read_mistakes
from ecotui.paths import RunDir, list_runs
from ecotui.run_state import RunState
from ecotui.screens.dialogs.choice import Choice, ChoiceScreen
from ecotui.screens.dialogs.value import ValueScreen, epochs_fault
from ecotui.screens.frame import EcoScreen
from ecotui.screens.messages import Errand, Resumption, Visit
from ecotui.screens.results_mistakes import MistakesPanel
from ecotui.screens.training_files import confusion_of
from ecotui.summary import as_error, result_lines
from ecotui.text import bytes_size, counted, visible
from ecotui.widgets.class_table import ClassTable
from ecotui.widgets.confusion_panel import ConfusionPanel
from ecotui.widgets.curves import Curves
from ecotui.widgets.panel import bindings_of
from ecotui.widgets.seen import Seen
from ecotui.widgets.status_line import StatusLine
from ecotui.widgets.summary_panel import SummaryPanel

FORMATS = (
    Choice("timm", "timm folder", "for timm.create_model('local-dir:...'), with its settings"),
    Choice("pth", "plain file (.pth)", "a state dict, for torch.load(..., weights_only=True)"),
)
NO_MISTAKES = "none: every image of this evaluation was recognised"
NOT_KEPT = "not kept in this run: they are since a later version, and once a validation is done"
MAX_CHOICES = 100


class ResultsScreen(EcoScreen):
    """The final figures first, then what went wrong, then the rest below the fold."""

    NAME = "results"
    HEADING = "4 Results"
    CSS_PATH = "results.tcss"
    BINDINGS = bindings_of(RESULTS)
    HELP = """
    How the run ended and what it reached; the photos that the model got wrong and was surest of;
    how well each class is recognised; and the curves. x exports the best weights, e goes on with
    more epochs, v compares with another run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen = Seen()

    def compose_body(self) -> ComposeResult:
        """Lay out the panels, the most telling on top."""
        yield StatusLine(self.HEADING)
        yield Static("", id="errand", markup=False)
        with VerticalScroll(id="body", can_focus=False):
            yield SummaryPanel()
            yield MistakesPanel()
            with Container(id="tables"):
                yield ClassTable()
                yield ConfusionPanel()
            yield Curves(has_hint=False)

    def show(self, state: RunState) -> None:
        """Show the state, the export under way, and the mistakes of the best model."""
        host = self.host
        line = self.query_one(StatusLine)
        line.show(state, host.pending, is_readonly=host.situation.is_readonly)
        self._show_errand(host.errand)
        run = host.run_dir
        if run is None:
            return
        self.query_one(SummaryPanel).show(tuple(result_lines(state, run)))
        self.query_one(Curves).show(state)
        judged = evaluation_of(state)
        self.query_one(ClassTable).show(judged)
        if self._seen.are_new(judged, str(run.path), state.ending):
            self._read(run, judged)

    @work(group="runs", exclusive=True, exit_on_error=False)
    async def _read(self, run: RunDir, judged: ValidationFinished | None) -> None:
        """Read the mistakes and their pictures off the event loop."""
        found = await asyncio.to_thread(read_mistakes, run, judged)
        self._show_mistakes(found, judged)
        if judged is not None:
            confusion = await asyncio.to_thread(confusion_of, run, judged.file)
            self.query_one(ConfusionPanel).show(*confusion)

    def _show_mistakes(self, found: tuple[Mistake, ...], judged: ValidationFinished | None) -> None:
        panel = self.query_one(MistakesPanel)
        is_perfect = judged is not None and judged.accuracy == 1.0
        panel.show(found, NO_MISTAKES if is_perfect else NOT_KEPT)
        if judged is not None:
            split = "test" if judged.split == "test" else f"validation of epoch {judged.epoch}"
            panel.border_subtitle = split

    def _show_errand(self, errand: ErrandState | None) -> None:
        told = None if errand is None else export_words(errand)
        line = self.query_one("#errand", Static)
        line.display = told is not None
        line.update(told or Content(""))

    # What can be done -----------------------------------------------------------------------------

    def action_export(self) -> None:
        """Ask for a form, and have the best weights written in it."""
        if self.host.run_state.best is None:
            self._tell("there is no best checkpoint yet: it comes with the first validation")
            return
        self.app.push_screen(ChoiceScreen("Export as", FORMATS), self._export)

    def _export(self, form: str | None) -> None:
        run, best = self.host.run_dir, self.host.run_state.best
        if form is None or run is None or best is None:
            return
        name = Path(best.path).name + (".pth" if form == "pth" else "")
        job = ExportJob(
            run_path=str(run.path.absolute()),
            format=cast(Literal["pth", "timm"], form),
            output=str(free_path(run.exports.absolute() / name)),
        )
        self.post_message(Errand(job))

    def action_more_epochs(self) -> None:
        """Ask for another total of epochs, and go on to it."""
        state, run = self.host.run_state, self.host.run_dir
        if run is None:
            return
        done = 0 if state.last_epoch is None else state.last_epoch.epoch
        told = f"{done} of {counted(state.epochs, 'epoch')} done. How many in all?"
        value = str(max(2 * done, state.epochs, done + 1))
        question = ValueScreen("More epochs", told, value, epochs_fault(done))
        self.app.push_screen(question, partial(self._go_on, run))

    def _go_on(self, run: RunDir, epochs: str | None) -> None:
        if epochs is not None:
            self.post_message(Resumption(run, (f"train.epochs={int(epochs)}",)))

    @work(group="runs", exit_on_error=False)
    async def action_compare(self) -> None:
        """Ask for another run, and show both side by side."""
        mine = self.host.run_dir
        if mine is None:
            return
        every = await asyncio.to_thread(list_runs, self.host.runs_dir)
        others = [run for run in every if run.run_id != mine.run_id][:MAX_CHOICES]
        if not others:
            self._tell("there is no other run yet")
            return
        choices = [Choice(str(run.path), run.run_id) for run in others]
        self.app.push_screen(ChoiceScreen("Compare with", choices), partial(self._compare, mine))

    def _compare(self, mine: RunDir, other: str | None) -> None:
        if other is not None:
            self.post_message(Visit("compare", (mine, RunDir(Path(other)))))

    def _tell(self, words: str) -> None:
        self.app.notify(words, severity="warning", markup=False)


def evaluation_of(state: RunState) -> ValidationFinished | None:
    """Return the evaluation that a run is judged by: the test, else the best validation."""
    return state.test or state.best_validation or state.validation


def export_words(errand: ErrandState) -> Content | None:
    """Return how an export stands, in a line; None for any other short job."""
    if not isinstance(errand.job, ExportJob):
        return None
    export = errand.state.export
    if export is not None:
        size = bytes_size(export.num_bytes)
        return Content.styled(f"✓ exported: {visible(export.path)} ({size})", "$text-success")
    if errand.fault:
        return Content.styled(f"✗ {errand.fault.splitlines()[0]}", "$text-error")
    if errand.state.ending is not None:
        error = as_error(errand.state)
        told = f"✗ not exported: {visible(error.what)}. To fix: {visible(error.remedy)}"
        return Content.styled(told, "$text-error")
    return Content.styled(f"… exporting to {visible(errand.job.output)}", "$text-warning")


def free_path(path: Path) -> Path:
    """Return a path where nothing is yet: this one, or the same with a number."""
    number, free = 2, path
    while free.exists():
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free
