"""The power goes between any two system calls of a save: what was announced is still there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecotui.engine import checkpoint
from tests.faults import one_save
from tests.faults.power_loss import WAYS, Disk, count_flushes
from tests.faults.syscalls import Call, need_strace, prepare, trace


@pytest.fixture(scope="module", params=["first save", "third save"])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Call], dict[str, bytes]]:
    """The run before a save, the calls of the save, and the files that it wrote."""
    need_strace()
    folder = tmp_path_factory.mktemp("recorded")
    run = folder / "run"
    prepare(run, (0, 1) if request.param == "third save" else ())
    shutil.copytree(run, folder / "before")
    status, calls = trace(run)
    assert status == 0
    new = run / "checkpoints" / one_save.name(2)
    files = {path.name: path.read_bytes() for path in new.iterdir()}
    files |= {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for hint in run.joinpath("checkpoints").iterdir():
        if hint.is_file():
            files[hint.name] = hint.read_bytes()
    # The calls name the run where it was; the model starts from what it was.
    shutil.rmtree(run)
    shutil.copytree(folder / "before", run)
    return run, calls, files


def bad_states(
    run: Path,
    calls: list[Call],
    files: dict[str, bytes],
    folder: Path,
    *,
    without: int | None = None,
) -> tuple[int, list[str]]:
    """Let the power go after each call in each way, and return how many states there were and
    which of them were bad."""
    disk = Disk(run, _Files(files), without=without)
    is_announced = False
    had_states = (run / "checkpoints").exists()
    bad: list[str] = []
    num_states = 0
    for number, call in enumerate([None, *calls]):
        if call is not None:
            disk.apply(call)
            is_announced |= call.kind == "write" and "events.jsonl" in call.arguments
        for way in WAYS:
            num_states += 1
            state = folder / f"{number}-{way}"
            disk.write_to(state, way)
            step = loaded_step(state / "checkpoints")
            if step is None and (had_states or is_announced):
                bad.append(f"after {call}: {way}: nothing can be loaded")
            elif step != 2 and is_announced:
                bad.append(f"after {call}: {way}: announced, and {step} is loaded")
            shutil.rmtree(state)
    return num_states, bad


class _Files(dict[str, bytes]):
    """Content by name; of a file under a passing name (the hints' temporary ones), anything."""

    def __missing__(self, name: str) -> bytes:
        return b"?" * 1_000


def loaded_step(folder: Path) -> int | None:
    """Return the step that a later attempt takes, its bytes being those that were saved."""
    checkpoint.clear_leftovers(folder)
    found, _ = checkpoint.newest_valid(folder)
    if found is None:
        return None
    step = int(found.name.split("-")[1])
    for file_name, wanted in one_save.content(step).items():
        assert (found / file_name).read_bytes() == wanted, "other bytes than were saved"
    return step


def test_after_any_power_loss_what_was_announced_can_be_loaded(
    recorded: tuple[Path, list[Call], dict[str, bytes]], tmp_path: Path
) -> None:
    num_states, bad = bad_states(*recorded, tmp_path)
    assert num_states > 100
    assert not bad


def test_without_any_one_of_the_flushes_some_state_would_be_lost(
    recorded: tuple[Path, list[Call], dict[str, bytes]], tmp_path: Path
) -> None:
    """The control: each flush is needed, and the model notices where it is missing."""
    _, calls, _ = recorded
    flushes = [call for call in calls if call.kind in ("fsync", "fdatasync")]
    # That of the log makes the announcement itself safe; it comes after what it announces.
    needed = [n for n, call in enumerate(flushes) if is_of_the_state(call)]
    assert count_flushes(calls) > len(needed) >= 5
    for number in needed:
        _, bad = bad_states(*recorded, tmp_path, without=number)
        assert bad, flushes[number]


def is_of_the_state(call: Call) -> bool:
    """Say whether a flush is of the state's own files and directories."""
    return "events.jsonl" not in call.arguments and "hint" not in call.arguments
