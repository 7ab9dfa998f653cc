"""Who is told of a run while nobody watches it, and of what."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ecotui.settings import Positive, Section

Occasion = Literal["finished", "stopped", "failed", "paused", "alerts"]
WEBHOOK_KEY = "notify.webhook"
"""Its value is shown, stated and kept in manifests without its secret."""
VARIABLE_PREFIX = "env:"
"""A webhook that begins so names the environment variable that holds it."""
HIDDEN = "…"


class NotifyConfig(Section):
    """Who is told of a run while nobody watches it, and of what."""

    webhook: Annotated[str, Field(max_length=2000)] | None = None
    """An http or https address that gets a small JSON object by POST. `env:NAME` takes it from
    an environment variable, so that its secret stands in no file."""
    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """A program and its arguments, run without a shell; it gets the same JSON on its standard
    input, and the parts in environment variables (`ECOTUI_EVENT`, `ECOTUI_SEVERITY`,
    `ECOTUI_MESSAGE`, `ECOTUI_RUN`, `ECOTUI_RUN_DIR`)."""
    severity: Literal["note", "warning", "critical"] = "warning"
    """Alerts below it are not passed on."""
    events: Annotated[tuple[Occasion, ...], Field(strict=False)] = (
        "finished",
        "failed",
        "paused",
        "alerts",
    )
    """What is passed on: `finished`, `stopped`, `failed`, `paused`, `alerts`."""
    min_interval_seconds: Annotated[float, Field(ge=0.0)] = 60.0
    """Between two alerts; those that come sooner are counted and told with the next. Seconds."""
    timeout_seconds: Annotated[float, Field(gt=0.0, le=120.0)] = 10.0
    """For one attempt to deliver a message, at most 120 seconds; there are three."""
    retry_seconds: Positive = 2.0
    """Before the second attempt; twice as long before the third."""
    bell: bool = False
    """Ring the terminal's bell at a critical alert and at a failure, where lines are printed."""

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if self.webhook is not None:
            fault = fault_of(self.webhook)
            if fault:
                # Without the address: it may hold a secret.
                raise ValueError(f"notify.webhook {fault}")
        if self.command and (not self.command[0] or any("\0" in part for part in self.command)):
            raise ValueError("notify.command begins with an empty name, or holds a NUL")
        return self


def fault_of(webhook: str) -> str:
    """Return what is wrong with a webhook, in words that do not repeat it; empty where nothing."""
    if webhook.startswith(VARIABLE_PREFIX):
        name = webhook.removeprefix(VARIABLE_PREFIX)
        is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name) is not None
        return "" if is_name else "names no environment variable: env:NAME is expected"
    if not webhook.isascii() or not webhook.isprintable() or " " in webhook:
        return "holds characters that no address can"
    try:
        parts = urlsplit(webhook)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return "is no address"
    if parts.scheme not in ("http", "https") or not has_host:
        return "is no http or https address"
    return ""


def masked(webhook: str | None) -> str | None:
    """Return a webhook fit to be shown: its path, query and password are secrets."""
    if webhook is None or webhook.startswith(VARIABLE_PREFIX):
        return webhook
    try:
        parts = urlsplit(webhook)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return HIDDEN
    return f"{parts.scheme}://{parts.hostname or ''}{port}/{HIDDEN}"
