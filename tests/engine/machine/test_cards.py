"""The graphics card as nvidia-smi tells of it; stand-ins answer in its place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ecotui.engine.machine import cards
from ecotui.engine.machine.cards import Card, CardGauge, card_name

GOOD = "37, 1024, 81559, 61, 210.55, 3, Not Active, Not Active, Not Active, Not Active"
MEBIBYTE = 1 << 20


def program(path: Path, body: str) -> str:
    path.write_text(f'#!/bin/sh\necho "$@" >> {path}.asked\n{body}\n')
    path.chmod(0o755)
    return str(path)


def asked(tmp_path: Path, answer: str) -> CardGauge:
    return Card("GPU-7").look(program(tmp_path / "nvidia-smi", f"cat <<'END'\n{answer}\nEND"))


def test_an_answer_is_understood(tmp_path: Path) -> None:
    gauge = asked(tmp_path, GOOD)
    assert (gauge.busy_fraction, gauge.celsius, gauge.watts) == (0.37, 61.0, 210.55)
    assert (gauge.used_bytes, gauge.total_bytes) == (1024 * MEBIBYTE, 81559 * MEBIBYTE)
    assert (gauge.bad_ecc, gauge.is_slowed, gauge.is_warm) == (3, False, False)
    assert (gauge.num_looks, gauge.num_silent) == (1, 0)
    words = (tmp_path / "nvidia-smi.asked").read_text()
    assert words.startswith("-i GPU-7 --query-gpu=utilization.gpu,")


@pytest.mark.parametrize(
    ("place", "is_slowed", "is_warm"),
    [(6, True, False), (7, True, False), (8, False, True), (9, False, True)],
)
def test_each_reason_to_be_slower_is_told_apart(
    tmp_path: Path, place: int, is_slowed: bool, is_warm: bool
) -> None:
    parts = GOOD.split(", ")
    parts[place] = "Active"
    gauge = asked(tmp_path, ", ".join(parts))
    assert (gauge.is_slowed, gauge.is_warm) == (is_slowed, is_warm)


def test_what_a_card_does_not_tell_is_unknown(tmp_path: Path) -> None:
    gauge = asked(tmp_path, ", ".join(["[N/A]"] * 10))
    assert gauge == CardGauge(num_looks=1)


@pytest.mark.parametrize(
    "body",
    [
        "exit 9",
        "echo rubbish",
        "true",
        "sleep 5",
        f"echo '{GOOD}'; exit 9",
        f"sleep 1; echo '{GOOD}'",
    ],
)
def test_silence_is_counted_and_the_last_figures_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(cards, "LIMIT_SECONDS", 0.3)
    card = Card("0")
    card.gauge = CardGauge(celsius=61.0, num_looks=4)
    silent = program(tmp_path / "nvidia-smi", body)
    for count in (1, 2):
        card.gauge = card.look(silent)
        assert (card.gauge.num_silent, card.gauge.num_looks) == (count, 4 + count)
        assert card.gauge.celsius == 61.0


def test_a_program_that_is_not_there_is_silence() -> None:
    assert Card("0").look("/no/such/program").num_silent == 1


def test_a_thread_of_its_own_asks_and_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temperatures = "    GPU Shutdown Temp                 : 92 C\n    GPU Slowdown Temp : 89 C"
    answer = f'case "$*" in *TEMPERATURE*) echo "{temperatures}";; *) echo "{GOOD}";; esac'
    program(tmp_path / "nvidia-smi", answer)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    card = Card("0", interval_seconds=0.01)
    started = time.monotonic()
    card.start()
    assert time.monotonic() - started < 0.2
    deadline = time.monotonic() + 20.0
    while (card.gauge is None or card.gauge.num_looks < 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    card.stop()
    assert card.gauge is not None
    assert card.gauge.shutdown_celsius == 92.0
    assert card.gauge.num_looks >= 2


@pytest.mark.parametrize(
    ("device", "uuid", "shown", "name"),
    [
        ("cpu", "", "", None),
        ("mps", "", "", None),
        ("cuda", "", "", "0"),
        ("cuda:3", "", "", "3"),
        (
            "cuda:0",
            "6a2d563f-0000-1111-2222-333344445555",
            "5",
            "GPU-6a2d563f-0000-1111-2222-333344445555",
        ),
        ("cuda:1", "", "4,6", "6"),
        ("cuda:0", "", "GPU-6a2d563f", "GPU-6a2d563f"),
        ("cuda:0", "--help", "; rm", "0"),
    ],
)
def test_the_card_is_named_as_the_driver_knows_it(
    monkeypatch: pytest.MonkeyPatch, device: str, uuid: str, shown: str, name: str | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert card_name(device, uuid) == name
