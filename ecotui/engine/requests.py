"""Where requests are answered that need the training itself: settings, saves, memory."""

from __future__ import annotations

from typing import Any

from ecotui.commands import ExtendRun, MeasureNorms, SetLearningRate, SilenceGuard
from ecotui.engine.changes import Changes
from ecotui.engine.control import Answer, Change
from ecotui.engine.guards.known import GUARDS
from ecotui.engine.offload import Offload
from ecotui.engine.trainer import Trainer
from ecotui.text import counted, listed, visible


class Requests:
    """The desk of a run in training; see `control.Desk`.

    Args:
        trainer: Whose state and settings are concerned.
        changes: Puts settings into effect.
        offload: Moves what is trained off the accelerator.
    """

    def __init__(self, trainer: Trainer, changes: Changes, offload: Offload) -> None:
        self._trainer = trainer
        self._changes = changes
        self._offload = offload

    def change(self, command: Change) -> Answer:
        """Change a setting of the run, or say why not.

        Emits:
            ConfigChanged.
        """
        try:
            match command:
                case SetLearningRate():
                    return self._set_learning_rate(command.learning_rate)
                case ExtendRun():
                    return self._extend(command.epochs)
                case SilenceGuard():
                    return self._silence(command.guard, silent=command.silent)
                case MeasureNorms():
                    self._trainer.protection.steps.is_norms_asked = True
                    told = "each layer's norms are measured with the next batch, into incidents/"
                    return Answer(True, told)
        except OSError as error:
            return Answer(False, f"resolved.toml cannot be written: {visible(error.strerror)}")

    def save(self) -> None:
        """Save a checkpoint of the step at which the run stands still."""
        self._trainer.save("request")

    def free_memory(self) -> bool:
        """Move what is trained to host memory, and say whether that freed any."""
        return self._offload.free()

    def take_memory_back(self) -> Answer:
        """Move it back to the accelerator."""
        if self._offload.take_back():
            return Answer(True, "going on")
        return Answer(
            False,
            "the accelerator has no room for the model now: end what else is on it, or stop this "
            "run, which can be resumed later",
        )

    def _set_learning_rate(self, rate: float) -> Answer:
        train = self._trainer.parts.config.train
        if rate < train.min_learning_rate:
            return Answer(
                False,
                f"{rate:g} is below train.min_learning_rate = {train.min_learning_rate:g}, "
                "which the schedule ends with",
            )
        if rate == train.learning_rate:
            return Answer(True, f"the peak of the learning rate is {rate:g} already")
        self._put("train", {"learning_rate": rate}, "set-lr")
        return Answer(
            True,
            f"the peak of the learning rate is {rate:g} instead of {train.learning_rate:g} from "
            "the next step on; the schedule keeps its shape",
        )

    def _extend(self, epochs: int) -> Answer:
        train, done = self._trainer.parts.config.train, self._trainer.loop.epoch
        if epochs <= done:
            return Answer(
                False,
                f"{counted(done, 'epoch')} of the run {'is' if done == 1 else 'are'} done already: "
                "name more, or stop it after this one with ecotui stop --after-epoch",
            )
        if epochs < train.freeze_epochs:
            return Answer(
                False,
                f"train.freeze_epochs = {train.freeze_epochs} needs at least as many epochs",
            )
        if epochs == train.epochs:
            return Answer(True, f"the run has {counted(epochs, 'epoch')} already")
        # The same limit as where the configuration is resolved.
        warmup = min(train.warmup_epochs, epochs / 2)
        self._put("train", {"epochs": epochs, "warmup_epochs": warmup}, "extend")
        return Answer(
            True,
            f"the run has {counted(epochs, 'epoch')} instead of {train.epochs}; from the next "
            "step on the learning rate follows the schedule of the new total",
        )

    def _silence(self, guard: str, *, silent: bool) -> Answer:
        named = visible(guard, limit=64)
        if guard not in GUARDS:
            known = listed(GUARDS, limit=len(GUARDS))
            return Answer(False, f"there is no guard '{named}'; there are {known}")
        before = self._trainer.parts.config.guards.silenced
        if silent == (guard in before):
            return Answer(True, f"{named} is {'silenced' if silent else 'not silenced'} already")
        if silent:
            self._put("guards", {"silenced": (*before, guard)}, "silence")
            return Answer(True, f"{named} goes on telling, but acts no more")
        left = tuple(name for name in before if name != guard)
        self._put("guards", {"silenced": left}, "silence --undo")
        return Answer(True, f"{named} acts again")

    def _put(self, section: str, values: dict[str, Any], verb: str) -> None:
        step = self._trainer.loop.step
        self._changes.put(section, values, step=step, why=f"asked with ecotui {verb}")
