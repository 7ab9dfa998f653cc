"""What ended a job badly, in three lines for a person."""

from __future__ import annotations

from ecotui.errors import EcoError, ExitCode
from ecotui.paths import RunDir
from ecotui.text import visible


def explained(error: Exception, run: RunDir) -> EcoError:
    """Put an exception that nobody foresaw into three lines."""
    from ecotui.engine.compute import is_out_of_memory  # noqa: PLC0415 - torch takes seconds

    said = visible(f"{type(error).__name__}: {error}", limit=300)
    if is_out_of_memory(error):
        return EcoError(
            f"memory ran out ({said})",
            "room for the model and one micro-batch",
            "lower train.micro_batch_size (the batch stays the same), or choose a smaller model",
            ExitCode.OUT_OF_MEMORY,
        )
    if isinstance(error, OSError):
        return EcoError(
            f"a file could not be read or written ({said})",
            f"room and permission in {visible(run.path)} and a readable data set",
            "free some space or mend the permissions; the whole story is in engine.log",
        )
    return EcoError(
        f"the training failed ({said})",
        "a step without an exception",
        f"the whole story is in {visible(run.log)}; if it looks like a fault of ecotui, report it",
    )
