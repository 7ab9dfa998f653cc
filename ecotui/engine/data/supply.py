"""Batches read ahead in order, whatever becomes of the processes that read them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ecotui.engine.data.dataset import Batch, PhotoDataset, collate
from ecotui.engine.data.pool import LoaderFault, WorkerPool
from ecotui.engine.data.sampler import Key
from ecotui.engine.data.supervision import (
    MAX_BLAMES,
    Blame,
    Patience,
    Rebuilt,
    Supervision,
    fewer_workers,
)
from ecotui.engine.data.workers import start_method
from ecotui.text import visible

AHEAD = 2
"""Batches asked of each worker ahead of their use."""

ATTEND_SECONDS = 0.25
"""How often a wait is interrupted to look at other things."""

_ENDS = {"died": "a worker died reading it", "hung": "reading it never ended"}


class Supply:
    """Reads batches with workers that are started anew where they die or hang.

    Which process reads a batch, and how often it was tried, does not show in its bits.

    Args:
        dataset: What is read.
        workers: Processes that read ahead; 0 reads in this one.
        supervision: Patience, and who is told; shared by the loaders of a run.
        pin_memory: Deliver page-locked tensors, for copies to CUDA.
        name_of: The file of a sample, for messages.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        workers: int,
        supervision: Supervision,
        *,
        pin_memory: bool,
        name_of: Callable[[int], str],
    ) -> None:
        self._dataset = dataset
        self._configured = self._workers = workers
        self._supervision = supervision
        self._name_of = name_of
        self._pinner = ThreadPoolExecutor(1, "pin") if pin_memory else None
        self._patience = Patience(supervision)
        self._blame = Blame()
        self._owed, self._waited = 0, 0.0
        self._num_healed = 0
        self._pool: WorkerPool | None = None
        self._is_fresh = True
        self._wanted: dict[int, list[Key]] = {}
        self._ready: dict[int, Callable[[], Batch]] = {}
        self._batches: Iterator[list[Key]] = iter(())
        self._next_asked = self._next_due = 0

    def read(self, batches: Iterator[list[Key]]) -> Iterator[Batch]:
        """Begin to read batches, and return them in order; ends an earlier reading.

        Args:
            batches: Keys of the samples of each.
        """
        self._next_due = self._next_asked = self._next_asked + 1  # what comes late is not wanted
        self._wanted.clear()
        self._ready.clear()
        self._batches = batches
        if self._workers:
            self._with_healing(self._ask_ahead)
        return self._deliver(self._next_due)

    def leave_out(self, sample_id: int, reason: str) -> None:
        """Read a sample no more, from the next call of `read` on."""
        self._dataset.leave_out(sample_id, reason)
        if self._pool is not None:
            self._pool.leave_out(sample_id, reason)

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Forget, after a block, which samples its workers were lost at."""
        before = self._num_healed
        try:
            with self._dataset.forgiving():
                yield
        finally:
            if self._num_healed != before:
                self._workers, self._blame, self._owed = self._configured, Blame(), 0
                self.close()

    def close(self) -> None:
        """End the workers, also in the middle of a reading."""
        self._batches = iter(())
        self._next_asked += 1
        self._next_due = self._next_asked
        self._wanted.clear()
        self._ready.clear()
        self._end_pool()

    def _deliver(self, serial: int) -> Iterator[Batch]:
        while serial == self._next_due:
            self._waited = 0.0
            batch = self._next()
            if batch is None:
                return
            self._patience.note(self._waited)
            self._note_good(batch)
            serial += 1
            yield batch

    def _next(self) -> Batch | None:
        """Return the batch that is due, or None where there are no more."""
        while self._workers:
            found = self._with_healing(self._wait_for_due)
            if found or not self._wanted:
                break
        if self._next_due in self._ready:
            batch = self._ready.pop(self._next_due)()
            del self._wanted[self._next_due]
        else:
            keys = self._wanted.pop(self._next_due, None) or next(self._batches, None)
            if keys is None:
                return None
            self._next_asked = max(self._next_asked, self._next_due + 1)
            batch = self._read_here(keys)
        self._next_due += 1
        if self._pool is not None:
            self._ask_ahead()
        return batch

    def _with_healing(self, work: Callable[[], bool]) -> bool:
        try:
            return work()
        except LoaderFault as fault:
            self._heal(fault)
            return False

    def _ask_ahead(self) -> bool:
        """Keep the workers busy, and say whether any batch is due."""
        if self._pool is None:
            self._pool = WorkerPool(self._dataset, self._workers, start_method())
            self._is_fresh = True
        while self._next_asked < self._next_due + AHEAD * len(self._pool):
            keys = self._wanted.get(self._next_asked) or next(self._batches, None)
            if keys is None:
                break
            self._wanted[self._next_asked] = keys
            self._pool.ask(self._next_asked, keys)
            self._next_asked += 1
        return bool(self._wanted)

    def _wait_for_due(self) -> bool:
        """Wait until the batch that is due has come; no where none is."""
        if not self._ask_ahead() or self._pool is None:
            return False
        place, still_seconds = self._pool.place(self._next_due), 0.0
        self._collect(self._pool, 0.0)
        while self._next_due not in self._ready:
            self._supervision.attend()
            still_seconds += self._collect(self._pool, ATTEND_SECONDS)
            now = self._pool.place(self._next_due)
            if now != place:
                place, still_seconds = now, 0.0
            patience = self._patience.seconds(is_fresh=self._is_fresh)
            if still_seconds > patience:
                raise self._pool.hung(self._next_due, patience)
        return True

    def _collect(self, pool: WorkerPool, seconds: float) -> float:
        """Take what has come, and return how long that was waited for.

        A job that was suspended, or paused by somebody who was attended to, did not wait.
        """
        started = time.monotonic()
        found = pool.wait(seconds)
        waited = min(time.monotonic() - started, 2 * ATTEND_SECONDS)
        self._waited += waited
        for serial, batch in found:
            self._is_fresh = False
            if serial not in self._wanted:
                continue
            if self._pinner is None:
                self._ready[serial] = _held(batch)
            else:
                self._ready[serial] = self._pinner.submit(batch.pin_memory).result
        return waited

    def _heal(self, fault: LoaderFault) -> None:
        """Start anew at the batch that is due, or give up.

        Raises:
            LoaderFaultError: There were too many faults.
        """
        self._num_healed += 1
        self._supervision.attend()  # who stops a run may have ended its workers first
        what = self._told(fault)
        if self._pool is not None:
            self._pool.dump_stacks()
            self._supervision.attend()
            self._end_pool()
            self._supervision.attend()
        self._supervision.spend(what)
        before, self._workers = self._workers, fewer_workers(self._workers, fault)
        if self._blame.put(fault) and fault.sample_id is not None:
            self._dataset.leave_out(fault.sample_id, _ENDS[fault.kind])
            self._blame.clear(fault.sample_id)
            self._workers = self._configured  # they were not at fault
            self._owed += MAX_BLAMES
        self._ready.clear()
        self._next_asked = self._next_due
        left = self._supervision.rebuilds_left
        self._supervision.tell(Rebuilt(what, before, self._workers, left))

    def _told(self, fault: LoaderFault) -> str:
        if fault.sample_id is None:
            return fault.what
        return f"{fault.what}, at {visible(self._name_of(fault.sample_id), limit=200)}"

    def _read_here(self, keys: Sequence[Key]) -> Batch:
        items = []
        self._dataset.patience_seconds = self._supervision.in_process_seconds
        for key in keys:
            self._supervision.attend()
            items.append(self._dataset[key])
        batch = collate(items)
        return batch if self._pinner is None else batch.pin_memory()

    def _note_good(self, batch: Batch) -> None:
        for sample_id in batch.sample_ids:
            self._blame.clear(sample_id)
        self._supervision.note_good()
        self._supervision.give_back(self._owed)
        self._owed = 0

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None


def _held(batch: Batch) -> Callable[[], Batch]:
    return lambda: batch
