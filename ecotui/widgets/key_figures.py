"""The figures that matter, on two lines: how good it is, and how it fares."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from ecotui.health import LEVELS, Level, Sign, health
from ecotui.state import RunState
from ecotui.text import number, percent, visible
from ecotui.widgets.marks import BEST, RECOVERED, SEVERITIES, Mark
from ecotui.widgets.seen import Seen

LEVEL_MARKS: dict[Level, Mark] = {
    "good": RECOVERED,
    "warning": SEVERITIES["warning"],
    "critical": SEVERITIES["critical"],
}


class KeyFigures(Static):
    """Loss, accuracy, macro F1, rate; the best so far, the last checkpoint, and the health."""

    DEFAULT_CSS = """
    KeyFigures { height: 2; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._seen = Seen()

    def show(self, state: RunState) -> None:
        """Show the figures of a run."""
        is_stalled = state.seconds_since_progress > 0
        if self._seen.are_new(
            *(state.loss, state.accuracy, state.learning_rate, state.validation, state.test),
            *(state.best, state.checkpoints, state.alerts, state.ending, state.standing),
            *(state.train_loss, state.milestones, is_stalled and state.seconds_since_progress),
        ):
            self.update(Content("\n").join([_scores(state), _standing(state)]), layout=False)


def _scores(state: RunState) -> Content:
    seen = state.test or state.validation
    name = "test" if state.test is not None else "val"
    parts = [
        _figure("loss", number(state.loss, 3), name, number(seen.loss, 3) if seen else ""),
        _figure("accuracy", _share(state.accuracy), name, _share(seen.accuracy) if seen else ""),
        _figure("macro F1", number(seen.macro_f1) if seen else "-", "", ""),
    ]
    if state.learning_rate is not None:
        parts.append(_figure("rate", rate_words(state.learning_rate), "", ""))
    return Content("  ").join(parts)


def rate_words(rate: float) -> str:
    """Return a learning rate in at most six characters: `0.002`, `4.6e-4`."""
    if rate >= 0.001 or rate == 0.0:
        return f"{rate:.2g}"
    digits, _, exponent = f"{rate:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def _share(fraction: float | None) -> str:
    return percent(fraction, digits=1)


def _figure(name: str, value: str, other: str, of_other: str) -> Content:
    parts: list[Content | tuple[str, str]] = [(f"{name} ", "$foreground-muted"), (value, "bold")]
    if of_other:
        parts += [(f" {other} ", "$foreground-muted"), (of_other, "bold")]
    return Content.assemble(*parts)


def _standing(state: RunState) -> Content:
    parts = []
    if state.best is not None:
        parts.append(BEST.before(f"best {_share(state.best.accuracy)} epoch {state.best.epoch}"))
    if state.checkpoints:
        parts.append(Content(f"saved: step {state.checkpoints[-1].step:,}"))
    return Content("  ").join([*parts, health_words(health(state))])


def health_words(signs: tuple[Sign, ...]) -> Content:
    """Return how many signs of each level there are, and the gravest in words."""
    if not signs:
        return Content.styled("health: nothing to tell yet", "$foreground-muted")
    counts = {level: sum(sign.level == level for sign in signs) for level in LEVELS}
    parts = [
        LEVEL_MARKS[level].before(f"{counts[level]} {level}") for level in LEVELS if counts[level]
    ]
    told = Content(" ").join(parts)
    if signs[0].level == "good":
        return told
    return Content.assemble(told, f": {visible(signs[0].what, limit=100)}")
