"""What can be done on the home screen."""

from __future__ import annotations

from ecotui.actions.action import Action, Situation


def _at_home(situation: Situation) -> bool:
    return not situation.has_run


HOME = (
    Action(
        "home.new",
        "n",
        "new_run",
        "New",
        "train on a folder of photos",
        place="home",
        when=_at_home,
        changes=True,
        gives_way=0,
    ),
    Action(
        "home.edit",
        "e",
        "edit_config",
        "Edit",
        "change the settings of the config under the cursor, or of the run's",
        place="home",
        when=_at_home,
        changes=True,
    ),
    Action(
        "home.mark",
        "space",
        "mark_run",
        "Mark",
        "mark the run under the cursor, or take the mark away",
        place="home",
        when=_at_home,
        gives_way=2,
    ),
    Action(
        "home.compare",
        "c",
        "compare_runs",
        "Compare",
        "the marked runs side by side; none marked: the two newest",
        place="home",
        when=_at_home,
        gives_way=2,
    ),
    Action(
        "home.resume",
        "r",
        "resume_run",
        "Resume",
        "go on with the run under the cursor",
        place="home",
        when=_at_home,
        changes=True,
    ),
    Action(
        "home.replay",
        "p",
        "replay_run",
        "Replay",
        "play the log of the run under the cursor again",
        place="home",
        when=_at_home,
        gives_way=3,
    ),
    Action(
        "home.delete",
        "d,delete",
        "delete_runs",
        "Delete",
        "remove the marked runs, or the one under the cursor; asks first",
        place="home",
        when=_at_home,
        changes=True,
    ),
)
