"""What nvidia-smi tells, played by scripts: healthy, worried, stuck, in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui.engine.machine import graphics
from ecotui.engine.machine.graphics import ask_driver, check_driver, check_gpus, check_mps
from ecotui.engine.versions import Inventory

GOOD = "0, NVIDIA H100, 81559, 4, 550.54.15, 35, 0, Disabled, GPU-1"
Play = Callable[[str], None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Put a script in the place of nvidia-smi."""

    def put(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def answering(cards: str, users: str = "") -> str:
    return f"case \"$1\" in --query-gpu*) printf '{cards}\\n';; *) printf '{users}';; esac"


def built_for(cuda: str) -> Inventory:
    return Inventory("3.11.7", "/x/python", builds={"torch": {"cuda": cuda}})


def test_a_healthy_card_passes_with_its_facts(play: Play) -> None:
    play(answering(GOOD))
    told = ask_driver()
    check = check_gpus(told)
    assert (check.verdict, check.what) == ("pass", "GPU 0 NVIDIA H100 85.5 GB 35 °C")
    assert check_driver(told, built_for("12.4")).verdict == "pass"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (GOOD.replace(", 35,", ", 91,"), "GPU 0 is at 91 °C"),
        (GOOD.replace(", 0, Disabled", ", 3, Disabled"), "has had 3 memory errors"),
        (GOOD.replace(", 4,", ", 70000,"), "of GPU 0 are taken"),
        (GOOD.replace("Disabled", "Enabled"), "divided (MIG)"),
    ],
)
def test_a_card_that_may_disturb_a_run_is_warned_of(play: Play, line: str, said: str) -> None:
    play(answering(line))
    check = check_gpus(ask_driver())
    assert check.verdict == "warn"
    assert said in check.what


def test_another_process_on_a_card_is_named(play: Play) -> None:
    play(answering(GOOD, "GPU-1, 4242, /opt/other\\033[2J, 2048\\n"))
    check = check_gpus(ask_driver())
    assert check.verdict == "warn"
    assert "process 4242 /opt/other\\e[2J (2.1 GB)" in check.what


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'NVIDIA-SMI has failed because' ; exit 9", "NVIDIA-SMI has failed because"),
        ("exit 3", "status 3"),
        ("exec sleep 600", "nothing within 0.3 s"),
    ],
)
def test_a_driver_that_does_not_answer_is_a_finding(play: Play, script: str, said: str) -> None:
    play(script)
    began = time.monotonic()
    check = check_gpus(ask_driver(limit_seconds=0.3))
    assert check.verdict == "warn"
    assert said in check.what
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "rubbish", ["", "garbage", "a, b", ", ".join("x" * 9), "\\377\\000, " * 12]
)
def test_rubbish_is_no_card(play: Play, rubbish: str) -> None:
    play(answering(rubbish))
    assert check_gpus(ask_driver()).verdict == "note"


def test_what_a_card_does_not_tell_is_left_out(play: Play) -> None:
    play(answering("0, Card, [N/A], [N/A], 550.1, [N/A], [N/A], [N/A], GPU-1"))
    check = check_gpus(ask_driver())
    assert (check.verdict, check.what) == ("pass", "GPU 0 Card")


def test_no_driver_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_gpus(ask_driver()).verdict == "note"
    assert check_driver(ask_driver(), built_for("12.1")).verdict == "note"


@pytest.mark.parametrize(
    ("driver", "cuda", "verdict"),
    [
        ("525.60.13", "12.1", "pass"),
        ("525.60.12", "12.1", "warn"),
        ("575.1", "13.0", "warn"),
        ("580.65.06", "13.0", "pass"),
        ("450.80.02", "11.8", "pass"),
        ("999.1", "14.0", "note"),
        ("550.1", "", "warn"),
    ],
)
def test_the_driver_is_judged_by_the_cuda_of_torch(
    play: Play, driver: str, cuda: str, verdict: str
) -> None:
    play(answering(GOOD.replace("550.54.15", driver)))
    check = check_driver(ask_driver(), built_for(cuda))
    assert check.verdict == verdict
    assert bool(check.fix) == (cuda == "")


def test_apples_gpu_is_told_with_its_limits() -> None:
    assert "micro-batches of 2" in check_mps(has_mps=True).what
    assert check_mps(has_mps=False).verdict == "note"
    assert graphics.LIMIT_SECONDS <= 10
