"""The colours of the app: six themes, and which look goes with each."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

from ecotui.widgets.look import Colours

_MONO = "ansi_default"
_MONO_VARIABLES = {
    **BUILTIN_THEMES["ansi-dark"].variables,
    "block-cursor-blurred-text-style": "underline",
    "footer-key-foreground": _MONO,
}
"""What has a background of its own, such as the cursor, is reversed by the filter `NoColours`."""

REGISTERED = (
    Theme(
        name="dark",
        primary="#88C0D0",
        secondary="#81A1C1",
        accent="#B48EAD",
        foreground="#D8DEE9",
        background="#2E3440",
        success="#A3BE8C",
        warning="#EBCB8B",
        error="#E08A92",
        surface="#3B4252",
        panel="#434C5E",
        variables={"footer-key-foreground": "#88C0D0"},
    ),
    Theme(
        name="light",
        primary="#1F5FA8",
        secondary="#5A6B7D",
        accent="#8A3FA0",
        foreground="#1E2430",
        background="#FBFBFD",
        success="#1F7A3A",
        warning="#8A5A00",
        error="#B3202C",
        surface="#F0F2F6",
        panel="#E3E7EE",
        dark=False,
    ),
    Theme(
        name="contrast",
        primary="#66D9FF",
        secondary="#FFFFFF",
        accent="#FFFF00",
        foreground="#FFFFFF",
        background="#000000",
        success="#5CFF5C",
        warning="#FFD500",
        error="#FF8080",
        surface="#000000",
        panel="#1A1A1A",
        variables={
            "block-cursor-foreground": "#000000",
            "block-cursor-background": "#FFFF00",
            "foreground-muted": "#E0E0E0",
            "primary-muted": "#FFFFFF",
            "text-primary": "#66D9FF",
            "text-success": "#5CFF5C",
            "text-warning": "#FFD500",
            "text-error": "#FF8080",
            "footer-key-foreground": "#FFFF00",
        },
    ),
    Theme(
        name="mono",
        ansi=True,
        primary=_MONO,
        secondary=_MONO,
        warning=_MONO,
        error=_MONO,
        success=_MONO,
        accent=_MONO,
        foreground=_MONO,
        background=_MONO,
        surface=_MONO,
        panel=_MONO,
        boost=_MONO,
        variables=_MONO_VARIABLES,
    ),
)
"""Those of our own; `ansi-dark` and `ansi-light` come with Textual."""

BY_NAME = {**BUILTIN_THEMES, **{theme.name: theme for theme in REGISTERED}}

REMARKS = {
    "dark": "soft colours on dark blue",
    "light": "dark on white",
    "contrast": "white and strong colours on black",
    "mono": "no colour at all: bold, underlined and reversed text",
    "ansi-dark": "the terminal's own sixteen colours, on dark",
    "ansi-light": "the terminal's own sixteen colours, on light",
}


def colours_of(theme: str) -> Colours:
    """Return how many colours a theme uses."""
    if theme == "mono":
        return "none"
    return "sixteen" if theme.startswith("ansi") else "full"
