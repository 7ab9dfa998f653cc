"""What can be done on the training screen."""

from __future__ import annotations

from ecotui.actions.action import Action, with_run


def _tab(key: str, name: str, word: str, words: str) -> Action:
    return Action(
        f"training.{name}",
        key,
        f"tab('{name}')",
        word,
        words,
        place="training",
        when=with_run,
        in_footer=False,
    )


TRAINING: tuple[Action, ...] = (
    _tab("O", "overview", "Overview", "what matters on one page"),
    _tab("C", "charts", "Charts", "loss, accuracy, macro F1 and learning rate"),
    _tab("A", "alerts", "Alerts", "every alert, to be filtered and opened"),
    _tab("K", "checkpoints", "Checkpoints", "what is saved: resume from it, export, delete"),
    _tab("L", "classes", "Classes", "each class, and what it is taken for"),
    _tab("M", "machine", "Machine", "processors, memory, disk, waiting for photos"),
    _tab("H", "health", "Health", "signs of health, layers and the scorecard"),
    Action(
        "training.next_tab",
        "right_square_bracket",
        "turn(1)",
        "Next tab",
        "the next tab",
        place="training",
        when=with_run,
        in_footer=False,
    ),
    Action(
        "training.previous_tab",
        "left_square_bracket",
        "turn(-1)",
        "Previous tab",
        "the tab before",
        place="training",
        when=with_run,
        in_footer=False,
    ),
)
