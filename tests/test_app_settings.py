"""What a person has chosen for the app: flags, app.toml read strictly, the theme remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui import app_settings as module
from ecotui.app_settings import (
    THEMES,
    AppSettings,
    Flags,
    app_config,
    app_settings,
    read_app_config,
    remember_theme,
    remembered_theme,
    theme_file,
)
from ecotui.errors import UsageError


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where this person's app.toml lies."""
    monkeypatch.setattr(module, "app_config", lambda: tmp_path / "app.toml")
    monkeypatch.setattr(module, "theme_file", lambda: tmp_path / "state" / "theme")
    return tmp_path / "app.toml"


def test_without_anything_the_usual_holds(written: Path) -> None:
    assert app_settings(Flags(), {}) == AppSettings()
    assert AppSettings().frames_per_second == 10.0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flags(is_slow=True), AppSettings(is_slow=True, frames_per_second=1.0)),
        (Flags(frames_per_second=4.0), AppSettings(frames_per_second=4.0)),
        (
            Flags(is_slow=True, frames_per_second=2.0),
            AppSettings(is_slow=True, frames_per_second=2.0),
        ),
        (Flags(is_ascii=True, is_readonly=True), AppSettings(is_ascii=True, is_readonly=True)),
        (Flags(theme="contrast"), AppSettings(theme="contrast")),
    ],
)
def test_flags_hold_for_this_once(flags: Flags, expected: AppSettings, written: Path) -> None:
    assert app_settings(flags, {}) == expected


def test_the_file_holds_where_no_flag_says_otherwise(written: Path) -> None:
    written.write_text('ascii = true\nrefresh_per_second = 4\n[keys]\n"run.stop" = "x"\n')
    found = app_settings(Flags(), {})
    assert (found.is_ascii, found.frames_per_second) == (True, 4.0)
    assert found.keys == {"run.stop": "x"}
    assert app_settings(Flags(is_slow=True), {}).frames_per_second == 1.0
    assert app_settings(Flags(frames_per_second=8.0), {}).frames_per_second == 8.0


@pytest.mark.parametrize(
    ("environ", "theme"), [({}, "light"), ({"NO_COLOR": ""}, "light"), ({"NO_COLOR": "1"}, "mono")]
)
def test_no_color_means_it_unless_it_is_empty(
    environ: dict[str, str], theme: str, written: Path
) -> None:
    remember_theme("light")
    assert app_settings(Flags(), environ).theme == theme


def test_the_theme_chosen_last_is_remembered(written: Path) -> None:
    assert remembered_theme() is None
    remember_theme("contrast")
    assert app_settings(Flags(), {}).theme == "contrast"
    assert app_settings(Flags(theme="dark"), {}).theme == "dark"


@pytest.mark.parametrize("content", [b"", b"nord", b"\xff\xfe", b"\x1b[31m"])
def test_a_damaged_memory_of_the_theme_is_passed_over(content: bytes, written: Path) -> None:
    path = module.theme_file()
    path.parent.mkdir()
    path.write_bytes(content)
    assert remembered_theme() is None


def test_where_nothing_can_be_written_the_theme_holds_for_now(written: Path) -> None:
    module.theme_file().parent.write_text("a file")
    remember_theme("dark")
    assert remembered_theme() is None


@pytest.mark.parametrize(
    ("text", "words", "remedy"),
    [
        ("[keys]\n'run.stpo' = 'x'", "'run.stpo', which is no action", "run.stop"),
        ("asci = true", "'asci', which means nothing", "ascii"),
        ("zzz = 1", "'zzz', which means nothing", "it knows ascii, slow"),
        ("ascii = 1", "ascii = 1", "true or false"),
        ("slow = 'yes'", "slow = 'yes'", "true or false"),
        ("refresh_per_second = 0", "refresh_per_second = 0", "from 0.1 to 30"),
        ("refresh_per_second = nan", "refresh_per_second = nan", "from 0.1 to 30"),
        ("refresh_per_second = true", "refresh_per_second = True", "from 0.1 to 30"),
        ("keys = 3", "keys = ...", "[keys] section"),
        ("[keys]\n'run.stop' = 3", "the key 3", 'such as "x"'),
        ("[keys]\n'run.stop' = ''", "the key ''", 'such as "x"'),
        ("= nonsense", "is not TOML", "correct that line"),
        ('"\\u001b[31m" = 1', "\\e[31m", "it knows"),
    ],
)
def test_what_the_file_cannot_mean_is_refused_with_what_is_nearest(
    text: str, words: str, remedy: str, written: Path
) -> None:
    written.write_text(text)
    with pytest.raises(UsageError) as caught:
        app_settings(Flags(), {})
    assert words in caught.value.what
    assert remedy in caught.value.remedy


def test_a_file_that_is_no_text_or_no_file_is_refused(written: Path, tmp_path: Path) -> None:
    written.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not TOML"):
        read_app_config(written)
    with pytest.raises(UsageError, match="cannot be read"):
        read_app_config(tmp_path)
    written.write_bytes(b"#" * 200_000)
    with pytest.raises(UsageError, match="larger than"):
        read_app_config(written)


def test_the_places_are_the_users_own_and_the_themes_have_words() -> None:
    from ecotui.cli_options import _THEMES
    from ecotui.themes import REMARKS

    assert app_config().name == "app.toml"
    assert theme_file().name == "theme"
    assert set(REMARKS) == set(THEMES) == set(_THEMES)
