"""What can be done while a log is played again, on every screen that shows it."""

from __future__ import annotations

from ecotui.actions.action import Action, in_replay

REPLAY = (
    Action(
        "replay.pause", "space", "replay_pause", "Pause", "stand still, or go on", when=in_replay
    ),
    Action(
        "replay.faster",
        "greater_than_sign",
        "replay_speed(1)",
        "Faster",
        "play the log faster, up to 1,000 times",
        when=in_replay,
    ),
    Action(
        "replay.slower",
        "less_than_sign",
        "replay_speed(-1)",
        "Slower",
        "play the log slower, down to its own pace",
        when=in_replay,
    ),
    Action(
        "replay.step",
        "full_stop",
        "replay_step",
        "Step",
        "one event more, and stand still",
        when=in_replay,
        in_footer=False,
    ),
    Action(
        "replay.alert",
        "exclamation_mark",
        "replay_alert",
        "Alert",
        "go to the next alert, and stand still there",
        when=in_replay,
    ),
    Action("replay.end", "E", "replay_end", "End", "go to the end of the log", when=in_replay),
)
"""Heard by the app, as `EVERYWHERE` is."""
