"""The import job: weights from outside become a safetensors file of our own.

Looked through without torch, loaded in a confined child, looked through again,
and only then given its name. There is no other way in, and no way round it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ecotui import __version__
from ecotui.engine.control import Control
from ecotui.engine.emit import Emit, Stage, span
from ecotui.engine.foreign.confinement import load_confined
from ecotui.engine.foreign.header import read_header
from ecotui.engine.foreign.inspection import Inspected, inspect
from ecotui.engine.foreign.loading import Order
from ecotui.engine.foreign.specs import RefusedFileError
from ecotui.engine.foreign.state_dict import classes_of
from ecotui.engine.versions import pip_install, release_of, version_of
from ecotui.errors import EcoError, EnvironmentFaultError, UsageError
from ecotui.events import LogWritten, SetupAdvanced, WeightsImported
from ecotui.jobs import ImportJob
from ecotui.text import bytes_size, counted, visible

MIN_TORCH = (2, 10)
"""Older ones can be brought to run code or to write beyond their memory by what they take for
weights: CVE-2025-32434 (below 2.6), CVE-2026-24747 (below 2.10)."""
_MEGABYTE = 1_000_000
_CHUNK_BYTES = 4 * _MEGABYTE


def import_weights(job: ImportJob, folder: Path, control: Control, emit: Emit) -> None:
    """Write the weights of a file from outside as safetensors.

    Args:
        job: Which file, where to.
        folder: Of the job, for the child's order and answer.
        control: Looked at while reading and loading.
        emit: Where the facts go.

    Raises:
        UsageError: The file is refused, the output exists, or it is of another model.
        EnvironmentFaultError: This PyTorch cannot load such a file safely.
        EcoError: It could not be loaded or written.

    Emits:
        SetupAdvanced, the stages `check` and `convert`, LogWritten, WeightsImported.
    """
    source, target = Path(job.source), Path(job.output)
    _require_free(target)
    emit(SetupAdvanced(doing=f"looking through {visible(source.name)}"))
    with _opened(source) as file:
        before = os.fstat(file.fileno())
        seen = _inspected(file, before.st_size, source)
        _require_torch(seen, source)
        digest = _digest(file, before.st_size, control, emit)
    with _written_beside(target) as writing:
        metadata = _metadata(source, digest, seen)
        _convert(seen, source, writing, folder, metadata, control, emit)
        if _identity(source.stat()) != _identity(before):
            raise _changed(source)
        _check_written(seen, writing)
        fitting = _fitting(job, seen, writing, emit) if job.model else None
        _give_name(writing, target)
    emit(_imported(job, seen, target, fitting))


def _require_free(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(
            f"{visible(target)} exists already",
            "a path where nothing is yet",
            "choose another one with --output FILE, or remove it",
        )


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    """Open a regular file; one that would make a reader wait for ever is none."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{visible(source)} cannot be read: {visible(getattr(error, 'strerror', error))}",
            "a file of weights",
            "check the path and its permissions",
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(
                f"{visible(source)} is not a file",
                "a file of weights: .pth, .pt, .bin or .safetensors",
                "name the file itself",
            )
        yield file


def _inspected(file: BinaryIO, num_bytes: int, source: Path) -> Inspected:
    try:
        return inspect(file, num_bytes)
    except RefusedFileError as refusal:
        what = f"{visible(source)} is refused: {refusal.what}"
        raise RefusedFileError(what, refusal.expected, refusal.remedy) from None


def _require_torch(seen: Inspected, source: Path) -> None:
    """Refuse to load a pickle with a PyTorch whose restricted unpickler has known holes."""
    version = version_of("torch")
    if seen.kind == "safetensors" or (version and release_of(version) >= MIN_TORCH):
        return
    least = ".".join(str(number) for number in MIN_TORCH)
    raise EnvironmentFaultError(
        f"PyTorch {visible(version or 'is absent; it')} cannot load {visible(source.name)} "
        "safely: its loader of weights has known holes (CVE-2026-24747)",
        f"PyTorch {least} or later for .pth, .pt and .bin; any for .safetensors",
        f"{pip_install(f'torch>={least}')}; or bring the file as .safetensors",
    )


def _digest(file: BinaryIO, num_bytes: int, control: Control, emit: Emit) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    with span(emit, "check", total=num_bytes // _MEGABYTE, unit="MB") as stage:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            stage.advance(len(chunk) // _MEGABYTE)
            control.poll(0)
    return digest.hexdigest()


def _metadata(source: Path, digest: str, seen: Inspected) -> dict[str, str]:
    return {
        "format": "pt",
        "writer": f"ecotui {__version__}",
        "source": visible(source.name, limit=200),
        "source_sha256": digest,
        "found_under": ".".join(seen.chosen.keys),
    }


@contextmanager
def _written_beside(target: Path) -> Iterator[Path]:
    """Give a hidden name beside the target, and leave nothing under it."""
    writing = target.with_name(f".{target.name[:200]}-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield writing
    except OSError as error:
        raise EcoError(
            f"{visible(target)} cannot be written: {visible(error.strerror or error)}",
            "a folder with room that this user may write to",
            "choose another place with --output FILE",
        ) from error
    finally:
        with suppress(OSError):
            writing.unlink(missing_ok=True)


def _convert(
    seen: Inspected,
    source: Path,
    writing: Path,
    folder: Path,
    metadata: dict[str, str],
    control: Control,
    emit: Emit,
) -> None:
    order = Order(
        source=str(source),
        kind=seen.kind,
        keys=seen.chosen.keys,
        names=seen.chosen.names,
        shapes={name: spec.shape for name, spec in seen.chosen.specs.items()},
        num_bytes=max(seen.num_bytes, seen.wanted_bytes),
        output=str(writing),
        answer=str(folder / "answer.json"),
        metadata=metadata,
        engine_pid=os.getpid(),
    )
    with span(emit, "convert", total=seen.wanted_bytes // _MEGABYTE, unit="MB") as stage:

        def poll() -> None:
            control.poll(0)
            _show(stage, writing)

        fault = load_confined(order, folder / "order.json", poll)
        if not fault:
            _show(stage, writing)
    if fault:
        raise EcoError(
            f"{visible(source)} was not loaded: {fault}",
            "a sound file, and memory and disk for "
            f"{bytes_size(seen.num_bytes + 2 * seen.wanted_bytes)}",
            "free memory or disk; if there is enough, save the file anew where it was made",
        )


def _show(stage: Stage, writing: Path) -> None:
    with suppress(FileNotFoundError):
        stage.advance(writing.stat().st_size // _MEGABYTE - stage.done)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _changed(source: Path) -> EcoError:
    return EcoError(
        f"{visible(source)} changed while it was read",
        "a file that nobody writes to",
        "wait until it is whole, then import it again",
    )


def _check_written(seen: Inspected, writing: Path) -> None:
    """See that what the child wrote is what was seen in the file."""
    with writing.open("rb") as file:
        written = read_header(file).tensors
    if dict(written) != dict(seen.chosen.specs):
        raise EcoError(
            f"{visible(writing.name)} does not hold the tensors that were seen in the file",
            "the same names, types and shapes",
            "save the file anew where it was made; if that does not help, report it",
        )


def _fitting(job: ImportJob, seen: Inspected, writing: Path, emit: Emit) -> str:
    """Return how many of the model's tensors the file has, in words."""
    emit(SetupAdvanced(doing=f"comparing with model {visible(job.model)}"))
    from ecotui.engine.model import compare_with  # noqa: PLC0415 - torch takes seconds
    from ecotui.engine.weights import told  # noqa: PLC0415

    classes = classes_of(seen.chosen.specs)
    fit = compare_with(str(job.model), writing, classes, job.source)
    for note in told(fit):
        emit(LogWritten(severity="note", message=note))
    return f"{len(fit.taken)} of {counted(fit.num_wanted, 'tensor')}"


def _give_name(writing: Path, target: Path) -> None:
    """Name the file, whole, without overwriting what came there meanwhile."""
    try:
        os.link(writing, target)
    except FileExistsError:
        _require_free(target)
        raise
    except OSError:  # A file system without links.
        _require_free(target)
        os.rename(writing, target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _imported(
    job: ImportJob, seen: Inspected, target: Path, fitting: str | None
) -> WeightsImported:
    specs = seen.chosen.specs
    return WeightsImported(
        path=visible(target),
        source=visible(job.source),
        form=seen.kind,
        found_under=".".join(seen.chosen.keys),
        num_tensors=len(specs),
        num_parameters=sum(spec.num_elements for spec in specs.values()),
        num_bytes=target.stat().st_size,
        num_classes=classes_of(specs),
        num_left_out=seen.chosen.num_left_out,
        model=visible(job.model) if job.model else None,
        fitting=fitting,
    )
