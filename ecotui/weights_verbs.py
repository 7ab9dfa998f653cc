"""What the command line's `import-weights` does."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ecotui import headless, session, storage
from ecotui.errors import UsageError
from ecotui.events import RunFinished, RunStopped
from ecotui.jobs import ImportJob
from ecotui.paths import RunDir, choose_runs_dir, expanded
from ecotui.state import RunState
from ecotui.summary import as_error, import_lines
from ecotui.text import visible

SUFFIX = ".safetensors"


def import_weights(
    file: str, output: str | None, model: str | None, runs_dir: str | None, *, as_json: bool
) -> int:
    """Have the engine look through a file of weights and write it as safetensors.

    Raises:
        UsageError: There is no such file, it is refused, or the output exists.
        EnvironmentFaultError: This PyTorch cannot load such a file safely.
    """
    source = Path(os.path.abspath(expanded(file)))
    target = _target(source, output)
    folder = choose_runs_dir(runs_dir)
    is_new = not folder.exists()
    job = ImportJob(source=str(source), output=str(target), model=model)
    made = storage.create_job(job, folder)
    try:
        engine = session.launch(made, owned=True)
        try:
            style = headless.choose_style(json=as_json, quiet=False)
            return headless.follow(engine, style=style, owner=True, closing=_closing)
        finally:
            engine.wait_until_gone()
    finally:
        if made.path.exists():
            storage.remove(made)
        if is_new:
            with contextlib.suppress(OSError):  # A run was begun there meanwhile.
                folder.rmdir()


def _target(source: Path, output: str | None) -> Path:
    if "\0" in str(source) or "\0" in (output or ""):
        raise UsageError(
            "a file name holds a NUL, which no path can", "a file of weights", "correct the name"
        )
    if output is None:
        target = source.with_name(f"{source.stem}{SUFFIX}")
        if target == source:
            target = source.with_name(f"{source.stem}.imported{SUFFIX}")
    else:
        target = Path(os.path.abspath(expanded(output)))
    if target.suffix != SUFFIX:
        raise UsageError(
            f"{visible(target)} does not end in {SUFFIX}",
            f"a name that says what the file is: {visible(target.stem)}{SUFFIX}",
            f"--output {visible(target.with_suffix(SUFFIX))}",
        )
    if os.path.lexists(target):
        raise UsageError(
            f"{visible(target)} exists already",
            "a path where nothing is yet",
            "choose another one with --output FILE, or remove it",
        )
    return target


def _closing(state: RunState, run: RunDir) -> list[str]:
    del run
    if isinstance(state.ending, RunFinished) and state.imported is not None:
        return import_lines(state.imported)
    if isinstance(state.ending, RunStopped):
        return [f"stopped: {visible(state.ending.reason)}; nothing was written"]
    return list(as_error(state).lines())
