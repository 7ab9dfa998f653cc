"""What can be done on the results screen."""

from __future__ import annotations

from ecotui.actions.action import Action, Situation, when_ended


def _can_export(situation: Situation) -> bool:
    return situation.has_run and not situation.is_replay


RESULTS = (
    Action(
        "results.export",
        "x",
        "export",
        "Export",
        "write the best weights as a plain file or a timm folder",
        place="results",
        when=_can_export,
        changes=True,
    ),
    Action(
        "results.more_epochs",
        "e",
        "more_epochs",
        "More epochs",
        "go on with more epochs in all",
        place="results",
        when=when_ended,
        changes=True,
    ),
    Action(
        "results.compare",
        "v",
        "compare",
        "Versus",
        "compare this run with another one",
        place="results",
    ),
)
