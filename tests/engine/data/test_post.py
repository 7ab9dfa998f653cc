"""Pixels on their way from a worker to the engine, in files that are used again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.data import memory_file
from ecotui.engine.data.post import Inbox, Outbox


@pytest.fixture
def file() -> Iterator[int]:
    """Return the descriptor of an empty memory file."""
    descriptor = memory_file.create()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[tuple[Outbox, Inbox]]:
    """Return both ends of a worker's post."""
    outbox, inbox = Outbox(), Inbox()
    yield outbox, inbox
    outbox.close()
    inbox.close()


def passed_on(outbox: Outbox, inbox: Inbox, images: torch.Tensor) -> tuple[int, torch.Tensor]:
    number, descriptor = outbox.put(images)
    return number, inbox.take(number, descriptor, list(images.shape), images.dtype)


class TestMemoryFiles:
    def test_what_is_read_is_a_copy(self, file: int) -> None:
        image = torch.randn(3, 3, 5, 5)
        memory_file.write(file, image[:, :, ::2])
        read = memory_file.read(file, (3, 3, 3, 5), torch.float32)
        memory_file.write(file, torch.zeros(3, 3, 3, 5))
        assert read.equal(image[:, :, ::2])

    def test_eight_bits_stay_eight_bits(self, file: int) -> None:
        image = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
        memory_file.write(file, image)
        assert os.fstat(file).st_size == 48
        assert memory_file.read(file, (1, 3, 4, 4), torch.uint8).equal(image)

    def test_other_numbers_are_refused(self, file: int) -> None:
        with pytest.raises(TypeError, match="float64"):
            memory_file.write(file, torch.ones(3, dtype=torch.float64))

    def test_too_few_bytes_are_told(self, file: int) -> None:
        memory_file.write(file, torch.ones(3))
        with pytest.raises(ValueError, match="12 bytes came of 16384"):
            memory_file.read(file, (4, 1024), torch.float32)

    @pytest.mark.parametrize("how", ["absent", "forbidden"])
    def test_without_memory_files_an_unnamed_one_on_disk_does(
        self, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        def forbidden(*_: object) -> int:
            raise PermissionError

        if how == "absent":
            monkeypatch.delattr(os, "memfd_create")
        else:
            monkeypatch.setattr(os, "memfd_create", forbidden)
        image = torch.randn(2, 3)
        descriptor = memory_file.create()
        memory_file.write(descriptor, image)
        assert memory_file.read(descriptor, (2, 3), torch.float32).equal(image)
        assert os.fstat(descriptor).st_nlink == 0
        os.close(descriptor)

    def test_a_system_that_reads_in_one_way_only_gives_the_same(
        self, file: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "preadv")
        image = torch.randn(2, 3)
        memory_file.write(file, image)
        assert memory_file.read(file, (2, 3), torch.float32).equal(image)
        with pytest.raises(ValueError, match="24 bytes came"):
            memory_file.read(file, (4, 1024), torch.float32)

    def test_bytes_may_go_and_come_in_pieces(
        self, file: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, read = os.pwrite, os.preadv
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:5], at))
        monkeypatch.setattr(os, "preadv", lambda fd, parts, at: read(fd, [parts[0][:7]], at))
        image = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
        memory_file.write(file, image)
        assert memory_file.read(file, (1, 3, 4, 4), torch.uint8).equal(image)


class TestPost:
    def test_a_file_is_filled_again_once_it_was_emptied(self, ends: tuple[Outbox, Inbox]) -> None:
        outbox, inbox = ends
        first, second = (torch.full((2, 3, 4, 4), value, dtype=torch.uint8) for value in (1, 2))
        number, taken = passed_on(outbox, inbox, first)
        outbox.take_back(inbox.emptied())
        assert outbox.put(second) == (number, None)
        assert inbox.take(number, None, second.shape, torch.uint8).equal(second)
        assert taken.equal(first)
        assert inbox.emptied() == [number]
        assert inbox.emptied() == []

    def test_what_was_not_emptied_is_not_written_over(self, ends: tuple[Outbox, Inbox]) -> None:
        outbox, inbox = ends
        batches = [torch.full((1, 3, 2, 2), float(value)) for value in range(4)]
        put = [outbox.put(each) for each in batches]
        assert len({number for number, _ in put}) == len(batches)
        for (number, descriptor), batch in zip(reversed(put), reversed(batches), strict=True):
            assert inbox.take(number, descriptor, batch.shape, torch.float32).equal(batch)

    @given(
        st.lists(
            st.tuples(
                st.integers(1, 5), st.sampled_from([torch.uint8, torch.float32]), st.booleans()
            ),
            min_size=1,
            max_size=30,
        )
    )
    def test_every_batch_comes_as_it_was_whatever_came_before(
        self, batches: list[tuple[int, torch.dtype, bool]]
    ) -> None:
        outbox, inbox = Outbox(), Inbox()
        numbers = set()
        for at, (count, dtype, tells) in enumerate(batches):
            images = torch.arange(count * 12).add(at).remainder(251).to(dtype).view(count, 3, 2, 2)
            number, taken = passed_on(outbox, inbox, images)
            numbers.add(number)
            assert taken.dtype == dtype
            assert taken.equal(images)
            if tells:
                outbox.take_back(inbox.emptied())
        assert len(numbers) <= 1 + sum(not tells for _, _, tells in batches)
        outbox.close()
        inbox.close()

    def test_a_file_that_never_came_is_told(self, ends: tuple[Outbox, Inbox]) -> None:
        with pytest.raises(ValueError, match="file 3 never came"):
            ends[1].take(3, None, (1,), torch.uint8)

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_write_that_fails_leaves_nothing_behind(
        self, ends: tuple[Outbox, Inbox], monkeypatch: pytest.MonkeyPatch, is_first: bool
    ) -> None:
        outbox, inbox = ends
        batch = torch.ones(1, 3, 2, 2)
        if not is_first:
            passed_on(outbox, inbox, batch)
            outbox.take_back(inbox.emptied())
        before = len(os.listdir("/dev/fd"))

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(OSError, match="No space"):
                outbox.put(batch)
        assert len(os.listdir("/dev/fd")) == before
        assert passed_on(outbox, inbox, batch)[1].equal(batch)

    def test_closing_gives_the_files_back(self) -> None:
        outbox, inbox = Outbox(), Inbox()
        passed_on(outbox, inbox, torch.ones(1))
        passed_on(outbox, inbox, torch.ones(1))
        before = len(os.listdir("/dev/fd"))
        inbox.close()
        assert len(os.listdir("/dev/fd")) == before - 2
        outbox.close()
        assert len(os.listdir("/dev/fd")) == before - 4
