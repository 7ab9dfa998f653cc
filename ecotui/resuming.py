"""What a run needs to go on: whether it can, with which settings changed, and what is advised."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ecotui import lock
from ecotui.config import RunConfig
from ecotui.config_file import parse_file, to_toml
from ecotui.durable import write_whole
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.events import EngineLost, RunFailed, RunFinished
from ecotui.occupancy import occupied
from ecotui.paths import RunDir, choose_runs_dir, find_run
from ecotui.resume_settings import as_settings, with_settings
from ecotui.runs_table import glance
from ecotui.state import RunState
from ecotui.text import counted, visible


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that can go on.

    Attributes:
        run: Its directory.
        settings: `key=value`, what is to change before it does.
        advice: What a person should know, a sentence each.
    """

    run: RunDir
    settings: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def plan(
    reference: str, runs_dir: str | None, settings: Sequence[str] = (), *, smaller: bool = False
) -> Plan:
    """Return how the run that a person means goes on.

    Args:
        reference: A run's name, path, or `latest`.
        runs_dir: Where runs are kept; None for the usual place.
        settings: To change, `key=value`.
        smaller: Take half the micro-batch.

    Raises:
        UsageError: No such run, it is alive, it has nothing left to do, or a setting
            cannot be changed.
    """
    return plan_for(find_run(reference, choose_runs_dir(runs_dir)), settings, smaller=smaller)


def plan_for(run: RunDir, settings: Sequence[str] = (), *, smaller: bool = False) -> Plan:
    """Return how a run goes on; see `plan`."""
    if lock.is_held(run.lock):
        raise occupied(run.run_id, lock.read_holder(run.lock))
    state, config = glance(run), config_of(run)
    changed = with_settings(config, settings)
    if smaller:
        changed = with_settings(changed, [f"train.micro_batch_size={_half(run, changed)}"])
    if isinstance(state.ending, RunFinished):
        needed = _needed(state, state.ending, changed)
        if needed is not None:
            raise UsageError(
                f"run {run.run_id} has finished all it was asked for",
                "a run that was stopped, failed or lost, or one that is given more to do",
                f"extend it: ecotui resume {run.run_id} --set {needed}",
            )
    advice = () if smaller else _advice(run, state, changed)
    return Plan(run, as_settings(config, changed), advice)


def wanting(run: RunDir, settings: Sequence[str] = ()) -> str | None:
    """Return the setting, `key=value`, without which a finished run has nothing to do.

    Args:
        run: Its directory.
        settings: `key=value`, to go on with; those that cannot be changed give it nothing to do.

    Returns:
        None where it is unfinished, or was given more to do since it ended.
    """
    state = glance(run)
    if not isinstance(state.ending, RunFinished):
        return None
    try:
        config = config_of(run)
    except UsageError:
        return f"train.epochs={2 * state.ending.epochs_done}"
    with suppress(UsageError):
        config = with_settings(config, settings)
    return _needed(state, state.ending, config)


def config_of(run: RunDir) -> RunConfig:
    """Return the settings that a later attempt starts from.

    Raises:
        UsageError: They cannot be read.
    """
    return parse_file(run.resolved if run.resolved.is_file() else run.config)


def extend(run: RunDir, epochs: int) -> str:
    """Give a run that is not alive another total of epochs, and say so in words.

    Raises:
        UsageError: It cannot have that many.
        EcoError: Somebody is about to start it, or it cannot be written.
    """
    state, config = glance(run), config_of(run)
    done = state.last_epoch.epoch if state.last_epoch is not None else 0
    if epochs <= done:
        raise UsageError(
            f"{counted(done, 'epoch')} of {run.run_id} are done already",
            f"more than {done} epochs in all",
            f"ecotui extend {run.run_id} --epochs {2 * done}",
        )
    changed = with_settings(config, [f"train.epochs={epochs}"])
    try:
        held = lock.acquire(run.lock)
    except (OSError, lock.AlreadyHeldError):
        raise EcoError(
            f"{run.run_id} has just been started by somebody else, or its lock cannot be taken",
            "a run that is not alive, or one that is under way",
            "ask again",
        ) from None
    try:
        write_whole(run.resolved, to_toml(changed).encode())
    except OSError as error:
        raise EcoError(
            f"{visible(run.resolved)} cannot be written: {visible(error.strerror)}",
            "a run directory that this user may write, on a disk with room",
            "mend the permissions or free some space",
        ) from None
    finally:
        held.release()
    return (
        f"{run.run_id} has {counted(epochs, 'epoch')} now instead of {config.train.epochs}; "
        f"ecotui resume {run.run_id} goes on"
    )


def _needed(state: RunState, ending: RunFinished, config: RunConfig) -> str | None:
    """Return what would give a finished run more to do; None where it would not end at once."""
    train, done = config.train, ending.epochs_done
    patience = train.early_stopping_epochs
    best_epoch = 0 if state.best is None else state.best.epoch
    if train.epochs <= done:
        return f"train.epochs={2 * done}"
    if train.max_steps is not None and train.max_steps <= ending.step:
        return f"train.max_steps={2 * ending.step}"
    if (
        patience is not None
        and done - best_epoch >= patience
        and "early_stopping" not in config.guards.silenced
    ):
        return f"train.early_stopping_epochs={done - best_epoch + patience}"
    return None


def _advice(run: RunDir, state: RunState, config: RunConfig) -> tuple[str, ...]:
    """Offer half the micro-batch where the last attempt may have died of memory."""
    ending = state.ending
    is_out_of_memory = isinstance(ending, RunFailed) and ending.exit_code == ExitCode.OUT_OF_MEMORY
    is_lost = state.attempt > 0 and (ending is None or isinstance(ending, EngineLost))
    micro = _micro_batch(config)
    if micro is None or micro == 1 or not (is_out_of_memory or is_lost):
        return ()
    how = "ran out of memory" if is_out_of_memory else "died without a last word"
    why = "" if is_out_of_memory else ", as it does where memory runs out"
    return (
        f"the last attempt {how}{why}. With half the micro-batch (the batch stays the same): "
        f"ecotui resume {visible(run.path)} --headless --set train.micro_batch_size={micro // 2}",
    )


def _half(run: RunDir, config: RunConfig) -> int:
    micro = _micro_batch(config)
    if micro is None or micro == 1:
        raise UsageError(
            f"the micro-batch of {run.run_id} is "
            + ("one image already" if micro else "yet to be measured"),
            "a micro-batch of two images or more to halve",
            "choose a smaller model or data.image_size in a new run, or --set compute.device=cpu",
        )
    return micro // 2


def _micro_batch(config: RunConfig) -> int | None:
    """Return the images of a forward pass; None where they were not measured yet."""
    train = config.train
    known = [size for size in (train.micro_batch_size, train.batch_size) if size != "auto"]
    return min(known, default=None)
