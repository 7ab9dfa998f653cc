"""Work beside training: in a thread of low priority, taken over by who waits for it."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from ecotui.engine.background import NICENESS, Background
from ecotui.engine.checkpoint import Steps

PATIENCE_SECONDS = 30.0


def wait_until_idle(background: Background) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while background.is_busy:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_work_is_done_in_another_thread_and_stays_behind_training() -> None:
    seen: list[tuple[int, int]] = []

    def work() -> Steps[None]:
        seen.append((threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0)))
        yield

    before = os.getpriority(os.PRIO_PROCESS, 0)
    background = Background()
    background.start(work())
    wait_until_idle(background)
    ((thread, priority),) = seen
    assert thread != threading.get_native_id()
    if sys.platform.startswith("linux"):
        assert priority == NICENESS
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_who_waits_does_the_rest_itself() -> None:
    threads: list[int] = []
    is_begun = threading.Event()

    def work() -> Steps[None]:
        while len(set(threads)) < 2:
            threads.append(threading.get_ident())
            is_begun.set()
            yield
        for _ in range(3):
            threads.append(threading.get_ident())
            yield

    background = Background()
    background.start(work())
    assert is_begun.wait(PATIENCE_SECONDS)
    background.wait()
    assert threads[-4:] == [threading.get_ident()] * 4
    assert not background.is_busy


def test_work_that_can_be_dropped_is_not_waited_for() -> None:
    is_begun, ended = threading.Event(), []

    def endless() -> Steps[None]:
        try:
            while True:
                is_begun.set()
                yield
        finally:
            ended.append(True)

    background = Background()
    background.start(endless())
    assert is_begun.wait(PATIENCE_SECONDS)
    background.wait(unless=lambda: True)
    assert ended == [True]
    assert not background.is_busy


def test_what_the_thread_raises_surfaces_once_in_who_asks() -> None:
    def work() -> Steps[None]:
        yield
        raise KeyError("x")

    background = Background()
    background.start(work())
    wait_until_idle(background)
    with pytest.raises(KeyError):
        background.raise_failure()
    background.raise_failure()
    background.wait()
    background.start(work())
    with pytest.raises(KeyError):
        background.wait()


def test_a_second_work_waits_for_the_first() -> None:
    done: list[int] = []

    def work(number: int) -> Steps[None]:
        for _ in range(3):
            time.sleep(0.005)
            yield
        done.append(number)

    background = Background()
    background.start(work(1))
    background.start(work(2))
    assert done[:1] == [1]
    background.wait()
    assert done == [1, 2]
