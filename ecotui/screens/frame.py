"""The frame of every screen: breakpoints, the line for tiny terminals, the keys, and the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from ecotui.actions.action import named
from ecotui.actions.table import ACTIONS
from ecotui.widgets.brief import Brief
from ecotui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from ecotui.run_state import RunState
    from ecotui.screens.host import Host

MIN_COLUMNS, MIN_ROWS = 60, 16
"""Below this only the status is shown, and keys go on working."""


class EcoScreen(Screen[None]):
    """A screen of the app; what is in it is `compose_body`'s business.

    A subclass sets `NAME`, `HEADING`, `BINDINGS = bindings_of(ITS_ACTIONS)` and, where a person
    may ask what it is for, `HELP`, a plain text. Rules for its style stand in a `.tcss` beside
    it, under the class name. Classes `-narrow` (from 60 columns), `-wide` (from 112), `-short`
    (from 16 rows) and `-tall` (from 34) are set by the size of the terminal.
    """

    NAME: ClassVar[str] = ""
    """Its name in `ecotui.screens.table`, and the place of its actions."""
    HEADING: ClassVar[str] = ""
    DEFAULT_CSS = """
    EcoScreen.-tiny > *, EcoScreen.-low > * { display: none !important; }
    EcoScreen.-tiny > Brief, EcoScreen.-low > Brief { display: block !important; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (MIN_COLUMNS, "-narrow"), (112, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (MIN_ROWS, "-short"), (34, "-tall")]  # noqa: RUF012

    @property
    def host(self) -> Host:
        """The app, as far as a screen may read it."""
        return cast("Host", self.app)

    @property
    def is_tiny(self) -> bool:
        """Whether there is no room for more than the status."""
        return self.app.size.width < MIN_COLUMNS or self.app.size.height < MIN_ROWS

    def compose(self) -> ComposeResult:
        """Lay out the line for tiny terminals, what the screen is for, and the keys."""
        yield Brief()
        yield from self.compose_body()
        yield KeyLine()

    def compose_body(self) -> ComposeResult:
        """Lay out what the screen is for."""
        raise NotImplementedError

    def show(self, state: RunState) -> None:
        """Hand every widget its part of the state.

        Called once a batch of events while the screen is in view, and when it comes into view.
        Widgets compare the identity of their parts (`widgets.seen.Seen`) and draw what is new.
        """

    def on_mount(self) -> None:
        """Follow the app's state."""
        for name in ("run_state", "pending", "errand"):
            self.watch(self.app, name, self.follow, init=False)

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self.follow()

    def on_resize(self) -> None:
        """Show what there is room for now."""
        if self.is_mounted:
            # What a breakpoint brings into view is known to be in view after it alone.
            self.call_after_refresh(self.follow)

    def follow(self) -> None:
        """Show the state as it is now, where the screen is in view."""
        if self not in self.app.screen_stack:
            return
        host = self.host
        if self.is_tiny:
            self.query_one(Brief).show(host.run_state, host.pending, heading=self.HEADING)
        else:
            self.show(host.run_state)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the screen's actions when they are possible."""
        mine = named([each for each in ACTIONS if each.place == self.NAME], action, parameters)
        return mine is None or mine.is_possible(self.host.situation)
