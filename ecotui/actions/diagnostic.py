"""What can be done on the diagnostic screen."""

from __future__ import annotations

from ecotui.actions.action import Action

DIAGNOSTIC: tuple[Action, ...] = (
    Action(
        "diagnostic.again",
        "R",
        "again",
        "Examine",
        "examine the environment, all of it, again",
        place="diagnostic",
        changes=True,
    ),
    Action(
        "diagnostic.fix",
        "f",
        "fix",
        "Fix",
        "show what would mend the environment, and do it after a yes",
        place="diagnostic",
        changes=True,
    ),
    Action(
        "diagnostic.export",
        "w",
        "export",
        "Export",
        "write all findings into a file, as Markdown or JSON",
        place="diagnostic",
        changes=True,
        gives_way=2,
    ),
    Action(
        "diagnostic.copy",
        "Y",
        "copy_report",
        "Copy all",
        "copy all findings",
        place="diagnostic",
        in_footer=False,
    ),
    Action(
        "diagnostic.back",
        "escape",
        "back",
        "Back",
        "stop the examination under way, or go back to what the run itself found",
        place="diagnostic",
        in_footer=False,
    ),
)
