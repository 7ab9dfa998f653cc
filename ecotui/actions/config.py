"""What can be done while a configuration is edited."""

from __future__ import annotations

from ecotui.actions.action import Action, Situation


def _at_home(situation: Situation) -> bool:
    return not situation.has_run


CONFIG = (
    Action(
        "config.edit",
        "enter",
        "edit_value",
        "Change",
        "give the setting under the cursor another value",
        place="config",
        when=_at_home,
    ),
    Action(
        "config.search",
        "slash",
        "search",
        "Find",
        "find a setting by its name or by what it does",
        place="config",
        when=_at_home,
    ),
    Action(
        "config.revert",
        "u",
        "revert_value",
        "Undo",
        "take back what was changed of the setting under the cursor",
        place="config",
        when=_at_home,
    ),
    Action(
        "config.default",
        "d",
        "use_default",
        "Default",
        "go back to the default of the setting under the cursor",
        place="config",
        when=_at_home,
        in_footer=False,
    ),
    Action(
        "config.start",
        "s",
        "start_run",
        "Start",
        "train with these settings",
        place="config",
        when=_at_home,
        changes=True,
    ),
    Action(
        "config.save",
        "w,ctrl+s",
        "save_config",
        "Write",
        "write the settings to a file; a shipped config is copied",
        place="config",
        when=_at_home,
        changes=True,
    ),
    Action(
        "config.close",
        "escape",
        "close_config",
        "Back",
        "back to the home; asks first where changes would be lost",
        place="config",
        when=_at_home,
    ),
)
