"""Beside the layers: a graphics card that is hot, slowed down or faulty."""

from __future__ import annotations

from dataclasses import dataclass

from ecotui.engine.guards.guard import Verdict
from ecotui.text import counted
from ecotui.watch_settings import WatchConfig

FAULT = "gpu_fault"
HOT = "gpu_hot"
NUM_LOOKS = 2
"""Looks running at which a slow-down must be seen: short ones are how a card keeps its limits."""
SILENT_LOOKS = 3
"""Questions running that the driver left unanswered."""


@dataclass(frozen=True, slots=True)
class CardReading:
    """What is known of the card that is trained on.

    Attributes:
        new_ecc_errors: Of its memory, not corrected, since the run began.
        celsius: Temperature; None where the driver does not tell.
        shutdown_celsius: Where the card switches itself off; None likewise.
        slowed_looks: Looks running at which its hardware had slowed it down, or its power brake.
        warm_looks: The same of a slow-down for heat alone.
        silent_looks: Questions running that the driver left unanswered.
    """

    new_ecc_errors: int = 0
    celsius: float | None = None
    shutdown_celsius: float | None = None
    slowed_looks: int = 0
    warm_looks: int = 0
    silent_looks: int = 0


def inspect(reading: CardReading, limits: WatchConfig) -> Verdict | None:
    """Judge whether the card can be relied on.

    Source of the three limits: SimpleTuner's GPU circuit breaker (10 new uncorrectable ECC
    errors, a hardware slow-down or the power brake, 5 degrees from the shutdown).
    """
    if reading.new_ecc_errors >= limits.max_ecc_errors:
        return _fault(
            f"the GPU's memory had {counted(reading.new_ecc_errors, 'error')} that could not be "
            "corrected",
            (float(reading.new_ecc_errors), float(limits.max_ecc_errors), "errors"),
            "take another card: results of this one cannot be relied on",
        )
    if reading.celsius is not None and reading.shutdown_celsius is not None:
        margin = reading.shutdown_celsius - reading.celsius
        if margin < limits.shutdown_margin_celsius:
            return _fault(
                f"the GPU is at {reading.celsius:.0f} °C, and switches itself off at "
                f"{reading.shutdown_celsius:.0f} °C",
                (margin, limits.shutdown_margin_celsius, "°C to go"),
                "see to its cooling, then ecotui continue",
            )
    if reading.slowed_looks >= NUM_LOOKS:
        return _fault(
            "the GPU's hardware has slowed it down to protect it (heat, or too little power)",
            (float(reading.slowed_looks), float(NUM_LOOKS), "looks"),
            "see to its cooling and its power supply, then ecotui continue",
        )
    if reading.silent_looks >= SILENT_LOOKS:
        return Verdict(
            1,
            FAULT,
            "warning",
            "the GPU's driver does not answer",
            float(reading.silent_looks),
            float(SILENT_LOOKS),
            "questions",
            "look at nvidia-smi and at the system's log",
            "none",
        )
    return None


def inspect_heat(reading: CardReading, limits: WatchConfig) -> Verdict | None:
    """Judge whether the card is slowed down for its temperature: it is slower, and sound."""
    del limits
    if reading.warm_looks < NUM_LOOKS:
        return None
    seen = "" if reading.celsius is None else f" at {reading.celsius:.0f} °C"
    return Verdict(
        1,
        HOT,
        "warning",
        f"the GPU is slowed down for its temperature{seen}",
        reading.celsius,
        None,
        "°C",
        "see to its cooling; the training goes on, slower",
        "none",
    )


def _fault(what: str, figures: tuple[float, float, str], advice: str) -> Verdict:
    observed, limit, unit = figures
    return Verdict(1, FAULT, "critical", what, observed, limit, unit, advice, "pause")
