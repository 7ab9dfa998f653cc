"""How a run stands, in lines for a person."""

from __future__ import annotations

import time

from ecotui.health import health, summed_up
from ecotui.scorecard import scorecard
from ecotui.scorecard_text import scorecard_lines
from ecotui.state import RunState
from ecotui.status_report import AlertShown, SignShown, StatusReport
from ecotui.text import counted, duration, number, percent, sentence

NEXT = {
    "setup": "to watch it: ecotui attach {run}",
    "running": "to watch it: ecotui attach {run}",
    "paused": "to let it go on: ecotui continue {run}",
    "stopped": "to go on: ecotui resume {run} --headless",
    "failed": "to go on, once the cause is mended: ecotui resume {run} --headless",
    "lost": "to go on: ecotui resume {run} --headless",
    "finished": "to use the best model elsewhere: ecotui export {run} --format pth",
}


def status_lines(report: StatusReport, state: RunState) -> list[str]:
    """Return state, progress, scores, health, scorecard, last alerts and files."""
    return [
        _heading(report),
        *_progress(report, state),
        *_scores(report),
        f"health: {summed_up(health(state))}",
        *(_sign(sign) for sign in report.health),
        *scorecard_lines(scorecard(state)),
        *_alerts(report),
        *_files(report),
        NEXT[report.state].format(run=report.run),
    ]


def _heading(report: StatusReport) -> str:
    text = f"{report.run}: {report.state}"
    if report.attempt > 1:
        text += f" (attempt {report.attempt})"
    if report.why:
        text += f": {report.why}"
    if report.ending is not None and report.ending.what and report.state != "finished":
        text += f": {report.ending.what}"
    return text


def _progress(report: StatusReport, state: RunState) -> list[str]:
    at = report.progress
    if not at.epoch:
        return [f"stage: {at.stage}"] if at.stage else []
    share = "" if at.fraction is None else f" ({percent(at.fraction, 0)})"
    of = f" of {at.steps_planned:,}" if at.steps_planned else ""
    limited = "" if state.step_limit is None else ", where the step limit ends the run"
    text = f"epoch {at.epoch} of {state.epochs_planned}, step {at.step:,}{of}{share}{limited}"
    if at.seconds_left is not None:
        text += f", {duration(at.seconds_left)} left"
    if at.images_per_second is not None:
        text += f", {at.images_per_second:,.0f} images/s"
    return [text]


def _scores(report: StatusReport) -> list[str]:
    scores = report.scores
    lines = []
    if scores.train_loss is not None:
        accuracy = ""
        if scores.train_accuracy is not None:
            accuracy = f", accuracy {percent(scores.train_accuracy)}"
        lines.append(f"training: loss {number(scores.train_loss)}{accuracy}")
    for name, score in (("validation", scores.validation), ("test", scores.test)):
        if score is not None:
            lines.append(
                f"{name}: accuracy {percent(score.accuracy)}, macro F1 "
                f"{number(score.macro_f1)} (epoch {score.epoch})"
            )
    if scores.best is not None:
        best = scores.best
        lines.append(f"best: accuracy {percent(best.accuracy)} (epoch {best.epoch})")
    return lines


def _sign(sign: SignShown) -> str:
    text = f"  {sign.level:8} {sign.what}"
    if sign.figure:
        text += f": {sign.figure}"
    return f"{text}. {sentence(sign.advice)}" if sign.advice else text


def _alerts(report: StatusReport) -> list[str]:
    if not report.alerts:
        return []
    heading = f"last alerts ({counted(report.num_alerts, 'alert')} in all):"
    return [heading, *(_alert(alert) for alert in report.alerts)]


def _alert(alert: AlertShown) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(alert.at))
    step = "" if alert.step is None else f" step {alert.step:,}:"
    return f"  {at} {alert.severity}:{step} {alert.message} ({alert.name})"


def _files(report: StatusReport) -> list[str]:
    files = report.files
    lines = [f"files: {files.run}", f"log: {files.log}"]
    if files.last_checkpoint is not None:
        lines.append(f"last checkpoint: {files.last_checkpoint}")
    if report.scores.best is not None:
        lines.append(f"best checkpoint: {report.scores.best.path}")
    if files.quarantine is not None:
        lines.append(f"set aside: {files.quarantine}")
    if files.stop_report is not None:
        lines.append(f"why it stopped: {files.stop_report}")
    return lines
