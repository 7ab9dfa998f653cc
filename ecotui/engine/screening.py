"""Layer 4: what a batch must be like before it is let near the model; looked at on the host."""

from __future__ import annotations

from ecotui.engine.data.dataset import IMAGE_DTYPES, fault_of, has_usable_numbers
from ecotui.engine.data.loader import Batch


def faults_in(batch: Batch, *, image_size: int, num_classes: int) -> dict[int, str]:
    """Return why samples of a batch must not be used, by their position in it.

    A label out of range ends the process on CUDA, and one image that is not finite
    makes all of a batch NaN.

    Args:
        batch: In host memory.
        image_size: Side of the model's input, pixels.
        num_classes: K.
    """
    if not batch.labels_B.numel() or _is_clean(batch, image_size, num_classes):
        return {}
    found: dict[int, str] = {}
    for position, image_CHW in enumerate(batch.images_BCHW):
        label = int(batch.labels_B[position])
        if not 0 <= label < num_classes:
            found[position] = f"its label is {label}, not one of 0 to {num_classes - 1}"
        elif fault := fault_of(image_CHW, image_size):
            found[position] = fault
    return found


def _is_clean(batch: Batch, image_size: int, num_classes: int) -> bool:
    images_BCHW, labels_B = batch.images_BCHW, batch.labels_B
    if tuple(images_BCHW.shape[1:]) != (3, image_size, image_size):
        return False
    labels = labels_B.tolist()
    is_in_range = min(labels) >= 0 and max(labels) < num_classes
    is_known = images_BCHW.dtype in IMAGE_DTYPES
    return is_in_range and is_known and has_usable_numbers(images_BCHW)
