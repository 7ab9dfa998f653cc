"""What a person has chosen for the app: keys, theme, glyphs and pace.

Three places, each with its own purpose: flags for this once, `app.toml` beside the user's
`config.toml` for keys and pace (written by hand, read strictly), and a file of the app's own for
the theme that was chosen in it last. Nothing here concerns training.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import platformdirs

from ecotui.actions.table import BY_ID
from ecotui.errors import UsageError
from ecotui.pacing import LOCAL_PER_SECOND, SLOW_PER_SECOND
from ecotui.text import listed, nearest, visible

THEMES = ("dark", "light", "contrast", "mono", "ansi-dark", "ansi-light")
"""By name; `mono` has no colour at all, the last two have the terminal's own sixteen."""
MAX_FILE_BYTES = 100_000
MAX_KEY_CHARACTERS = 60
MAX_PER_SECOND = 30.0
_KEYS = ("ascii", "slow", "refresh_per_second", "keys")


class AppSettings(NamedTuple):
    """How the app looks and listens.

    Attributes:
        theme: One of `THEMES`.
        is_ascii: Draw with ASCII alone.
        frames_per_second: The screen is drawn anew at most so often.
        is_slow: Nothing moves by itself.
        is_readonly: Take no request.
        keys: Of actions that have others than their own, by the action's id.
    """

    theme: str = "dark"
    is_ascii: bool = False
    frames_per_second: float = LOCAL_PER_SECOND
    is_slow: bool = False
    is_readonly: bool = False
    keys: Mapping[str, str] = MappingProxyType({})


class Flags(NamedTuple):
    """What the command line says about the app.

    Attributes:
        theme: For this once; None for the one chosen last.
        is_ascii: Draw with ASCII alone.
        frames_per_second: At most; None for the usual.
        is_slow: Once a second, and nothing moves.
        is_readonly: Take no request.
    """

    theme: str | None = None
    is_ascii: bool = False
    frames_per_second: float | None = None
    is_slow: bool = False
    is_readonly: bool = False


def app_config() -> Path:
    """Return the user's own file of settings for the app."""
    return platformdirs.user_config_path("ecotui") / "app.toml"


def theme_file() -> Path:
    """Return where the theme chosen last is kept."""
    return platformdirs.user_state_path("ecotui") / "theme"


def app_settings(flags: Flags, environ: Mapping[str, str] = os.environ) -> AppSettings:
    """Return how the app is to look and listen: flags, then `app.toml`, then the usual.

    Raises:
        UsageError: `app.toml` cannot be read, or says what it cannot say.
    """
    written = read_app_config(app_config())
    is_slow = flags.is_slow or bool(written.get("slow", False))
    usual = SLOW_PER_SECOND if is_slow else LOCAL_PER_SECOND
    asked = flags.frames_per_second
    if asked is None and not flags.is_slow:
        asked = written.get("refresh_per_second")
    theme = flags.theme or remembered_theme() or "dark"
    if environ.get("NO_COLOR"):
        # Any value but an empty one means it: https://no-color.org
        theme = "mono"
    return AppSettings(
        theme=theme,
        is_ascii=flags.is_ascii or bool(written.get("ascii", False)),
        frames_per_second=float(usual if asked is None else asked),
        is_slow=is_slow,
        is_readonly=flags.is_readonly,
        keys=dict(written.get("keys", {})),
    )


def without_requests(settings: AppSettings) -> AppSettings:
    """Return the same for an app that takes no request."""
    return settings._replace(is_readonly=True)


def remembered_theme() -> str | None:
    """Return the theme chosen last; None where none was."""
    try:
        name = theme_file().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if name in THEMES else None


def remember_theme(name: str) -> None:
    """Keep the theme for the next time; without room for that, only this time has it."""
    with contextlib.suppress(OSError):
        theme_file().parent.mkdir(parents=True, exist_ok=True)
        theme_file().write_text(f"{name}\n", encoding="utf-8")


def read_app_config(path: Path) -> dict[str, Any]:
    """Return what the file says; nothing where there is none.

    Raises:
        UsageError: It cannot be read, is not TOML, or holds what it cannot hold.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _fault(path, "is larger than 100 kB", "remove what does not belong there")
        text = path.read_text(encoding="utf-8-sig")
        # Most people have no such file, and the first frame does not wait for what reads it.
        import tomllib

        table = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        why = f"cannot be read: {visible(error.strerror)}"
        raise _fault(path, why, "check its permissions") from None
    except (ValueError, RecursionError) as error:
        why = f"is not TOML: {visible(error)}"
        raise _fault(path, why, "correct that line") from None
    for key, value in table.items():
        _check(path, key, value)
    return table


def _check(path: Path, key: str, value: object) -> None:
    match key:
        case "ascii" | "slow":
            if not isinstance(value, bool):
                raise _fault(path, f"says {key} = {_shown(value)}", f"write {key} = true or false")
        case "refresh_per_second":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and 0.1 <= float(str(value)) <= MAX_PER_SECOND):
                why = f"says {key} = {_shown(value)}"
                raise _fault(path, why, f"write a number from 0.1 to {MAX_PER_SECOND:.0f}")
        case "keys":
            _check_keys(path, value)
        case _:
            close = nearest(key, _KEYS)
            hint = f"did you mean '{close[0]}'?" if close else f"it knows {listed(_KEYS)}"
            raise _fault(path, f"holds '{visible(key, limit=60)}', which means nothing", hint)


def _check_keys(path: Path, value: object) -> None:
    if not isinstance(value, dict):
        raise _fault(path, "says keys = ...", 'write a [keys] section of action = "key" lines')
    for action, key in value.items():
        if action not in BY_ID:
            close = nearest(action, BY_ID)
            hint = f"did you mean '{close[0]}'?" if close else "docs/app.md lists them"
            why = f"gives a key to '{visible(action, limit=60)}', which is no action"
            raise _fault(path, why, hint)
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARACTERS:
            why = f"gives {action} the key {_shown(key)}"
            raise _fault(path, why, 'write a key such as "x", "ctrl+x" or "f5", or "x,f5" for two')


def _shown(value: object) -> str:
    return visible(repr(value), limit=60)


def _fault(path: Path, why: str, remedy: str) -> UsageError:
    return UsageError(
        f"{visible(path)} {why}",
        'ascii, slow, refresh_per_second, and a [keys] section of action = "key" lines',
        remedy,
    )
