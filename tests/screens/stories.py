"""What a person does in an open app, told as a coroutine: `play(story, open_app("full_run"))`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Story = Callable[[Any], Coroutine[Any, Any, None]]


def play(story: Story, opened: Any) -> int | None:
    """Run a story with an open app, and return what the app was left with."""

    async def tell() -> int | None:
        async with opened as here:
            await story(here)
            await here.pilot.pause()
            left_with: int | None = here.app.return_value
            return left_with

    return asyncio.run(tell())
