"""The describe job: look at a folder of photos, without torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecotui.config import DataConfig
from ecotui.engine.data.decode import DecodeError, read_size
from ecotui.engine.data.index import DataIndex, build_index
from ecotui.engine.emit import Emit
from ecotui.engine.waiting import while_polling
from ecotui.errors import UsageError
from ecotui.events import DatasetDescribed, SetupAdvanced
from ecotui.jobs import DescribeJob
from ecotui.text import counted, visible

MAX_MEASURED_FILES = 200
MAX_CLASS_NAMES = 100


def describe(job: DescribeJob, emit: Emit, poll: Callable[[], None] = lambda: None) -> None:
    """State the layout, classes, split and sizes of a folder of photos.

    Args:
        job: Which folder.
        emit: Where the facts go.
        poll: Called while waiting; what it raises ends the job.

    Emits:
        SetupAdvanced, DatasetDescribed.

    Raises:
        UsageError: The folder is not a data set that can be trained on.
        EnvironmentFaultError: The demo's images cannot be made.
    """
    emit(SetupAdvanced(doing="looking at the photos"))
    index = while_polling(lambda: build_index(DataConfig(root=job.data_root), seed=0), poll)
    counts = np.bincount(index.labels, minlength=index.num_classes)
    width, height = while_polling(lambda: _median_size(index), poll)
    emit(
        DatasetDescribed(
            layout=index.layout,
            class_names=tuple(visible(name) for name in index.class_names[:MAX_CLASS_NAMES]),
            num_classes=index.num_classes,
            num_train=len(index.splits["train"]),
            num_val=len(index.splits["val"]),
            num_test=len(index.splits["test"]),
            smallest_class=int(counts.min()),
            largest_class=int(counts.max()),
            median_width=width,
            median_height=height,
            class_counts=tuple(counts[:MAX_CLASS_NAMES].tolist()),
        )
    )


def _median_size(index: DataIndex) -> tuple[int, int]:
    """Return the median width and height, in pixels, over files spread through the data set."""
    count = len(index.names)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_MEASURED_FILES)).astype(int))
    sizes: list[tuple[int, int]] = []
    reason = ""
    for sample_id in chosen.tolist():
        try:
            sizes.append(read_size(index.path_of(sample_id)))
        except DecodeError as error:
            reason = error.reason
    if not sizes:
        raise UsageError(
            f"none of {counted(len(chosen), 'file')} looked at in {visible(index.root)} "
            f"is a photo: {reason}",
            "photos that can be read",
            "correct data.root, or write the photos again",
        )
    width, height = np.median(np.array(sizes), axis=0)
    return int(width), int(height)
