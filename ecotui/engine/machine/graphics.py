"""GPUs as the driver tells of them, without any library that could hang or crash."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from ecotui.engine.verdicts import noted, passed, warned
from ecotui.engine.versions import Inventory, release_of
from ecotui.findings import CheckReported
from ecotui.text import bytes_size, counted, listed, visible

LIMIT_SECONDS = 5.0
"""For nvidia-smi; a driver that is stuck never answers."""
HOT_CELSIUS = 87
"""Most cards slow themselves down between 83 and 95."""
LOWEST_DRIVER = {11: (450, 80, 2), 12: (525, 60, 13), 13: (580,)}
"""By CUDA's major number. Source: NVIDIA, CUDA Compatibility, Minor Version Compatibility."""

_FIELDS = (
    *("index", "name", "memory.total", "memory.used", "driver_version", "temperature.gpu"),
    *("ecc.errors.uncorrected.volatile.total", "mig.mode.current", "uuid"),
)
_PROCESSES = ("gpu_uuid", "pid", "process_name", "used_memory")
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU; None where the driver does not tell.

    Attributes:
        index: From 0.
        total_bytes: Memory.
        used_bytes: Of it, by anybody.
        celsius: Temperature.
        bad_ecc: Uncorrected errors of the memory since the driver was loaded.
        has_mig: It is divided into instances.
    """

    index: int
    name: str
    total_bytes: int | None
    used_bytes: int | None
    driver: str
    celsius: int | None
    bad_ecc: int | None
    has_mig: bool
    uuid: str


@dataclass(frozen=True, slots=True)
class Graphics:
    """What nvidia-smi told.

    Attributes:
        cards: In order.
        others: Processes on the cards, in words.
        fault: Why it told nothing; empty where it did, or where there is none.
        is_there: nvidia-smi is installed.
    """

    cards: tuple[Card, ...] = ()
    others: tuple[str, ...] = ()
    fault: str = ""
    is_there: bool = False


def ask_driver(*, limit_seconds: float = LIMIT_SECONDS) -> Graphics:
    """Ask nvidia-smi for the cards and for who uses them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Graphics()
    try:
        told = _asked(program, f"--query-gpu={','.join(_FIELDS)}", limit_seconds)
    except _NoAnswerError as error:
        return Graphics(fault=str(error), is_there=True)
    cards = tuple(card for line in told if (card := _card(line)) is not None)
    try:
        users = _asked(program, f"--query-compute-apps={','.join(_PROCESSES)}", limit_seconds)
    except _NoAnswerError:
        users = []
    return Graphics(cards, tuple(_user(line) for line in users[:20]), is_there=True)


def check_gpus(graphics: Graphics) -> CheckReported:
    """Judge the state of the cards: memory in use, errors, temperature, division."""
    if graphics.fault:
        return warned(
            "gpus",
            f"nvidia-smi does not answer: {graphics.fault}",
            f"an answer within {LIMIT_SECONDS:g} s",
            "load the driver again or restart the machine; until then --set compute.device=cpu",
        )
    if not graphics.cards:
        return noted("gpus", "no NVIDIA GPU here")
    told = listed(_card_words(card) for card in graphics.cards)
    worries = [worry for card in graphics.cards for worry in _worries(card)]
    if graphics.others:
        worries.append(f"in use by {listed(graphics.others)}")
    if not worries:
        return passed("gpus", told)
    return warned(
        "gpus",
        f"{told}: {listed(worries)}",
        "cards that are whole, cool and free",
        "look at nvidia-smi; take another card with CUDA_VISIBLE_DEVICES or compute.device",
    )


def check_driver(graphics: Graphics, inventory: Inventory) -> CheckReported:
    """Judge the driver against the CUDA release that torch was built with."""
    cuda = inventory.builds.get("torch", {}).get("cuda", "")
    if not graphics.cards:
        built = f"torch is built for CUDA {cuda}; " if cuda else ""
        return noted("driver", f"{built}no NVIDIA driver in use here")
    driver = graphics.cards[0].driver
    if not cuda:
        return warned(
            "driver",
            f"there is {counted(len(graphics.cards), 'NVIDIA GPU')}, but this torch is built "
            "for the CPU",
            "a torch built for CUDA",
            inventory.pip_install("--force-reinstall", "torch", "torchvision"),
        )
    lowest = LOWEST_DRIVER.get(release_of(cuda)[0] if release_of(cuda) else 0)
    seen = f"driver {driver} with a torch built for CUDA {cuda}"
    if lowest is None:
        return noted("driver", f"{seen}: no limit is known here")
    if release_of(driver) >= lowest:
        return passed("driver", seen)
    return warned(
        "driver",
        seen,
        f"driver {'.'.join(str(part) for part in lowest)} or later",
        "update the driver, or train on the CPU: --set compute.device=cpu",
    )


def check_mps(*, has_mps: bool) -> CheckReported:
    """Say what holds on Apple's GPU.

    Source:
        Batches of 2 and no gradient checkpointing: limits found by training on MPS for hours.
        `non_blocking`: pytorch/pytorch issue 139550, copies that read what is not there yet.
    """
    if not has_mps:
        where = "PyTorch cannot use it" if sys.platform == "darwin" else "no Apple GPU here"
        return noted("mps", where)
    return noted(
        "mps",
        "Apple's GPU: micro-batches of 2, no gradient checkpointing and no overlapping copies "
        "are used, since more proved unstable",
    )


class _NoAnswerError(Exception):
    """The program did not answer in time, or not well."""


def _asked(program: str, question: str, limit_seconds: float) -> list[str]:
    try:
        done = subprocess.run(
            [program, question, "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _NoAnswerError(f"nothing within {limit_seconds:g} s") from None
    except OSError as error:
        raise _NoAnswerError(visible(error, limit=200)) from None
    text = done.stdout[:65_536].decode("utf-8", "replace")
    if done.returncode != 0:
        said = text.strip() or done.stderr[:2_000].decode("utf-8", "replace").strip()
        raise _NoAnswerError(visible(said, limit=200) or f"status {done.returncode}")
    return text.splitlines()


def _card(line: str) -> Card | None:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) < len(_FIELDS) or not parts[0].isdecimal():
        return None
    index, name, total, used, driver, celsius, ecc, mig, uuid = parts[: len(_FIELDS)]
    return Card(
        int(index),
        visible(name, limit=80),
        _bytes(total),
        _bytes(used),
        visible(driver, limit=30),
        _whole(celsius),
        _whole(ecc),
        mig == "Enabled",
        visible(uuid, limit=60),
    )


def _whole(text: str) -> int | None:
    match = re.fullmatch(r"\d{1,12}", text)
    return int(text) if match else None


def _bytes(text: str) -> int | None:
    number = _whole(text)
    return None if number is None else number * _MEBIBYTE


def _user(line: str) -> str:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) < len(_PROCESSES):
        return visible(line, limit=80)
    held = _bytes(parts[3])
    size = "" if held is None else f" ({bytes_size(held)})"
    return f"process {visible(parts[1], limit=20)} {visible(parts[2], limit=60)}{size}"


def _card_words(card: Card) -> str:
    size = "" if card.total_bytes is None else f" {bytes_size(card.total_bytes)}"
    heat = "" if card.celsius is None else f" {card.celsius} °C"
    return f"GPU {card.index} {card.name}{size}{heat}"


def _worries(card: Card) -> list[str]:
    found = []
    if card.bad_ecc:
        found.append(f"GPU {card.index} has had {counted(card.bad_ecc, 'memory error')}")
    if card.celsius is not None and card.celsius >= HOT_CELSIUS:
        found.append(f"GPU {card.index} is at {card.celsius} °C")
    if card.total_bytes and card.used_bytes is not None and card.used_bytes > card.total_bytes / 2:
        found.append(f"{bytes_size(card.used_bytes)} of GPU {card.index} are taken")
    if card.has_mig:
        found.append(f"GPU {card.index} is divided (MIG): torch sees one instance of it")
    return found
