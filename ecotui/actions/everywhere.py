"""What can be done on every screen."""

from __future__ import annotations

from ecotui.actions.action import (
    Action,
    Situation,
    when_ended,
    while_live,
    with_run,
    with_training,
)
from ecotui.actions.replay import REPLAY


def _can_pause(situation: Situation) -> bool:
    return while_live(situation) and not situation.is_paused


def _can_continue(situation: Situation) -> bool:
    return while_live(situation) and situation.is_paused


def _can_resume(situation: Situation) -> bool:
    return when_ended(situation) and situation.is_resumable


def _can_change(situation: Situation) -> bool:
    return while_live(situation) and situation.has_begun_training


def _can_go_home(situation: Situation) -> bool:
    return situation.has_run or situation.screen != "home"


EVERYWHERE = (
    Action(
        "screen.diagnostic",
        "1",
        "show_screen('diagnostic')",
        "Diagnostic",
        "the environment: layer 1",
    ),
    Action(
        "screen.preflight",
        "2",
        "show_screen('preflight')",
        "Preflight",
        "data, transforms and model: layers 2 and 3",
    ),
    Action(
        "screen.training",
        "3",
        "show_screen('training')",
        "Training",
        "bars, charts, layers, alerts and checkpoints",
        when=with_run,
    ),
    Action(
        "screen.results",
        "4",
        "show_screen('results')",
        "Results",
        "what the model reached, its worst mistakes, classes and curves",
        when=with_training,
    ),
    *REPLAY,
    Action("app.help", "question_mark", "help", "Keys", "the keys that work here"),
    Action(
        "run.stop",
        "s",
        "stop",
        "Stop",
        "save a checkpoint and stop",
        when=while_live,
        changes=True,
        gives_way=0,
    ),
    Action(
        "run.stop_after_epoch",
        "S",
        "stop_after_epoch",
        "Stop after epoch",
        "stop once this epoch is done",
        when=while_live,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.pause",
        "p",
        "pause",
        "Pause",
        "stand still between two steps",
        when=_can_pause,
        changes=True,
        gives_way=2,
    ),
    Action(
        "run.pause_and_free",
        "P",
        "pause_and_free",
        "Pause, free memory",
        "stand still, the model off the accelerator meanwhile",
        when=_can_pause,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.continue",
        "p",
        "continue",
        "Continue",
        "go on after a pause",
        when=_can_continue,
        changes=True,
    ),
    Action(
        "run.save_checkpoint",
        "c",
        "save_checkpoint",
        "Checkpoint",
        "save a checkpoint now",
        when=while_live,
        changes=True,
        gives_way=2,
    ),
    Action(
        "run.measure_norms",
        "",
        "measure_norms",
        "Norms",
        "write down each layer's gradient norms for the next batch",
        when=while_live,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.set_learning_rate",
        "l",
        "set_learning_rate",
        "Learning rate",
        "change the peak of the learning rate",
        when=_can_change,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.extend",
        "e",
        "extend",
        "Epochs",
        "change how many epochs the run has in all",
        when=_can_change,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.silence_guard",
        "m",
        "silence_guard",
        "Silence",
        "let a guard tell but act no more, or act again",
        when=_can_change,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.release",
        "",
        "release",
        "Release",
        "let the run go on when the program that started it has gone",
        when=while_live,
        changes=True,
        in_footer=False,
    ),
    Action(
        "run.resume",
        "r",
        "resume",
        "Resume",
        "go on from the newest checkpoint",
        when=_can_resume,
        changes=True,
    ),
    Action(
        "app.detach",
        "d",
        "detach",
        "Detach",
        "leave the app; the run goes on",
        when=while_live,
        gives_way=3,
    ),
    Action(
        "app.home",
        "h",
        "home",
        "Home",
        "runs and configs; a live run goes on",
        when=_can_go_home,
        gives_way=2,
    ),
    Action("app.copy", "y", "copy", "Copy", "copy the text of the panel in focus", in_footer=False),
    Action(
        "app.zoom",
        "z",
        "zoom",
        "Zoom",
        "give the panel in focus the whole screen, and back",
        in_footer=False,
    ),
    Action("app.theme", "T", "choose_theme", "Theme", "choose the colours", in_footer=False),
    Action(
        "app.panel_help",
        "f1",
        "panel_help",
        "About",
        "what the panel in focus shows",
        in_footer=False,
    ),
    Action(
        "app.palette",
        "colon,ctrl+p",
        "command_palette",
        "Commands",
        "find anything by its name",
        in_footer=False,
    ),
    Action(
        "app.quit", "q", "quit", "Quit", "leave; asks first while the run is going", gives_way=0
    ),
    Action(
        "app.quit_at_once",
        "ctrl+c,ctrl+q",
        "quit",
        "Quit",
        "leave; asks first while the run is going",
        in_footer=False,
        outranks=True,
    ),
    Action(
        "app.redraw",
        "ctrl+l",
        "redraw",
        "Redraw",
        "draw all of the screen anew",
        in_footer=False,
        outranks=True,
    ),
    Action(
        "app.suspend",
        "ctrl+z",
        "suspend_process",
        "Suspend",
        "back to the shell; fg comes back",
        in_footer=False,
        outranks=True,
    ),
)
"""Heard by the app; the order is that of the footer and the help."""
