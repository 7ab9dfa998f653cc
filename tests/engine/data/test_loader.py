from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import platform
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.config import AugmentConfig, DataConfig
from ecotui.engine import heap
from ecotui.engine.data.dataset import Batch, PhotoDataset
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.data.loader import EvalLoader, TrainLoader
from ecotui.engine.data.transforms import Transform, Transforms, build_transforms
from ecotui.engine.input_spec import InputSpec

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SPEC = InputSpec(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 0.9)
CAP = 1_000_000


@pytest.fixture(scope="module")
def index(photo_folder: Path) -> DataIndex:
    return build_index(DataConfig(root=str(photo_folder), val_fraction=0.25), 0)


@pytest.fixture(scope="module")
def transforms() -> Transforms:
    return build_transforms(SPEC, AugmentConfig(auto_augment="rand-m9-mstd0.5-inc1"))


def train_loader(
    index: DataIndex, transform: Transform, workers: int = 0, batch_size: int = 4, seed: int = 1
) -> TrainLoader:
    return TrainLoader(
        index,
        transform,
        batch_size=batch_size,
        seed=seed,
        sampling="shuffled",
        workers=workers,
        max_pixels=CAP,
    )


def eval_loader(index: DataIndex, transform: Transform, workers: int = 0) -> EvalLoader:
    return EvalLoader(index, "val", transform, batch_size=4, workers=workers, max_pixels=CAP)


def same(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.images_BCHW, other.images_BCHW)
        and torch.equal(one.labels_B, other.labels_B)
        and one.sample_ids == other.sample_ids
        and one.failures == other.failures
    )


def all_same(some: list[Batch], others: list[Batch]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))


def process_id(_: Image.Image) -> torch.Tensor:
    return torch.full((3, 1, 1), float(os.getpid()))


def refuse(_: Image.Image) -> torch.Tensor:
    raise RuntimeError("no\x1b")


def tell_settings(_: Image.Image) -> torch.Tensor:
    term, interrupt = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    raise RuntimeError(
        f"{term == signal.SIG_DFL} {interrupt == signal.SIG_IGN} {torch.get_num_threads()} "
        f"{heap._Kept.largest_bytes}"
    )


def memory_held() -> int:
    """Return the bytes of the largest memory file that this process has open."""
    held = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # of the listing itself
            if "memfd:" in os.readlink(f"/proc/self/fd/{name}"):
                held = max(held, os.fstat(int(name)).st_size)
    return held


def tell_memory(_: Image.Image) -> torch.Tensor:
    return torch.full((3, 1, 1), float(memory_held()))


def stick(_: Image.Image) -> torch.Tensor:
    time.sleep(600)
    raise AssertionError


class TestTraining:
    def test_bits_do_not_depend_on_the_number_of_workers(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        seen = []
        for workers in (0, 1, 2):
            loader = train_loader(index, transforms.train, workers)
            seen.append([*loader.epoch(1), *loader.epoch(2)])
            loader.close()
        assert all_same(seen[0], seen[1])
        assert all_same(seen[0], seen[2])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_the_processs_own_generators_are_untouched(
        self, index: DataIndex, transforms: Transforms, workers: int
    ) -> None:
        torch.manual_seed(3)
        before = (torch.random.get_rng_state(), random.getstate(), str(np.random.get_state()))
        loader = train_loader(index, transforms.train, workers)
        list(loader.epoch(1))
        loader.close()
        scores = eval_loader(index, transforms.evaluate, workers)
        list(scores)
        scores.close()
        assert torch.equal(before[0], torch.random.get_rng_state())
        assert before[1:] == (random.getstate(), str(np.random.get_state()))

    def test_the_generators_of_the_process_do_not_show_in_the_bits(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        seen = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            random.seed(seed)
            seen.append(list(train_loader(index, transforms.train).epoch(1)))
        assert all_same(seen[0], seen[1])

    def test_a_batch_is_what_it_says(self, index: DataIndex, transforms: Transforms) -> None:
        loader = train_loader(index, transforms.train)
        batches = list(loader.epoch(1))
        assert loader.steps_per_epoch == len(batches) == 4
        for batch in batches:
            assert batch.images_BCHW.shape == (4, 3, 8, 8)
            assert batch.images_BCHW.dtype == torch.uint8
            assert batch.labels_B.dtype == torch.int64
            assert batch.labels_B.tolist() == index.labels[list(batch.sample_ids)].tolist()
            assert batch.failures == ()
        ids = [sample_id for batch in batches for sample_id in batch.sample_ids]
        assert len(set(ids)) == 16
        assert set(ids) <= set(index.splits["train"].tolist())

    def test_epochs_and_seeds_differ(self, index: DataIndex, transforms: Transforms) -> None:
        def images(seed: int, epoch: int) -> dict[int, torch.Tensor]:
            batches = train_loader(index, transforms.train, seed=seed).epoch(epoch)
            return {
                sample_id: image
                for batch in batches
                for sample_id, image in zip(batch.sample_ids, batch.images_BCHW, strict=True)
            }

        base = images(1, 1)
        for other in (images(1, 2), images(2, 1)):
            common = base.keys() & other.keys()
            assert any(not torch.equal(base[i], other[i]) for i in common)

    def test_copies_of_one_photo_are_augmented_differently(
        self, tmp_path: Path, photo_folder: Path, transforms: Transforms
    ) -> None:
        source = photo_folder / "cat" / "default" / "01.png"
        for name in ("a/1", "a/2", "a/3", "a/4", "b/1", "b/2"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / f"{name}.png")
        copies = build_index(DataConfig(root=str(tmp_path)), 0)
        (batch,) = train_loader(copies, transforms.train).epoch(1)
        assert len({image.numpy().tobytes() for image in batch.images_BCHW}) == 4

    @pytest.mark.parametrize("workers", [0, 2])
    def test_starting_late_gives_the_same_tail(
        self, index: DataIndex, transforms: Transforms, workers: int
    ) -> None:
        whole = list(train_loader(index, transforms.train).epoch(5))
        loader = train_loader(index, transforms.train, workers)
        assert all_same(list(loader.epoch(5, start_batch=2)), whole[2:])
        assert list(loader.epoch(5, start_batch=99)) == []
        loader.close()

    @pytest.mark.parametrize("workers", [0, 2])
    def test_an_epoch_left_midway_does_not_leak_into_the_next(
        self, index: DataIndex, transforms: Transforms, workers: int
    ) -> None:
        whole = list(train_loader(index, transforms.train).epoch(2))
        loader = train_loader(index, transforms.train, workers)
        abandoned = loader.epoch(1)
        next(abandoned)
        assert all_same(list(loader.epoch(2)), whole)
        loader.close()

    def test_workers_stay_across_epochs(self, index: DataIndex) -> None:
        loader = train_loader(index, process_id, workers=2)
        pids = [
            {int(image[0, 0, 0]) for batch in loader.epoch(epoch) for image in batch.images_BCHW}
            for epoch in (1, 2)
        ]
        loader.close()
        assert pids[0] == pids[1]
        assert len(pids[0]) == 2
        assert os.getpid() not in pids[0]

    @pytest.mark.timeout(60)
    def test_closing_midway_leaves_no_process(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        before = set(multiprocessing.active_children())
        loader = train_loader(index, transforms.train, workers=2)
        abandoned = loader.epoch(1)
        next(abandoned)
        assert len(set(multiprocessing.active_children()) - before) == 2
        loader.close()
        loader.close()
        assert set(multiprocessing.active_children()) == before

    def test_a_closed_loader_can_be_used_again(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        loader = train_loader(index, transforms.train, workers=1)
        first = list(loader.epoch(1))
        loader.close()
        assert all_same(list(loader.epoch(1)), first)
        loader.close()


class TestFailures:
    @pytest.fixture
    def damaged(self, photo_folder: Path, tmp_path: Path) -> DataIndex:
        root = Path(shutil.copytree(photo_folder, tmp_path / "photos"))
        index = build_index(DataConfig(root=str(root), val_fraction=0.25), 0)
        for sample_id in index.splits["train"].tolist()[:3]:
            index.path_of(sample_id).write_bytes(b"not a photo")
        for sample_id in index.splits["val"].tolist()[:4]:
            index.path_of(sample_id).unlink()
        return index

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_file_that_fails_is_named_and_the_batch_goes_on(
        self, damaged: DataIndex, transforms: Transforms, workers: int
    ) -> None:
        loader = train_loader(damaged, transforms.train, workers, batch_size=18)
        (batch,) = loader.epoch(1)
        loader.close()
        bad = set(damaged.splits["train"].tolist()[:3])
        assert {failure.sample_id for failure in batch.failures} == bad
        assert {failure.reason[:11] for failure in batch.failures} == {"not a photo"}
        assert bad.isdisjoint(batch.sample_ids)
        assert len(batch.sample_ids) == len(batch.images_BCHW) == len(batch.labels_B) == 18
        assert batch.num_replaced == 3

    def test_the_others_are_as_they_would_be(
        self, damaged: DataIndex, index: DataIndex, transforms: Transforms
    ) -> None:
        (one,) = train_loader(damaged, transforms.train, batch_size=18).epoch(1)
        (other,) = train_loader(index, transforms.train, batch_size=18).epoch(1)
        bad = set(damaged.splits["train"].tolist()[:3])
        kept = [place for place, asked in enumerate(other.sample_ids) if asked not in bad]
        assert len(kept) == 15
        assert [one.sample_ids[place] for place in kept] == [
            other.sample_ids[place] for place in kept
        ]
        assert torch.equal(one.images_BCHW[kept], other.images_BCHW[kept])

    def test_a_batch_of_failures_only_is_empty(
        self, damaged: DataIndex, transforms: Transforms
    ) -> None:
        first, second = eval_loader(damaged, transforms.evaluate)
        assert first.images_BCHW.shape == (0, 3, 0, 0)
        assert first.labels_B.shape == (0,)
        assert first.labels_B.dtype == torch.int64
        assert first.sample_ids == ()
        assert [failure.reason for failure in first.failures] == ["the file does not exist"] * 4
        assert len(second.sample_ids) == 2

    def test_an_exception_of_the_transform_is_a_failure(self, index: DataIndex) -> None:
        batch = next(iter(eval_loader(index, refuse)))
        assert batch.failures[0].reason == r"cannot be transformed: RuntimeError: no\e"
        assert len(batch.failures) == 4


class TestEvaluation:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_the_split_comes_whole_and_in_order_each_time(
        self, index: DataIndex, transforms: Transforms, workers: int
    ) -> None:
        loader = eval_loader(index, transforms.evaluate, workers)
        passes = [list(loader), list(loader)]
        loader.close()
        assert [len(batch.sample_ids) for batch in passes[0]] == [4, 2]
        ids = [sample_id for batch in passes[0] for sample_id in batch.sample_ids]
        assert ids == index.splits["val"].tolist()
        assert loader.num_images == 6
        assert len(loader) == 2
        assert all_same(passes[0], passes[1])

    def test_bits_do_not_depend_on_the_number_of_workers(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        loader = eval_loader(index, transforms.evaluate, 2)
        assert all_same(list(loader), list(eval_loader(index, transforms.evaluate, 0)))
        loader.close()

    def test_an_empty_split_has_no_batches(self, index: DataIndex, transforms: Transforms) -> None:
        loader = EvalLoader(
            index, "test", transforms.evaluate, batch_size=4, workers=0, max_pixels=CAP
        )
        assert loader.num_images == 0
        assert list(loader) == []

    @pytest.mark.timeout(60)
    def test_closing_midway_leaves_no_process(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        before = set(multiprocessing.active_children())
        loader = eval_loader(index, transforms.evaluate, 2)
        abandoned = iter(loader)
        next(abandoned)
        loader.close()
        assert set(multiprocessing.active_children()) == before


class TestWorkers:
    def test_they_compute_on_one_thread_and_leave_interrupts_to_the_engine(
        self, index: DataIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(heap._Kept, "largest_bytes", 7)
        handler = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            loader = eval_loader(index, tell_settings, 1)
            batch = next(iter(loader))
            loader.close()
        finally:
            signal.signal(signal.SIGTERM, handler)
        assert batch.failures[0].reason.endswith("True True 1 7")

    @pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries differ")
    def test_they_keep_no_more_freed_memory_than_others_do(
        self, index: DataIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(heap._Kept, "largest_bytes", heap.LARGEST_BYTES)
        loader = eval_loader(index, tell_settings, 1)
        batch = next(iter(loader))
        loader.close()
        assert batch.failures[0].reason.endswith(f" {heap.USUAL_BYTES}")

    @pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's /proc")
    def test_they_do_not_hold_the_memory_of_other_workers_batches(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        trained = train_loader(index, transforms.train, workers=1)
        next(trained.epoch(0))
        assert memory_held() >= 4 * 3 * 8 * 8
        validated = eval_loader(index, tell_memory, workers=1)
        (told, *_) = validated
        assert not told.failures
        assert told.images_BCHW.max().item() <= 16  # its own board
        validated.close()
        trained.close()

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the Linux kernel")
    @pytest.mark.timeout(60)
    def test_even_stuck_ones_die_with_the_engine(self, index: DataIndex, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        engine = context.Process(target=_train_stuck, args=(index, tmp_path / "pids"))
        engine.start()
        pids = _wait_for_pids(tmp_path / "pids")
        assert all(map(_is_alive, pids))
        engine.kill()
        engine.join()
        give_up = time.monotonic() + 15
        while any(map(_is_alive, pids)) and time.monotonic() < give_up:
            time.sleep(0.02)
        left_over = [pid for pid in pids if _is_alive(pid)]
        for pid in left_over:
            os.kill(pid, signal.SIGKILL)
        assert left_over == []

    def test_what_they_are_given_can_be_sent_to_a_fresh_process(
        self, index: DataIndex, transforms: Transforms
    ) -> None:
        dataset = PhotoDataset(index, transforms.train, seed=1, max_pixels=CAP)
        sent = pickle.dumps(dataset)
        one, other = dataset[1, 0], pickle.loads(sent)[1, 0]  # noqa: S301
        assert torch.equal(one.image_CHW, other.image_CHW)  # type: ignore[union-attr]


def _train_stuck(index: DataIndex, told: Path) -> None:
    loader = train_loader(index, stick, workers=2)
    batches = loader.epoch(1)
    children = [str(child.pid) for child in multiprocessing.active_children()]
    told.with_suffix(".new").write_text(" ".join(children))
    told.with_suffix(".new").rename(told)
    next(batches)


def _wait_for_pids(told: Path) -> list[int]:
    while not told.exists():
        time.sleep(0.02)
    time.sleep(1.0)  # until the workers have asked the kernel and are stuck
    pids = [int(pid) for pid in told.read_text().split()]
    assert len(pids) == 2
    return pids


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
