"""What training asks of memory beside a bare loop: `python -m benchmarks.memory [ROUNDS]`.

Claim: the engine's peak is at most 1.1 of a bare loop's with the same model, photos, batch and
fused optimizer, the one host copy of the state that saving and rollback share aside. Both are
processes of their own that read the same made JPEGs themselves, without workers, and train and
evaluate alike; the decoded cache is off. In turn; the bare loop is measured twice a round, which
shows how much of a difference is noise. The peak is the resident memory that the system reports
at the end of a process. Prints one JSON object, keeps it in `benchmarks/results/memory.json`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.audit import write_photos
from benchmarks.parts.keeping import keep

DEFAULT_ROUNDS = 3
TARGET_RATIO = 1.1
PHOTOS, SIDE, BATCH, EPOCHS = 256, 128, 32, 2
MODELS = ("resnet18", "vit_tiny_patch16_224")
RESULT = Path(__file__).with_name("results") / "memory.json"
BARE = """
import sys, timm, timm.data, torch
root, model, side, batch, epochs = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
network = timm.create_model(model, num_classes=2, **({"img_size": side} if "vit" in model else {}))
sets = [timm.data.create_dataset("", root=f"{root}/{split}") for split in ("train", "val")]
train, val = (
    timm.data.create_loader(
        each, (3, side, side), batch, is_training=each is sets[0], num_workers=0,
        use_prefetcher=False, persistent_workers=False,
    )
    for each in sets
)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
for epoch in range(epochs):
    network.train()
    for images, labels in train:
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    network.eval()
    with torch.inference_mode():
        for images, labels in val:
            network(images).argmax(1).eq(labels).sum().item()
print(sum(each.numel() * each.element_size() for each in network.state_dict().values()))
"""


def peak_bytes(argv: list[str], folder: Path) -> tuple[int, str]:
    """Run a command to its end; return its peak of resident memory, and what it printed."""
    with (folder / "printed").open("w+b") as printed:
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(argv, stdout=printed, env=environ, cwd=folder) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        words = printed.read().decode()
    if process.returncode != 0:
        log = Path(argv[-1]) / "events.jsonl"
        told = log.read_text()[-1000:] if log.is_file() else words[-1000:]
        raise AssertionError(f"{argv}: {told}")
    return usage.ru_maxrss * 1024, words


def engine(folder: Path, photos: Path, model: str, number: int) -> list[str]:
    """Make a run directory, and return the command of its engine."""
    run = folder / "runs" / f"{model}-20260101-00000{number}-abcd"
    run.mkdir(parents=True)
    (run / "job.json").write_text('{"kind":"train"}')
    (run / "config.toml").write_text(
        f'[data]\nroot = "{photos}"\nimage_size = {SIDE}\ncache = false\n'
        f'[model]\nname = "{model}"\npretrained = false\n'
        f"[train]\nepochs = {EPOCHS}\nbatch_size = {BATCH}\nlearning_rate = 1e-3\n"
        "clip_gradient_norm = 1.0\n"
        '[compute]\nworkers = 0\nthreads = 1\ndevice = "cpu"\nprecision = "fp32"\n'
        'channels_last = false\n[preflight]\nlevel = "off"\n'
    )
    return [sys.executable, "-m", "ecotui.engine", str(run)]


def compared(folder: Path, photos: Path, model: str, rounds: int) -> dict[str, float]:
    """Return peaks in bytes, medians of the rounds, and the ratio of them."""
    bare = [sys.executable, "-c", BARE, str(photos), model, str(SIDE), str(BATCH), str(EPOCHS)]
    peaks: dict[str, list[int]] = {"bare": [], "engine": [], "bare_again": []}
    state_bytes = 0
    for number in range(rounds):
        taken, words = peak_bytes(bare, folder)
        peaks["bare"].append(taken)
        # Weights, and two moments of the same size.
        state_bytes = 3 * int(words)
        peaks["engine"].append(peak_bytes(engine(folder, photos, model, number), folder)[0])
        peaks["bare_again"].append(peak_bytes(bare, folder)[0])
    middle = {name: statistics.median(each) for name, each in peaks.items()}
    return {
        **{f"{name}_bytes": value for name, value in middle.items()},
        "host_copy_bytes": state_bytes,
        "ratio": (middle["engine"] - state_bytes) / middle["bare"],
        "ratio_with_the_copy": middle["engine"] / middle["bare"],
        "ratio_control": middle["bare_again"] / middle["bare"],
        "target_ratio": TARGET_RATIO,
    }


def main() -> None:
    """Measure, keep and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS
    found: dict[str, object] = {"rounds": rounds, "side": SIDE, "batch": BATCH}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        for split, count in (("train", PHOTOS), ("val", PHOTOS // 4)):
            write_photos(folder / "photos" / split, count, 512, 384)
        for model in MODELS:
            found[model] = compared(folder, folder / "photos", model, rounds)
            print(f"{model}: {json.dumps(found[model])}", file=sys.stderr)
    keep(RESULT, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
