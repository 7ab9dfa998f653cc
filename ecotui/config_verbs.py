"""What the command line's `config` verbs do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from ecotui import config_patch, headless, session, storage
from ecotui.config import DEMO_PREFIX, RunConfig
from ecotui.config_file import load_config, to_documented_toml
from ecotui.errors import ExitCode, UsageError
from ecotui.events import DatasetDescribed
from ecotui.jobs import DescribeJob
from ecotui.notify_settings import masked
from ecotui.suggestions import suggest
from ecotui.summary import as_error
from ecotui.text import counted, listed, visible


def show(reference: str, settings: Sequence[str]) -> int:
    """Print a config with every setting and its meaning.

    Raises:
        UsageError: No such config, or one that is not valid.
    """
    loaded = load_config(reference, settings, needs_data=False)
    # A webhook's secret is for the run's own files, not for a screen.
    notify = loaded.config.notify
    hidden = notify.model_copy(update={"webhook": masked(notify.webhook)})
    shown = loaded.config.model_copy(update={"notify": hidden})
    click.echo(to_documented_toml(shown), nl=False)
    return ExitCode.DONE


def validate(reference: str, settings: Sequence[str]) -> int:
    """Say that a config is valid and what it trains.

    Raises:
        UsageError: No such config, or one that is not valid.
    """
    loaded = load_config(reference, settings)
    config = loaded.config
    start = "from published weights" if config.model.pretrained else "from scratch"
    if config.model.weights is not None:
        start = f"from {visible(config.model.weights)}"
    click.echo(
        f"{visible(loaded.path)} is valid: {visible(config.model.name)} {start}, "
        f"{counted(config.train.epochs, 'epoch')}, data in {visible(config.data.root)}"
    )
    return ExitCode.DONE


def schema() -> int:
    """Print the JSON schema of configurations."""
    click.echo(json.dumps(RunConfig.model_json_schema(), indent=2))
    return ExitCode.DONE


def apply(fragment: str, reference: str) -> int:
    """Put the settings of a TOML file into a config, and say what was changed.

    Raises:
        UsageError: A shipped config, no such file, or settings that make no valid config.
    """
    applied = config_patch.apply_fragment(reference, fragment)
    if not applied.changes:
        click.echo(f"{visible(applied.path)} has these settings already; nothing was changed")
        return ExitCode.DONE
    for change in applied.changes:
        old = visible(change.old) or "not set"
        click.echo(f"{visible(change.key)}: {old} -> {visible(change.new)}")
    click.echo(f"written: {visible(applied.path)}; as it was: {visible(applied.backup)}")
    click.echo(f"to undo: {visible(shlex.join(['ecotui', 'config', 'undo', reference]))}")
    return ExitCode.DONE


def undo(reference: str) -> int:
    """Give a config back what it was before settings were put into it.

    Raises:
        UsageError: There is nothing to undo.
    """
    path = config_patch.undo(reference)
    click.echo(f"written: {visible(path)}, as it was before; the same command redoes it")
    return ExitCode.DONE


def init(data: str, output: str | None, *, model: str, force: bool) -> int:
    """Look at a folder of photos and write a documented config for it.

    Raises:
        UsageError: The output exists, or the folder holds no data set.
    """
    is_demo = data.startswith(DEMO_PREFIX)
    root = data if is_demo else str(Path(data).expanduser().absolute())
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(root.removeprefix(DEMO_PREFIX)).name).strip("-.")
    target = Path(output or f"{stem or 'config'}.toml").expanduser().absolute()
    if target.exists() and not force:
        raise UsageError(
            f"{visible(target)} exists already",
            "a path where nothing is yet",
            "choose another one with --output FILE, or overwrite it with --force",
        )
    described = _describe(root)
    config = suggest(described, root=root, model=model)
    _write(target, _heading(described) + to_documented_toml(config))
    for line in _found(described):
        click.echo(line)
    click.echo(f"written: {visible(target)}")
    click.echo(f"to train: ecotui --headless {visible(target)}")
    return ExitCode.DONE


def _describe(root: str) -> DatasetDescribed:
    """Have the engine look at the folder; what is wrong with it ends the command."""
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        made = storage.create_job(DescribeJob(data_root=root), Path(folder))
        engine = session.launch(made, owned=True)
        try:
            state = headless.watch(engine)
        except KeyboardInterrupt:
            engine.engine_signal(signal.SIGKILL)
            raise
        finally:
            engine.wait_until_gone()
    if state.description is None:
        raise as_error(state)
    return state.description


def _found(described: DatasetDescribed) -> list[str]:
    return [
        f"layout: {visible(described.layout)}",
        f"{counted(described.num_classes, 'class', 'classes')}: "
        f"{listed(visible(name, limit=60) for name in described.class_names)}",
        f"images: {described.num_train:,} to train on, {described.num_val:,} to validate, "
        f"{described.num_test:,} to test",
        f"smallest class {described.smallest_class:,}, largest {described.largest_class:,}; "
        f"median size {described.median_width} x {described.median_height} px",
    ]


def _heading(described: DatasetDescribed) -> str:
    return "".join(f"# {line}\n" for line in ["Found by ecotui:", *_found(described)]) + "\n"


def _write(target: Path, text: str) -> None:
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise UsageError(
            f"{visible(target)} cannot be written: {visible(error.strerror)}",
            "a path that this user may write",
            "choose another one with --output FILE",
        ) from None
