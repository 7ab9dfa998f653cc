"""`ecotui quarantine`: which samples a run has set aside and why, and how they come back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from ecotui import disk, lock
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.paths import choose_runs_dir, find_run
from ecotui.text import counted, listed, nearest, visible


@dataclass(frozen=True, slots=True)
class SetAside:
    """A sample that a run has set aside.

    Attributes:
        path: Relative to the data root, as the run tells it.
        reason: Why.
        is_kept_out: Whether it stays out even where its file can be read again.
    """

    path: str
    reason: str
    is_kept_out: bool


def quarantine(reference: str, runs_dir: str | None, back: tuple[str, ...]) -> int:
    """List the samples that a run has set aside, or bring some back for its next attempt.

    Args:
        reference: The run.
        runs_dir: Where runs lie, if not in the usual place.
        back: Files to bring back, as the list names them; none lists them.

    Raises:
        UsageError: There is no such run, or a file is not set aside.
        EcoError: The list cannot be written.
    """
    found = find_run(reference, choose_runs_dir(runs_dir))
    aside = read_quarantine(found.quarantine)
    if not back:
        for each in aside.values():
            mark = "kept out" if each.is_kept_out else "set aside"
            click.echo(f"{each.path}  {mark}: {each.reason}")
        click.echo(f"{counted(len(aside), 'sample')} of {found.run_id} set aside")
        return ExitCode.DONE
    for name in back:
        if name not in aside:
            close = nearest(name, aside)
            raise UsageError(
                f"{visible(name, limit=200)} is not set aside in {found.run_id}",
                "a file that ecotui quarantine RUN lists",
                f"did you mean {listed(close)}?" if close else "see ecotui quarantine RUN",
            )
    try:
        for name in back:
            line = json.dumps({"path": name, "returned": True})
            disk.append_line(found.quarantine, f"{line}\n".encode())
    except OSError as error:
        raise EcoError(
            f"{visible(found.quarantine)} cannot be written: {visible(error.strerror or error)}",
            "a run directory that can be written",
            "free some space or mend the permissions",
        ) from None
    when = "when it is resumed" if not lock.is_held(found.lock) else "in its next attempt"
    click.echo(f"{found.run_id}: {counted(len(back), 'sample')} will be used again {when}")
    return ExitCode.DONE


def read_quarantine(path: Path) -> dict[str, SetAside]:
    """Return the samples that are set aside, by their path; lines of others are passed over."""
    aside: dict[str, SetAside] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            record = json.loads(line)
            name = visible(record["path"])
            if record.get("returned") is True:
                aside.pop(name, None)
            else:
                reason, is_kept_out = visible(record["reason"]), record.get("kept_out") is True
                aside[name] = SetAside(name, reason, is_kept_out)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return aside
