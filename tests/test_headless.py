from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from ecotui import headless, printing
from ecotui.errors import EcoError, ExitCode
from ecotui.headless import choose_style, follow
from ecotui.paths import RunDir
from ecotui.printing import Bars, Style
from ecotui.session import Session, attach

Recorded = Callable[[str], RunDir]
Launch = Callable[..., Session]
Capture = pytest.CaptureFixture[str]

ENDS = {
    "clean_run": ExitCode.DONE,
    "early_stopped": ExitCode.DONE,
    "stopped": ExitCode.RESUMABLE,
    "failed": ExitCode.ERROR,
    "engine_lost": ExitCode.ERROR,
    "torn_line": ExitCode.ERROR,
    "from_the_future": ExitCode.DONE,
}


def golden(recordings: Path, name: str, printed: str) -> str:
    """Return the text to expect; written anew where ECOTUI_REWRITE_GOLDEN is set."""
    path = recordings / f"{name}.txt"
    if os.environ.get("ECOTUI_REWRITE_GOLDEN"):
        path.write_text(printed, encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ENDS)
def test_a_recorded_run_prints_its_golden_text(
    name: str, recorded: Recorded, recordings: Path, tmp_path: Path, capsys: Capture
) -> None:
    code = follow(attach(recorded(name)), style=Style.PLAIN, owner=False)
    printed, complaints = capsys.readouterr()
    printed = printed.replace(str(tmp_path), "/place")
    assert printed == golden(recordings, name, printed)
    assert code == ENDS[name]
    assert complaints == ""


def test_json_is_the_log_itself_and_words_go_to_stderr(
    recorded: Recorded, recordings: Path, capsys: Capture
) -> None:
    follow(attach(recorded("clean_run")), style=Style.JSON, owner=False)
    printed, words = capsys.readouterr()
    assert printed.encode() == (recordings / "clean_run.jsonl").read_bytes()
    assert "training completed: all 3 epochs" in words


def test_json_ends_with_the_engine_lost_that_no_log_holds(
    recorded: Recorded, capsys: Capture
) -> None:
    code = follow(attach(recorded("engine_lost")), style=Style.JSON_QUIET, owner=False)
    printed, words = capsys.readouterr()
    assert '"kind":"engine_lost"' in printed.splitlines()[-1]
    assert "preparing" not in words
    assert "gone without a last word" in words
    assert code == ExitCode.ERROR


def test_quiet_prints_the_summary_only(recorded: Recorded, capsys: Capture) -> None:
    run = recorded("clean_run")
    follow(attach(run), style=Style.PLAIN, owner=False)
    every = capsys.readouterr().out
    follow(attach(run), style=Style.QUIET, owner=False)
    summary = capsys.readouterr().out
    assert summary.startswith("training completed")
    assert every.endswith(summary)


def test_plain_lines_come_at_most_every_half_minute_of_the_run(
    recorded: Recorded, capsys: Capture
) -> None:
    follow(attach(recorded("engine_lost")), style=Style.PLAIN, owner=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if " step " in line]
    assert len(lines) <= 1


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("width", [80, 120])
def test_bars_fit_the_terminal_and_end_with_the_same_summary(
    name: str, width: int, recorded: Recorded, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(name)
    follow(attach(run), style=Style.QUIET, owner=False)
    summary = capsys.readouterr().out
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=width, markup=False, highlight=False, emoji=False
    )
    monkeypatch.setattr(headless, "choose_printer", lambda *_: Bars(console))
    follow(attach(run), style=Style.BARS, owner=False)
    assert out.getvalue().endswith(summary)


def test_the_bars_show_epoch_step_pace_and_stage(recorded: Recorded) -> None:
    from functools import reduce

    from ecotui.events import StageAdvanced
    from ecotui.state import RunState, fold

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    bars = Bars(console)
    events = [event for _, event in attach(recorded("clean_run")).read()]
    first = next(i for i, event in enumerate(events) if isinstance(event, StageAdvanced))
    bars.tick(reduce(fold, events[: first + 1], RunState()))
    bars.close()
    drawn = out.getvalue()
    assert "Epoch 1/3" in drawn
    assert "loss 1.0465" in drawn
    assert "step 24/24" in drawn
    assert "85 images/s" in drawn
    assert "left" in drawn
    assert "validate" in drawn
    assert "64/120 images" in drawn
    frames = [line for line in drawn.replace("\r", "\n").splitlines() if "Epoch" in line]
    assert all(len(line) <= 90 for line in frames)


def test_text_from_outside_reaches_no_terminal_raw(tmp_path: Path) -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=False, width=80, markup=False))
    bars.say("class [/] \x1b[31m and :smile: [bold]")
    bars.close()
    assert "class [/] \\e[31m and :smile: [bold]" in out.getvalue()


def test_the_style_follows_from_flags_and_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_style(json=True, quiet=False) is Style.JSON
    assert choose_style(json=True, quiet=True) is Style.JSON_QUIET
    assert choose_style(json=False, quiet=True) is Style.QUIET
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert choose_style(json=False, quiet=False) is Style.BARS
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert choose_style(json=False, quiet=False) is Style.PLAIN


def test_a_terminal_without_unicode_gets_question_marks_and_no_traceback() -> None:
    raw = io.BytesIO()
    ascii_only = io.TextIOWrapper(raw, encoding="ascii")
    printing.Plain(printing.guarded(ascii_only)).say("café")
    assert raw.getvalue() == b"caf?\n"


def test_a_directory_that_will_go_is_not_mentioned(stand_in: Launch, capsys: Capture) -> None:
    engine = stand_in("discards")
    with pytest.raises(EcoError, match="there is no folder /nowhere") as caught:
        follow(engine, style=Style.PLAIN, owner=True)
    assert caught.value.exit_code == ExitCode.USAGE
    assert engine.run.run_id not in capsys.readouterr().out
    assert follow(attach(engine.run), style=Style.QUIET, owner=False) == ExitCode.USAGE
    assert capsys.readouterr().out.splitlines() == [
        *caught.value.lines(),
        *caught.value.more,
    ]
    assert caught.value.more == ()


def test_watching_in_silence_ends_at_the_event_asked_for(stand_in: Launch) -> None:
    from ecotui.events import RunStarted

    engine = stand_in("trains")
    state = headless.watch(engine, until=RunStarted)
    assert state.phase == "running"
    assert not engine.ended


def test_signal_handlers_are_put_back(recorded: Recorded) -> None:
    import signal

    kinds: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in kinds]
    follow(attach(recorded("clean_run")), style=Style.QUIET, owner=False)
    assert [signal.getsignal(each) for each in kinds] == before
