"""How well the plan foretells memory: `python benchmarks/plan.py`.

Claims, on the CPU, against the peak of the resident memory that a plain training loop of the
same batch size takes in a process of its own:

- the peak that the plan predicts for a size it has not tried is within 15 %;
- the growth alone, what is added to the memory before the first step, in which Python and its
  libraries have no part, is within 25 %, foretold or tried, or within 64 MB where it is small:
  glibc keeps freed blocks of up to 32 MB or gives them back, as it happens, in the arena of the
  main thread and in that of the backward pass, so that two plain loops differ too.

Each prediction and each measurement is a process of its own. The measured loop shares no
code with the plan: timm's network, torch's cross-entropy and the run's optimizer, on batches
of made photos. Writes benchmarks/results/plan.json, prints a table, and ends with status 1
where the claim does not hold.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.parts.keeping import keep

RESULTS = Path(__file__).parent / "results" / "plan.json"
LIMIT_FRACTION = 0.15
GROWTH_LIMIT_FRACTION = 0.25
KEPT_MB = 64.0
"""Twice glibc's DEFAULT_MMAP_THRESHOLD_MAX on 64 bits."""
STEPS = 3
CASES = (
    # model, side, sizes measured, size predicted
    ("resnet18", 96, (2, 4, 8), 16),
    ("resnet18", 96, (4, 8, 16), 32),
    ("mobilenetv3_small_100", 128, (2, 4, 8), 16),
    ("mobilenetv3_small_100", 128, (4, 8, 16), 32),
    ("vit_tiny_patch16_224", 224, (2, 4), 8),
    ("vit_tiny_patch16_224", 224, (2, 4, 8), 16),
    ("efficientnet_b0", 128, (2, 4, 8), 16),
    ("convnext_atto", 128, (2, 4, 8), 16),
)


def assembled(model: str, side: int, size: int, folder: Path, **train: Any) -> Any:
    """Return the parts of a run on a few made photos."""
    import numpy as np
    from PIL import Image

    from ecotui.config import RunConfig
    from ecotui.engine.assembly import assemble
    from ecotui.engine.data.index import build_index

    generator = np.random.Generator(np.random.PCG64(0))
    for name in ("one", "two"):
        (folder / name).mkdir()
        for number in range(4):
            noise = generator.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{number}.png")
    config = RunConfig.model_validate(
        {
            "data": {"root": str(folder), "image_size": side},
            "model": {"name": model, "pretrained": False},
            "train": {"batch_size": size, **train},
            "compute": {"device": "cpu", "threads": 1, "workers": 0},
        }
    )
    index = build_index(config.data, config.train.seed)
    return assemble(config, index, lambda event: None)


def predict(parts: Any, sizes: list[int], target: int) -> dict[str, float]:
    """Return the peak that the plan expects of a size it does not try, and the memory before."""
    from ecotui.engine.heap import release_freed
    from ecotui.engine.planning.borrowing import borrowed
    from ecotui.engine.planning.budget import Budget
    from ecotui.engine.planning.exploring import Explorer
    from ecotui.engine.planning.fitting import memory_line
    from ecotui.engine.planning.memory import Room, resident_bytes
    from ecotui.engine.planning.rehearsal import Rehearsal

    release_freed()
    before = resident_bytes() or 0
    with borrowed(parts, "benchmark"):
        budget = Budget(1e9, lambda: None)
        explorer = Explorer(Rehearsal(parts), Room(None, 0.0), budget, None, 2, lambda: None)
        found = explorer.explore(sizes)
        foretold, line = found.peak_bytes(target), memory_line(found.trials)
        explorer.try_size(found, target)
    verified = found.peak_bytes(target)
    slope = 0.0 if line is None else line.slope
    return {"before": before, "peak": foretold or 0, "verified": verified or 0, "slope": slope}


def measure(parts: Any, size: int) -> dict[str, float]:
    """Train plainly with a batch of that size, and return the peak and the memory before."""
    import torch
    from torch.nn.functional import cross_entropy

    from ecotui.engine.heap import release_freed
    from ecotui.engine.planning.memory import ProcessMeter, resident_bytes

    release_freed()
    before = resident_bytes() or 0
    meter = ProcessMeter()
    meter.begin()
    network, optimizer = parts.trainable.network, parts.trainable.optimizer
    side = parts.built.spec.image_size
    network.train()
    for _ in range(STEPS):
        images_BCHW, labels_B = torch.rand(size, 3, side, side), torch.arange(size) % 2
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(network(images_BCHW), labels_B).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return {"before": before, "peak": meter.peak_bytes() or 0}


def child(what: str, model: str, side: int, sizes: list[int], target: int) -> dict[str, float]:
    """Do one half of a case in this process."""
    with tempfile.TemporaryDirectory() as folder:
        parts = assembled(model, side, target, Path(folder))
        return predict(parts, sizes, target) if what == "predict" else measure(parts, target)


def apart(what: str, model: str, side: int, sizes: tuple[int, ...], target: int) -> dict[str, Any]:
    """Do one half of a case in a process of its own."""
    arguments = [what, model, str(side), ",".join(map(str, sizes)), str(target)]
    ran = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def compare(model: str, side: int, sizes: tuple[int, ...], target: int) -> dict[str, Any]:
    """Return prediction and measurement of a case, in MB, and how far they are apart."""
    told, real = (apart(what, model, side, sizes, target) for what in ("predict", "measure"))
    growth_told = told["peak"] - told["before"]
    growth_tried = told["verified"] - told["before"]
    growth_real = real["peak"] - real["before"]
    return {
        "model": model,
        "side": side,
        "measured_sizes": sizes,
        "size": target,
        "predicted_mb": told["peak"] / 1e6,
        "real_mb": real["peak"] / 1e6,
        "error_fraction": told["peak"] / real["peak"] - 1.0,
        "slope_mb": told["slope"] / 1e6,
        "growth_real_mb": growth_real / 1e6,
        "growth_predicted_error_fraction": growth_told / growth_real - 1.0,
        "growth_verified_error_fraction": growth_tried / growth_real - 1.0,
    }


def holds(result: dict[str, Any]) -> bool:
    """Say whether a case is as claimed."""
    growth_mb: float = result["growth_real_mb"]
    allowed_mb = max(KEPT_MB, GROWTH_LIMIT_FRACTION * growth_mb)
    errors_mb = [
        abs(result[f"growth_{name}_error_fraction"]) * growth_mb
        for name in ("predicted", "verified")
    ]
    is_near = abs(result["error_fraction"]) <= LIMIT_FRACTION
    return bool(is_near and max(errors_mb) <= allowed_mb)


def main() -> int:
    """Compare all cases and keep the result."""
    if len(sys.argv) > 1:
        what, model, side, sizes, target = sys.argv[1:]
        print(json.dumps(child(what, model, int(side), [*map(int, sizes.split(","))], int(target))))
        return 0
    found = []
    for case in CASES:
        result = compare(*case)
        found.append(result)
        print(
            f"{result['model']:24} {result['side']:4} px, {result['measured_sizes']!s:12} -> "
            f"{result['size']:3}: {result['predicted_mb']:7.0f} MB foretold, "
            f"{result['real_mb']:7.0f} MB taken ({result['error_fraction']:+.1%}); growth of "
            f"{result['growth_real_mb']:6.0f} MB: foretold "
            f"{result['growth_predicted_error_fraction']:+.1%}, tried "
            f"{result['growth_verified_error_fraction']:+.1%}",
            flush=True,
        )
    keep(RESULTS, found)
    worst = max(abs(each["error_fraction"]) for each in found)
    missed = [each["model"] for each in found if not holds(each)]
    print(f"worst of the peaks foretold: {worst:.1%}, limit {LIMIT_FRACTION:.0%}; missed: {missed}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
