"""Room, speed and kind of the file systems where runs and caches lie."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from ecotui.durable import sync_file
from ecotui.engine.verdicts import failed, noted, passed, warned
from ecotui.findings import CheckReported
from ecotui.text import bytes_size, duration, visible

LOW_DISK_BYTES = 5_000_000_000
"""Below it a warning: the checkpoints of a base-sized model with its optimizer take 2 GB."""
NO_DISK_BYTES = 200_000_000
"""Below it a failure: not even one checkpoint of a small model has room."""
SLOW_BYTES_PER_SECOND = 20e6
"""Below it a warning: a checkpoint of 350 MB (a ViT-B with its average) then takes 17 s."""
MEASURED_BYTES = 16_000_000
MEASURE_SECONDS = 0.5
"""Writing stops after that, with what was written by then."""
SKEW_SECONDS = 10.0
"""Between this machine's clock and the file system's: beyond it times of files mislead."""

MOUNTS = Path("/proc/self/mounts")
_NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p"),
    *("glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"),
}


def check_disk(runs_path: Path) -> CheckReported:
    """Judge the room where the runs lie, and whether it can be written to."""
    place = existing(runs_path)
    remedy = "free some space there, or put the runs elsewhere: --runs-dir FOLDER"
    try:
        free_bytes = shutil.disk_usage(place).free
        _write_something(place)
    except OSError as error:
        return failed(
            "disk",
            f"{visible(runs_path)} cannot be written to: {visible(error.strerror)}",
            "a folder that this user may write to, on a disk with room",
            "check its permissions, or put the runs elsewhere: --runs-dir FOLDER",
        )
    seen = f"{bytes_size(free_bytes)} free where the runs lie ({visible(runs_path)})"
    if free_bytes < NO_DISK_BYTES:
        return failed("disk", seen, f"at least {bytes_size(NO_DISK_BYTES)}", remedy)
    if free_bytes < LOW_DISK_BYTES:
        return warned("disk", seen, f"{bytes_size(LOW_DISK_BYTES)}", remedy)
    return passed("disk", seen)


def check_disk_speed(runs_path: Path) -> CheckReported:
    """Measure how fast files are written and flushed where the runs lie."""
    try:
        num_bytes, seconds = measure_writing(existing(runs_path))
    except OSError as error:
        return noted("disk_speed", f"cannot be measured: {visible(error.strerror)}")
    speed = num_bytes / max(seconds, 1e-6)
    seen = f"{bytes_size(speed)}/s written and flushed where the runs lie"
    if speed < SLOW_BYTES_PER_SECOND:
        return warned(
            "disk_speed",
            seen,
            f"{bytes_size(SLOW_BYTES_PER_SECOND)}/s",
            "put the runs on a local disk: --runs-dir FOLDER",
        )
    return passed("disk_speed", seen)


def measure_writing(folder: Path) -> tuple[int, float]:
    """Write for a short time and flush; return the bytes and the seconds.

    Raises:
        OSError: It cannot be written there.
    """
    block = os.urandom(1_000_000)
    written, started = 0, time.monotonic()
    with tempfile.NamedTemporaryFile(prefix=".ecotui-", dir=folder, buffering=0) as file:
        while written < MEASURED_BYTES and time.monotonic() - started < MEASURE_SECONDS:
            written += file.write(block)
        sync_file(file.fileno())
    return written, time.monotonic() - started


def check_network_file_system(runs_path: Path, cache_path: Path) -> CheckReported:
    """Say whether runs or caches lie on a file system of another machine."""
    kinds = {"the runs lie": runs_path, "the cache lies": cache_path}
    remote = {
        words: kind for words, path in kinds.items() if (kind := file_system_of(path)) in _NETWORK
    }
    if "the runs lie" in remote:
        return warned(
            "network_file_system",
            f"the runs lie on a network file system ({visible(remote['the runs lie'])})",
            "a local disk for the runs",
            "put the runs on a local disk: --runs-dir FOLDER",
        )
    if remote:
        kind = visible(next(iter(remote.values())))
        return noted("network_file_system", f"the cache lies on a network file system ({kind})")
    if file_system_of(runs_path) is None:
        return noted("network_file_system", "this system does not tell its file systems")
    return passed("network_file_system", "runs and cache lie on local file systems")


def file_system_of(path: Path) -> str | None:
    """Return the kind of the file system that a path lies on; None where nobody tells."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.realpath(existing(path))
    best, kind = "", None
    for line in lines:
        parts = line.split()
        if len(parts) < 3:
            continue
        mounted = parts[1].replace("\\040", " ")
        is_above = place == mounted or place.startswith(mounted.rstrip("/") + "/")
        if is_above and len(mounted) >= len(best):
            best, kind = mounted, parts[2]
    return kind


def check_clock(runs_path: Path) -> CheckReported:
    """Judge the clock by its year, and against that of the file system."""
    now = time.time()
    year = time.gmtime(now).tm_year
    advice = "set the clock: timedatectl set-ntp true"
    if not 2024 <= year <= 2100:
        return warned("clock", f"the clock says the year {year}", "the present year", advice)
    try:
        with tempfile.NamedTemporaryFile(prefix=".ecotui-", dir=existing(runs_path)) as file:
            os.write(file.fileno(), b"x")
            skew = os.fstat(file.fileno()).st_mtime - now
    except OSError:
        return passed(
            "clock", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now))} (UTC)"
        )
    if abs(skew) > SKEW_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        return warned(
            "clock",
            f"the file system of the runs is {duration(abs(skew))} {side} this machine's clock",
            f"less than {SKEW_SECONDS:g} s between them",
            advice,
        )
    return passed("clock", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(now))} (UTC)")


def existing(path: Path) -> Path:
    """Return a path, or its nearest folder that is there."""
    for place in (path, *path.parents):
        try:
            if place.exists():
                return place
        except OSError:
            continue
    return Path("/")


def _write_something(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(prefix=".ecotui-", dir=folder) as file:
        file.write(b"x" * 4_096)
        file.flush()
