"""A place whose widgets are made when it is first seen, so that hidden tabs cost no first frame."""

from __future__ import annotations

from collections.abc import Callable

from textual.containers import Container
from textual.widget import Widget


class Later(Container):
    """Holds what `make` returns, once the place is in view.

    Whoever shows the state looks for the widgets with `query`, which finds none before:

        for table in self.query(ClassTable):
            table.show(state.validation)

    Args:
        make: Returns the widgets; called once.
        when_made: Called when they are there, before anything is shown in them.
    """

    DEFAULT_CSS = "Later { height: auto; }"

    def __init__(
        self,
        make: Callable[[], list[Widget]],
        when_made: Callable[[], None],
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._make: Callable[[], list[Widget]] | None = make
        self._when_made = when_made

    @property
    def is_made(self) -> bool:
        """Whether the widgets are there, or on their way."""
        return self._make is None

    async def on_show(self) -> None:
        """Make the widgets now that they are to be seen."""
        await self.make_now()

    async def make_now(self) -> None:
        """Make the widgets, if they are not there yet, and return once they are mounted."""
        make, self._make = self._make, None
        if make is None:
            return
        await self.mount_all(make())
        self._when_made()
