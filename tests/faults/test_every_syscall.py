"""Every system call of one save, failed and killed in turn: no state is ever bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecotui.engine import checkpoint
from tests.faults import one_save
from tests.faults.syscalls import Call, need_strace, prepare, trace

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")
_FAST = ("signal=KILL", "error=ENOSPC")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the states of steps 0 and 1."""
    need_strace()
    run = tmp_path_factory.mktemp("syscalls") / "before"
    prepare(run)
    return run


@pytest.fixture(scope="module")
def calls(before: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The calls of a save that nothing disturbs."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    shutil.copytree(before, run)
    status, found = trace(run)
    assert status == 0
    assert check(run) == 2
    kinds = {call.kind.removesuffix("2").removesuffix("at") for call in found}
    assert {"mkdir", "write", "fsync", "rename", "open", "close"} <= kinds
    return found


def check(run: Path) -> int:
    """Return the step that a later attempt finds, whose bytes are those that were saved."""
    folder = run / "checkpoints"
    checkpoint.clear_leftovers(folder)
    found, damaged = checkpoint.newest_valid(folder)
    assert found is not None, damaged
    assert not damaged, "a state with a name must be whole"
    step = int(found.name.split("-")[1])
    for file_name, wanted in one_save.content(step).items():
        assert (found / file_name).read_bytes() == wanted
    leftovers = [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]
    assert not leftovers, leftovers
    return step


def disturb(before: Path, folder: Path, call: Call, fault: str) -> None:
    run = folder / f"{call.kind}-{call.nth}-{fault.rpartition('=')[2]}"
    shutil.copytree(before, run)
    status, _ = trace(run, f"inject={call.kind}:{fault}:when={call.nth}")
    log = run / "events.jsonl"
    is_announced = log.exists() and log.read_bytes() == b"saved 2\n"
    is_killed = fault.startswith("signal")
    step = check(run)
    assert step == 2 or not is_announced, f"{call}: announced and lost"
    # A call that ends what was done anyway (the removal of step 0) may fail without a word.
    assert is_killed or status in (0, one_save.FAILED), f"{call}: left with {status}"
    assert step == 2 or is_killed or status == one_save.FAILED, f"{call}: lost without a word"
    shutil.rmtree(run)


@pytest.mark.parametrize("fault", _FAST)
def test_one_call_after_another_fails_or_kills_and_no_state_is_bad(
    before: Path, calls: list[Call], tmp_path: Path, fault: str
) -> None:
    for call in calls:
        disturb(before, tmp_path, call, fault)


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS[1:])
def test_every_other_error_of_a_disk_at_every_call_leaves_no_bad_state(
    before: Path, calls: list[Call], tmp_path: Path, error: str
) -> None:
    for call in calls:
        disturb(before, tmp_path, call, f"error={error}")


def test_a_writer_in_place_is_caught_by_the_same_check(before: Path, tmp_path: Path) -> None:
    """The control: what most trainers do."""
    shutil.copytree(before, tmp_path / "run")
    _, calls = trace(tmp_path / "run", in_place=True)
    num_bad = 0
    for call in (call for call in calls if call.kind in ("write", "openat")):
        run = tmp_path / f"{call.kind}-{call.nth}"
        shutil.copytree(before, run)
        trace(run, f"inject={call.kind}:signal=KILL:when={call.nth}", in_place=True)
        try:
            check(run)
        except AssertionError:
            num_bad += 1
    assert num_bad >= 3
