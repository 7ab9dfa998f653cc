"""The limits of what is watched beside the training: progress, pace, memory, disk, GPU."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecotui.settings import Fraction, Positive, Section

Factor = Annotated[float, Field(ge=1.0)]


class WatchConfig(Section):
    """Limits of what is watched beside the training: progress, pace, memory, disk, GPU."""

    enabled: bool = True
    """Watch at all; false: nothing is measured and no such alert comes."""
    pauses: bool = True
    """A critical finding saves a checkpoint and pauses the run until `ecotui continue`; false:
    it is only told."""
    interval_seconds: Annotated[float, Field(ge=5.0, le=3600.0)] = 5.0
    """Between two looks at the machine, 5 to 3600 seconds."""
    stall_seconds: Positive = 60.0
    """Without progress for so long, the stacks go to engine.log and it warns. Seconds."""
    stall_factor: Factor = 10.0
    """The same, in times what the slowest in a hundred of the last steps took; the longer holds."""
    first_stall_seconds: Positive = 1800.0
    """The same before the first step is done, when much is built and compiled. Seconds."""
    warn_memory_fraction: Fraction = 0.90
    """Share of the host's memory (or of the control group's limit) in use, above which it warns."""
    max_memory_fraction: Fraction = 0.97
    """The same, above which it is critical. 0 to 1."""
    memory_forecast_seconds: Positive = 7200.0
    """It warns where memory that grows steadily would be full within so long. Seconds."""
    warn_free_saves: Factor = 3.0
    """Room on the disk for so many checkpoints is the least without a warning."""
    min_free_saves: Factor = 1.5
    """With less room than for so many checkpoints it is critical: the next one may not fit."""
    disk_forecast_seconds: Positive = 3600.0
    """It warns where a disk that fills steadily would be full within so long. Seconds."""
    slow_pace_fraction: Fraction = 0.5
    """An epoch slower than this share of the run's own median pace warns. 0 to 1."""
    starved_fraction: Fraction = 0.5
    """Share of the time spent waiting for photos, above which it warns. 0 to 1."""
    starved_seconds: Positive = 120.0
    """Over so much training that share is taken. Seconds."""
    max_ecc_errors: Annotated[int, Field(ge=1)] = 10
    """Memory errors of the GPU that could not be corrected, since the run began, that are
    critical."""
    shutdown_margin_celsius: Positive = 5.0
    """So near to the temperature at which the GPU switches itself off it is critical. Kelvin."""
