"""The table of actions: names that stay, keys that do not clash, and what is possible when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from ecotui.actions.action import Action, Situation
from ecotui.actions.everywhere import EVERYWHERE
from ecotui.actions.table import ACTIONS, BY_ID
from ecotui.app import EcoApp
from ecotui.commands import AnyCommand
from ecotui.widgets.panel import bindings_of

SCREENS = ("home", "diagnostic", "preflight", "training", "results", "compare", "config")


def situations() -> Iterator[Situation]:
    for screen in SCREENS:
        for flags in itertools.product((False, True), repeat=5):
            has_run, is_live, has_begun, is_paused, is_readonly = flags
            yield Situation(
                screen=screen,
                has_run=has_run,
                is_live=has_run and is_live,
                has_begun_training=has_run and has_begun,
                is_paused=has_run and is_live and is_paused,
                is_resumable=has_run and not is_live,
                is_readonly=is_readonly,
            )
        for has_begun, is_playing in itertools.product((False, True), repeat=2):
            yield Situation(
                screen=screen,
                has_run=True,
                has_begun_training=has_begun,
                is_replay=True,
                is_playing=is_playing,
            )


def keys_heard(situation: Situation) -> list[tuple[str, str]]:
    """Return the keys that the app and the screen hear, with the action of each."""
    return [
        (key, action.id)
        for action in ACTIONS
        if action.place in ("everywhere", situation.screen) and action.is_possible(situation)
        for key in action.keys.split(",")
        if key
    ]


def test_every_action_has_a_name_of_its_own() -> None:
    assert len(BY_ID) == len(ACTIONS)
    assert all(action.id.count(".") == 1 and action.help and action.word for action in ACTIONS)


def test_no_key_does_two_things_at_a_time() -> None:
    for situation in situations():
        heard = keys_heard(situation)
        keys = [key for key, _ in heard]
        assert len(keys) == len(set(keys)), f"{situation}: {sorted(heard)}"


PANELS = (
    *sorted({(action.id.partition(".")[0],) for action in ACTIONS if action.place == "panel"}),
    ("log", "alerts"),
)
"""What is heard at a time: the actions of one panel, or of a panel that is a log as well."""


@pytest.mark.parametrize("panel", PANELS, ids=" ".join)
def test_keys_of_a_panel_do_not_clash(panel: tuple[str, ...]) -> None:
    keys = [
        key
        for action in ACTIONS
        if action.place == "panel" and action.id.partition(".")[0] in panel
        for key in action.keys.split(",")
        if key
    ]
    assert keys
    assert len(keys) == len(set(keys))


def test_read_only_leaves_nothing_that_asks_or_changes() -> None:
    for situation in situations():
        if situation.is_readonly:
            assert not [each for each in ACTIONS if each.changes and each.is_possible(situation)]


@pytest.mark.parametrize(
    ("situation", "possible", "impossible"),
    [
        (Situation(), "app.quit", "run.stop"),
        (Situation(has_run=True, is_live=True), "run.pause", "run.continue"),
        (Situation(has_run=True, is_live=True, is_paused=True), "run.continue", "run.pause"),
        (Situation(has_run=True, is_live=True), "run.stop", "run.extend"),
        (
            Situation(has_run=True, is_live=True, has_begun_training=True),
            "run.extend",
            "run.resume",
        ),
        (Situation(has_run=True, is_resumable=True), "run.resume", "run.stop"),
        (Situation(has_run=True), "app.home", "run.resume"),
        (Situation(has_run=True, is_live=True), "app.detach", "run.resume"),
    ],
)
def test_what_is_possible_depends_on_the_situation(
    situation: Situation, possible: str, impossible: str
) -> None:
    assert BY_ID[possible].is_possible(situation)
    assert not BY_ID[impossible].is_possible(situation)


def test_every_action_of_the_app_has_its_method_and_nothing_is_bound_beside_the_table() -> None:
    for action in EVERYWHERE:
        assert hasattr(EcoApp, f"action_{action.does.partition('(')[0]}"), action.id
    bound = {getattr(binding, "id", None) for binding in EcoApp.BINDINGS}
    assert bound == {action.id for action in EVERYWHERE if action.keys}


def test_a_binding_says_what_its_action_says() -> None:
    action = Action("a.b", "x,y", "go", "Go", "goes there", in_footer=False, outranks=True)
    (made,) = bindings_of([action, Action("a.c", "", "stay", "Stay", "stays")])
    assert (made.key, made.action, made.description, made.tooltip) == (  # type: ignore[union-attr]
        "x,y",
        "go",
        "Go",
        "goes there",
    )
    assert (made.id, made.show, made.priority) == ("a.b", False, True)  # type: ignore[union-attr]


def test_there_is_an_action_for_every_request() -> None:
    import inspect
    from typing import get_args

    from ecotui import changing, run_app

    source = inspect.getsource(run_app) + inspect.getsource(changing)
    union, _ = get_args(AnyCommand)
    for command in get_args(union):
        assert f"{command.__name__}(" in source, f"no action asks for {command.__name__}"
