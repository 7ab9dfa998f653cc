"""Every screen there is, by name; each is imported and made when it is first seen."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen


def _opening() -> Screen[None]:
    from ecotui.screens.opening import OpeningScreen

    return OpeningScreen()


def _home() -> Screen[None]:
    from ecotui.screens.home import HomeScreen

    return HomeScreen()


def _diagnostic() -> Screen[None]:
    from ecotui.screens.diagnostic import DiagnosticScreen

    return DiagnosticScreen()


def _preflight() -> Screen[None]:
    from ecotui.screens.preflight import PreflightScreen

    return PreflightScreen()


def _training() -> Screen[None]:
    from ecotui.screens.training import TrainingScreen

    return TrainingScreen()


def _results() -> Screen[None]:
    from ecotui.screens.results import ResultsScreen

    return ResultsScreen()


def _compare() -> Screen[None]:
    from ecotui.screens.compare import CompareScreen

    return CompareScreen()


SCREENS: dict[str, Callable[[], Screen[None]]] = {
    "opening": _opening,
    "home": _home,
    "diagnostic": _diagnostic,
    "preflight": _preflight,
    "training": _training,
    "results": _results,
    "compare": _compare,
}
"""What makes each screen. A screen is one of the app's modes: made once, and kept."""

OF_A_RUN = frozenset({"diagnostic", "preflight", "training", "results"})
"""Screens that show the run followed; the app stays on one of them when it shows another run."""
