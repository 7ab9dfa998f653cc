"""Hostile strings on every screen, on a real terminal whose bytes are looked through."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest

from ecotui.stream import decode
from ecotui.text import visible
from tests.terminal import Terminal
from tests.terminal.hostile import HOSTILE, fill, fill_raw, offences

HERE = Path(__file__).parent
RECORDING = HERE.parent / "recordings" / "full_run.jsonl"
UP, DOWN, TAB, ESCAPE, ENTER = b"\x1b[5~", b"\x1b[B", b"\t", b"\x1b", b"\r"
KEYS = (
    *(b"1", UP, UP, UP, b"2", UP, UP, UP, b"3", b"\t", b"z", UP, UP, UP, UP, b"z"),
    *(b"C", b"A", b"g", *(b"j",) * 6, ENTER, ESCAPE, b"K", b"L", b"L", b"M", b"H", UP, UP, b"O"),
    *(b"4", b"\t", UP, UP, b"3", b"?", ESCAPE, b":", ESCAPE, b"m", ESCAPE),
)
"""Every screen of the run and every tab, alerts one by one and one opened, panels scrolled, zoom,
help, palette and a dialog that lists names."""


def test_there_are_forty_of_them() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) == 40


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"\x1b[31;1mtext\x1b[0m\x1b[3;4H", []),
        (b"\x1b[?2026$p\x1b[?2026h\x1b[?25l", []),
        (b"\x1b]0;title\x07", [b"\x1b]0;title\x07"]),
        (b"\x1b]52;c;cHduZWQ=\x1b\\", [b"\x1b]52;c;cHduZWQ=\x1b\\"]),
        (b"\x1b]52;c;cut off", [b"\x1b]52;c;cut off"]),
        (b"\x1bP+q544e\x1b\\", [b"\x1bP+q544e\x1b\\"]),
        (b"\x1bc", [b"\x1bc"]),
        (b"\x1b[c", [b"\x1b[c"]),
        (b"a\x07b", [b"\x07"]),
        ("\x9b31m".encode(), ["\x9b".encode()]),
        ("日本語 ✓".encode(), []),
    ],
)
def test_the_look_at_the_stream_sees_what_it_should(stream: bytes, found: list[bytes]) -> None:
    assert offences(stream) == found


@pytest.mark.parametrize(("honest", "flags"), [(True, ("--ascii", "--mono")), (False, ())])
def test_no_string_from_outside_reaches_the_terminal_as_anything_but_text(
    honest: bool, flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = [event for line in RECORDING.read_bytes().splitlines() if (event := decode(line))]
    hostile = fill(events) if honest else fill_raw(events)
    log = tmp_path / "events.jsonl"
    log.write_text("".join(event.model_dump_json() + "\n" for event in hostile))
    screen = Terminal(sys.executable, str(HERE / "app_on_recording.py"), str(log), *flags)
    screen.wait_for(b"Training")
    for key in KEYS:
        screen.press(key)
        # After Esc alone, longer: with what follows it could be another key.
        screen.settle(0.6 if key == ESCAPE else 0.25)
    screen.press(b"q")
    assert screen.left_with() == 0
    assert offences(screen.drawn) == []
    # That nothing came through would be no feat if nothing had been shown.
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.drawn.decode())
    seen = [each for each in HOSTILE if visible(each)[:6] in shown]
    assert len(seen) >= 20, f"only {len(seen)} of the strings were to be seen"


def test_hostile_names_of_runs_and_folders_are_harmless_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "\x1b]0;pwned\x07[@click=app.quit]"
    run = place / "runs" / "digits-20260101-000000-abcd"
    run.mkdir(parents=True)
    (run / "config.toml").write_text("")
    (run / "job.json").write_text(json.dumps({"kind": "train"}))
    events = [event for line in RECORDING.read_bytes().splitlines() if (event := decode(line))]
    (run / "events.jsonl").write_text(
        "".join(event.model_dump_json() + "\n" for event in fill_raw(events))
    )
    monkeypatch.chdir(place)
    screen = Terminal(sys.executable, str(HERE / "app_on_recording.py"), str(RECORDING), "--home")
    screen.wait_for(b"abcd")
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        screen.read()
    screen.press(b"q")
    assert screen.left_with() == 0
    assert offences(screen.drawn) == []


HOME_KEYS = (
    *(TAB, b" ", DOWN, b" ", b"c", b"f", UP, ESCAPE),
    *(b"e", b"/", b"root", ENTER, UP, ESCAPE, ESCAPE, b"d", ESCAPE),
    *(b"n", TAB, TAB, ENTER, ESCAPE, ESCAPE, ESCAPE),
    *(b"\x1b[Z", DOWN, DOWN, DOWN, DOWN, DOWN, b"e", UP, ESCAPE, ESCAPE, b":", ESCAPE),
)
"""Two runs compared, a run's settings looked at and searched, the question before a removal, the
chooser of a folder, the configs, palette and help."""


def test_hostile_names_are_harmless_on_every_screen_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "\x1b]0;pwned\x07[@click=app.quit]\x1b[31m\u202e"
    monkeypatch.chdir(tmp_path)
    events = [event for line in RECORDING.read_bytes().splitlines() if (event := decode(line))]
    root = json.dumps(f"/photos/{evil}")
    for number in (0, 1):
        run = tmp_path / "runs" / f"digits-20260101-00000{number}-abc{number}"
        run.mkdir(parents=True)
        (run / "config.toml").write_text(f"[data]\nroot = {root}\n[train]\nepochs = {number + 2}\n")
        (run / "resolved.toml").write_bytes((run / "config.toml").read_bytes())
        (run / "job.json").write_text(json.dumps({"kind": "train"}))
        raw = "".join(event.model_dump_json() + "\n" for event in fill_raw(events))
        (run / "events.jsonl").write_text(raw)
    (tmp_path / f"conf{evil}.toml").write_text(f"[data]\nroot = {root}\n")
    for number in range(3):
        (tmp_path / f"photos{number}{evil}").mkdir()
        folder = tmp_path / "photos" / f"class{number}{evil}"
        folder.mkdir(parents=True)
        (folder / f"{evil}.jpg").write_bytes(b"no photo")
    screen = Terminal(sys.executable, str(HERE / "app_on_recording.py"), str(RECORDING), "--home")
    screen.wait_for(b"abc1")
    shown = ""
    for key in HOME_KEYS:
        screen.press(key)
        screen.settle(0.6 if key == ESCAPE else 0.25)
        shown += str(screen.picture)
    screen.press(b"q")
    assert screen.left_with() == 0
    assert offences(screen.drawn) == []
    for words in ("/photos/\\e]0", "conf\\e]0", "class0\\e]0", "Start training"):
        assert words in shown, words


def test_the_environment_can_not_speak_through_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORTERM", "\x1b]0;x\x07")
    assert os.environ["COLORTERM"]
    screen = Terminal(sys.executable, str(HERE / "app_on_recording.py"), str(RECORDING))
    screen.wait_for(b"Training")
    screen.press(b"q")
    assert screen.left_with() == 0
    assert offences(screen.drawn) == []
