"""What a scheduler is asked for: to run this job again. Only on request."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

from ecotui.endings import RunStopped
from ecotui.errors import EcoError, UsageError
from ecotui.text import visible

JOB_VARIABLE = "SLURM_JOB_ID"
ANSWER_SECONDS = 60.0
_JOB = re.compile(r"\d{1,12}([_+]\d{1,12})?")
_SENT = re.compile(r"(received )?(SIGTERM|SIGUSR1)")


def job_id(environment: Mapping[str, str] = os.environ) -> str:
    """Return the job that this process runs in.

    Raises:
        UsageError: It runs in none.
    """
    told = environment.get(JOB_VARIABLE, "")
    if not _JOB.fullmatch(told):
        raise UsageError(
            f"--requeue needs a SLURM job, and {JOB_VARIABLE} is {visible(repr(told), limit=40)}",
            "a command in a script that sbatch runs",
            "leave --requeue out; without it nothing is ever queued again",
        )
    return told


def is_worth_requeuing(ending: object) -> bool:
    """Say whether a run was cut off by its time or its scheduler, with a checkpoint to go on from.

    One that a person stopped (`ecotui stop`, a key) is not.
    """
    return (
        isinstance(ending, RunStopped)
        and ending.checkpoint is not None
        and (ending.reason == "time_limit" or _SENT.fullmatch(ending.reason) is not None)
    )


def requeue(job: str) -> str:
    """Have SLURM queue a job again, and return what was done, in words.

    Raises:
        EcoError: SLURM refuses, or cannot be asked.
    """
    command = ["scontrol", "requeue", job]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
        said = f"{done.stderr.strip() or done.stdout.strip() or f'status {done.returncode}'}"
        if done.returncode == 0:
            return f"job {job} is queued again ({' '.join(command)})"
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    raise EcoError(
        f"job {job} could not be queued again: {visible(said, limit=300)}",
        f"that {' '.join(command)} works here, and that the job may be requeued",
        "submit it again by hand; the run goes on from its checkpoint with ecotui resume",
    )
