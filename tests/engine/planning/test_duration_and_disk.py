"""Time and room are counted from what a run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui.engine.planning import disk_need as disk_need_module
from ecotui.engine.planning.disk_need import RECORDS_BYTES, disk_need
from ecotui.engine.planning.duration import Workload, duration_of


def test_an_epoch_is_training_and_validation() -> None:
    work = Workload(batch_size=10, steps_per_epoch=8, planned_steps=24, num_val=40, num_test=20)
    took = duration_of(work, training_rate=20.0, scoring_rate=40.0)
    assert took.epoch_seconds == pytest.approx(8 * 0.5 + 1.0)
    assert took.run_seconds == pytest.approx(24 * 0.5 + 3 * 1.0 + 0.5)


def test_a_run_that_a_limit_cuts_short_is_validated_after_its_last_step() -> None:
    work = Workload(batch_size=10, steps_per_epoch=8, planned_steps=10, num_val=40, num_test=0)
    took = duration_of(work, training_rate=20.0, scoring_rate=40.0, save_seconds=2.0)
    assert took.run_seconds == pytest.approx(10 * 0.5 + 2 * (1.0 + 2.0))


def test_the_disk_holds_one_checkpoint_more_than_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(path: Path) -> int:
        assert path == tmp_path
        return 1_000

    monkeypatch.setattr(disk_need_module, "free_bytes", free)
    need = disk_need(tmp_path, checkpoint_bytes=100, weights_bytes=30, keep=2, epochs=20)
    assert need.needed_bytes == 3 * 100 + 2 * 30 + RECORDS_BYTES
    assert (need.free_bytes, need.is_short) == (1_000, True)
    short = disk_need(tmp_path, checkpoint_bytes=100, weights_bytes=30, keep=50, epochs=1)
    assert short.needed_bytes == 2 * 100 + 2 * 30 + RECORDS_BYTES


def test_a_disk_that_does_not_tell_its_room_is_not_called_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_need_module, "free_bytes", lambda path: None)
    need = disk_need(tmp_path, checkpoint_bytes=1, weights_bytes=1, keep=1, epochs=1)
    assert not need.is_short
