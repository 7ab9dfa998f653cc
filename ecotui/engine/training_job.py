"""The job of a run directory: everything built, checked, trained, tested and saved."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecotui.config import RunConfig
from ecotui.config_file import parse_file, to_toml
from ecotui.durable import write_whole
from ecotui.engine.control import Control, StopRequested
from ecotui.engine.diagnose import Circumstances, Diagnosis, diagnose
from ecotui.engine.emit import Emit
from ecotui.engine.machine.cards import Card, card_name
from ecotui.engine.machine.gauges import Gauges
from ecotui.engine.waiting import while_polling
from ecotui.engine.watch import Watch
from ecotui.errors import EnvironmentFaultError, ExitCode
from ecotui.events import ConfigChanged, RunFinished, RunStopped, SetupAdvanced
from ecotui.paths import RunDir
from ecotui.resolved_config import as_begun
from ecotui.resume_settings import differences, with_settings
from ecotui.text import visible

if TYPE_CHECKING:
    from ecotui.engine.assembly import Parts
    from ecotui.engine.data.index import DataIndex
    from ecotui.engine.planning.deciding import Decision
    from ecotui.engine.trainer import Trainer

RESUMED_WITH = "flags of the resumption"
TRAINING_IS_OVER = "the training is over and its last state saved: ecotui resume can extend it"


def train(
    run: RunDir,
    control: Control,
    emit: Emit,
    *,
    attempt: int,
    settings: Sequence[str] = (),
    last_step: int = 0,
) -> ExitCode:
    """Train what the run asks for, to its end or to a wish to stop.

    Args:
        run: The run directory.
        control: Looked at in every stage.
        emit: Where the facts go.
        attempt: From 2 on it goes on from the newest checkpoint.
        settings: `key=value`, to be changed before anything is built.
        last_step: That the newest checkpoint holds.

    Raises:
        StopRequested: Before the run's own state was in place.
        EcoError: The run cannot go on.

    Emits:
        All that is stated of a training, RunFailed excepted.
    """
    is_resumed = attempt > 1 and run.resolved.is_file()
    config = as_begun(parse_file(run.resolved)) if is_resumed else parse_file(run.config)
    config = _changed(config, settings, run, emit, last_step)
    findings: list[dict[str, object]] = []
    if config.preflight.level != "off":
        findings = _diagnose_quickly(config, run.path.parent, control, emit).record()
    index = _read_data(config, control, emit)
    from ecotui.engine.announcement import announce  # noqa: PLC0415
    from ecotui.engine.assembly import assemble, record  # noqa: PLC0415
    from ecotui.engine.changes import Changes  # noqa: PLC0415
    from ecotui.engine.checkpoint import clear_leftovers, list_steps  # noqa: PLC0415
    from ecotui.engine.host_copy import HostCopy  # noqa: PLC0415
    from ecotui.engine.offload import Offload  # noqa: PLC0415
    from ecotui.engine.planning.deciding import decide  # noqa: PLC0415
    from ecotui.engine.requests import Requests  # noqa: PLC0415
    from ecotui.engine.resumption import facts_of, resume  # noqa: PLC0415
    from ecotui.engine.saving import Saver  # noqa: PLC0415
    from ecotui.engine.soundness import Soundness  # noqa: PLC0415
    from ecotui.engine.superseding import clear_superseded  # noqa: PLC0415
    from ecotui.engine.train_state import LoopState  # noqa: PLC0415
    from ecotui.engine.trainer import Trainer  # noqa: PLC0415

    control.poll(last_step)
    has_state = is_resumed and bool(list_steps(run.checkpoints))
    parts = assemble(config, index, emit, lambda: control.poll(last_step), has_state=has_state)
    watch = _watch(parts, run, control, emit)
    emit = watch
    try:
        # What is resumed has its formats, even where its config.toml leaves them open.
        asked = None if is_resumed else config.compute
        decision = decide(parts, lambda: control.poll(last_step), emit, asked=asked)
        record(parts, run, findings)
        clear_leftovers(run.checkpoints)
        clear_superseded(run.checkpoints)
        emit(announce(parts))
        facts = facts_of(parts, run)
        loop = resume(parts, run, facts, attempt, emit) if is_resumed else LoopState()
        copy, exempt = HostCopy(), Soundness(parts.trainable).exempt
        saver = Saver(
            run.path,
            parts.trainable,
            emit,
            interval_seconds=config.checkpoint.interval_seconds,
            keep=config.checkpoint.keep,
            facts=facts,
            background=config.checkpoint.background,
            copy=copy,
            spare_steps=config.guards.rollback_steps if config.guards.healing else 0,
            exempt=exempt,
        )
        control.deadline.expect_save(parts.state_bytes)
        changes = Changes(parts, run, facts, emit)
        trainer = Trainer(parts, run, saver, loop, control, emit, copy=copy, changes=changes)
        control.open_desk(
            Requests(trainer, changes, Offload(parts.trainable, parts.compute.device))
        )
        try:
            with watch.looking():
                return _finish(trainer, decision, emit)
        finally:
            saver.finish()
    finally:
        parts.close()


def _watch(parts: Parts, run: RunDir, control: Control, emit: Emit) -> Watch:
    """Return the watch of a run, through which everything is stated from here on."""
    from ecotui.engine.compute import card_uuid  # noqa: PLC0415 - torch takes seconds

    device = parts.compute.device
    name = card_name(device, card_uuid(device))
    watch = Watch(
        emit,
        control,
        lambda: parts.config,
        Gauges(run.path),
        card=None if name is None else Card(name),
        state_bytes=parts.state_bytes,
    )
    control.speak_through(watch)
    return watch


def check_only(run: RunDir, control: Control, emit: Emit) -> None:
    """Do layers 1 to 3 of what `config.toml` asks for, without training."""
    config = parse_file(run.config)
    _diagnose_quickly(config, run.path.parent.parent, control, emit)
    index = _read_data(config, control, emit, run)
    from ecotui.engine.announcement import announce  # noqa: PLC0415
    from ecotui.engine.assembly import assemble  # noqa: PLC0415
    from ecotui.engine.planning.deciding import decide  # noqa: PLC0415
    from ecotui.engine.readiness import check_readiness  # noqa: PLC0415
    from ecotui.engine.train_state import LoopState  # noqa: PLC0415

    control.poll(0)
    is_full = config.preflight.level == "full"
    level = config.preflight.model_copy(update={"level": "full" if is_full else "quick"})
    parts = assemble(config, index, emit, lambda: control.poll(0))
    try:
        decision = decide(parts, lambda: control.poll(0), emit, asked=config.compute)
        stages = ("audit", "preflight") if is_full else ("preflight",)
        planned = ("plan",) if level.plans else ()
        emit(announce(parts).model_copy(update={"stages": (*stages, *planned)}))
        check_readiness(parts, run, level, control, emit, decision=decision, loop=LoopState())
    finally:
        parts.close()


def _diagnose_quickly(
    config: RunConfig, runs_path: Path, control: Control, emit: Emit
) -> Diagnosis:
    """Examine what a run needs, and load the libraries meanwhile."""
    purpose = Circumstances(model=config.model.name, is_quick=True, loads=True)
    return diagnose(
        control,
        emit,
        runs_path=runs_path,
        device=config.compute.device,
        circumstances=purpose,
    )


def _changed(
    config: RunConfig, settings: Sequence[str], run: RunDir, emit: Emit, step: int
) -> RunConfig:
    """Lay the settings of a resumption over, for good: a later attempt starts from them."""
    changed = with_settings(config, settings)
    if changed != config:
        write_whole(run.resolved, to_toml(changed).encode())
    for each in differences(config, changed):
        emit(ConfigChanged(key=each.key, old=each.old, new=each.new, step=step, why=RESUMED_WITH))
    return changed


def _read_data(
    config: RunConfig, control: Control, emit: Emit, examined: RunDir | None = None
) -> DataIndex:
    """Read the data set, then load what works on it.

    The data come first: what is wrong with them shows without the seconds torch needs.

    Args:
        config: Of the run.
        control: Looked at meanwhile.
        emit: Where the facts go.
        examined: Directory of a preflight, to which a class that is missing is a finding; None
            for a training, to which it is a mistake of use.
    """
    from ecotui.engine.data.index import build_index  # noqa: PLC0415 - NumPy may be broken

    emit(SetupAdvanced(doing="reading the data set"))
    lacks_classes = examined is not None
    index = while_polling(
        lambda: build_index(config.data, config.train.seed, lacks_classes=lacks_classes),
        lambda: control.poll(0),
    )
    if examined is not None:
        from ecotui.engine.audit.audit_job import classes_stage  # noqa: PLC0415

        classes_stage(config, index, examined, emit)
    emit(SetupAdvanced(doing="loading PyTorch and timm"))
    _import_libraries(control)
    return index


def _import_libraries(control: Control) -> None:
    """Import what training needs; a broken installation is told as such."""
    logging.captureWarnings(True)
    for name in ("torch", "torchvision", "timm"):
        control.poll(0)
        try:
            importlib.import_module(name)
        except Exception as error:
            raise EnvironmentFaultError(
                f"PyTorch, torchvision or timm cannot be loaded: {visible(error, limit=300)}",
                "releases of torch, torchvision and timm that fit one another",
                "pip install --upgrade torch torchvision timm in this environment",
            ) from error


def _finish(trainer: Trainer, decision: Decision, emit: Emit) -> ExitCode:
    from ecotui.engine.data.supervision import LoaderFaultError  # noqa: PLC0415
    from ecotui.engine.mistakes import picture_mistakes  # noqa: PLC0415
    from ecotui.engine.readiness import check_readiness  # noqa: PLC0415

    loop, saver, control = trainer.loop, trainer.saver, trainer.control
    try:
        level = trainer.parts.config.preflight
        check_readiness(
            trainer.parts, trainer.run, level, control, emit, decision=decision, loop=loop
        )
        why = trainer.train()
    except StopRequested as stop:
        saved = saver.finish() if stop.is_saved else trainer.save(stop.saves_as)
        return _stopped(stop, trainer, saved, emit)
    except LoaderFaultError:
        trainer.save("stop")
        raise
    control.close_desk(TRAINING_IS_OVER)
    try:
        trainer.test()
        picture_mistakes(
            trainer.parts, trainer.run, loop.best_epoch, emit, lambda: control.poll(loop.step)
        )
    except StopRequested as stop:
        # The state was saved at the end of the training; now the best weights are loaded.
        return _stopped(stop, trainer, saver.finish(), emit)
    saver.finish()
    best = saver.best_path(loop)
    emit(
        RunFinished(
            why=why,
            epochs_done=loop.epoch,
            epochs_planned=trainer.parts.config.train.epochs,
            step=loop.step,
            best_checkpoint=None if best is None else _relative(best, trainer.run),
            seconds=trainer.seconds,
        )
    )
    return ExitCode.DONE


def _stopped(stop: StopRequested, trainer: Trainer, saved: str | None, emit: Emit) -> ExitCode:
    loop = trainer.loop
    emit(RunStopped(reason=stop.reason, epoch=loop.epoch, step=loop.step, checkpoint=saved))
    return ExitCode.RESUMABLE


def _relative(path: Path, run: RunDir) -> str:
    return str(path.relative_to(run.path))
