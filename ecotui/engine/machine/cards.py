"""The graphics card that is trained on, asked seldom and aside from everything else.

The driver is asked through nvidia-smi in a process of its own: a driver that hangs then
holds up a thread that nobody waits for, and never a step.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass, replace

from ecotui.text import visible

INTERVAL_SECONDS = 15.0
LIMIT_SECONDS = 10.0
"""For one answer; a driver that is stuck never gives one."""
_FIELDS = (
    *("utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw"),
    "ecc.errors.uncorrected.volatile.total",
    "clocks_throttle_reasons.hw_slowdown",
    "clocks_throttle_reasons.hw_power_brake_slowdown",
    "clocks_throttle_reasons.hw_thermal_slowdown",
    "clocks_throttle_reasons.sw_thermal_slowdown",
)
"""Source: nvidia-smi --help-query-gpu; the reasons have new names, and keep these."""
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class CardGauge:
    """What a card's driver told; None where it does not.

    Attributes:
        busy_fraction: Share of the time in which it computes, 0 to 1.
        used_bytes: Memory in use, by anybody.
        total_bytes: Memory.
        celsius: Temperature.
        shutdown_celsius: Where it switches itself off.
        watts: Power that it draws.
        bad_ecc: Errors of its memory since the driver was loaded, not corrected.
        is_slowed: Its hardware or its power brake slows it down.
        is_warm: It is slowed down for its temperature.
        num_silent: Questions running that were left unanswered, this one included.
        num_looks: Questions so far.
    """

    busy_fraction: float | None = None
    used_bytes: int | None = None
    total_bytes: int | None = None
    celsius: float | None = None
    shutdown_celsius: float | None = None
    watts: float | None = None
    bad_ecc: int | None = None
    is_slowed: bool = False
    is_warm: bool = False
    num_silent: int = 0
    num_looks: int = 0


class Card:
    """One card, looked at by a thread of its own.

    Args:
        name: How nvidia-smi knows it: its index or its UUID.
        interval_seconds: Between two questions.
    """

    def __init__(self, name: str, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._name = name
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()
        self._shutdown_celsius: float | None = None
        self.gauge: CardGauge | None = None
        """As of the last question; None before the first answer or silence."""

    def start(self) -> None:
        """Begin to look, where there is an nvidia-smi."""
        program = shutil.which("nvidia-smi")
        if program is not None:
            work = threading.Thread(target=self._run, args=(program,), name="card", daemon=True)
            work.start()

    def stop(self) -> None:
        """Look no more; a question on its way is not waited for."""
        self._stopped.set()

    def look(self, program: str) -> CardGauge:
        """Ask once, which blocks for as long as the driver takes."""
        before = self.gauge or CardGauge()
        count = before.num_looks + 1
        asked = ("-i", self._name, f"--query-gpu={','.join(_FIELDS)}")
        told = _asked(program, *asked, "--format=csv,noheader,nounits")
        gauge = None if told is None else _read(told)
        if gauge is None:
            return replace(before, num_silent=before.num_silent + 1, num_looks=count)
        return replace(gauge, shutdown_celsius=self._shutdown_celsius, num_looks=count)

    def _run(self, program: str) -> None:
        self._shutdown_celsius = _shutdown_celsius(program, self._name)
        while not self._stopped.is_set():
            self.gauge = self.look(program)
            self._stopped.wait(self._interval_seconds)


def card_name(device: str, uuid: str = "") -> str | None:
    """Return how nvidia-smi knows a device of PyTorch; None where it is no NVIDIA card.

    Args:
        device: `cuda:0` and the like.
        uuid: As PyTorch tells it, without `GPU-`; empty where it does not.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return None
    if re.fullmatch(r"[0-9a-fA-F-]{36}", uuid):
        return f"GPU-{uuid}"
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    place = int(index or 0)
    named = shown[place].strip() if place < len(shown) else ""
    return named if re.fullmatch(r"(GPU-)?[0-9a-fA-F-]+", named) else str(place)


def _asked(program: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout[:65_536].decode("utf-8", "replace") if done.returncode == 0 else None


def _read(told: str) -> CardGauge | None:
    lines = told.splitlines()
    parts = [part.strip() for part in lines[0].split(",")] if lines else []
    if len(parts) != len(_FIELDS):
        return None
    busy, used, total, celsius, watts, ecc, slowdown, brake, heat, warm = parts
    share, bad_ecc = _number(busy), _number(ecc)
    return CardGauge(
        busy_fraction=None if share is None else share / 100,
        used_bytes=_bytes(used),
        total_bytes=_bytes(total),
        celsius=_number(celsius),
        watts=_number(watts),
        bad_ecc=None if bad_ecc is None else int(bad_ecc),
        is_slowed=_is_on(brake) or _is_on(slowdown),
        is_warm=_is_on(heat) or _is_on(warm),
    )


def _shutdown_celsius(program: str, name: str) -> float | None:
    """Return where the card switches itself off; None where it only tells a distance."""
    told = _asked(program, "-i", name, "-q", "-d", "TEMPERATURE") or ""
    match = re.search(r"GPU Shutdown Temp\s*:\s*(\d{1,3}) C", visible(told, limit=20_000))
    return float(match.group(1)) if match else None


def _is_on(text: str) -> bool:
    return text == "Active"


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text) else None


def _bytes(text: str) -> int | None:
    mebibytes = _number(text)
    return None if mebibytes is None else int(mebibytes * _MEBIBYTE)
