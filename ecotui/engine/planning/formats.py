"""Number format and memory layout of a new run, chosen by measuring in a process of its own.

No choice is right for every model: on one CPU bf16 made eva02_base 2.9 times as fast and a small
MobileNet 0.83 times. What is chosen goes into `resolved.toml`, from which a later attempt and a
repetition take it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch

from ecotui.config import ComputeConfig
from ecotui.engine import heap
from ecotui.engine.assembly import Parts
from ecotui.engine.changes import changed
from ecotui.engine.compute import Precision, make_scaler, probe_capabilities
from ecotui.engine.data.workers import start_method
from ecotui.engine.planning.borrowing import borrowed
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.format_cache import keep, recall, trial_of
from ecotui.engine.planning.format_choice import Choice, choose, formats_to_try
from ecotui.engine.planning.format_trial import FEWEST_STEPS, PLAIN, Format, Trial, seconds_on

RULES = 2
"""Of measuring: to be raised where what is cached means no longer the same."""

LIMIT_SECONDS = 60.0
"""For all formats, and at most half of preflight's budget."""

WORTH_FRACTION = 0.10
"""Of the run's own computing may measuring take; a win of 10 % then pays for it."""

START_SECONDS = 6.0
"""Until a process has loaded torch and timm."""

STEP_SECONDS = 1.5
"""Of timed steps of each format."""

MOST_STEP_SECONDS = 1.0
"""Of one step: the images of a large model are fewer than the micro-batch on the CPU. Ratios
hardly depend on it, as such models compute with full cores on two images already."""

BACKWARD_FACTOR = 3.0
"""A training step in the time of scoring. Backward takes about two forward passes."""

_FEW_IMAGES = 4
_SECONDS_TO_DIE = 2.0
_MAX_BYTES = 262_144
_POLL_SECONDS = 0.05
_CODE = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from ecotui.engine.planning.format_child import main\n"
    "main(json.loads(sys.argv[2]))\n"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is open, and with what it is measured.

    Attributes:
        usual: What is used where nothing is measured.
        formats: To be tried, in order.
        shape: Images a step, their side in pixels, and classes.
        facts: All that the measurement depends on.
        known: What was measured of them before; None where it has to be measured.
    """

    usual: Format
    formats: tuple[Format, ...]
    shape: tuple[int, int, int]
    facts: dict[str, Any]
    known: tuple[Trial, ...] | None


def open_formats(parts: Parts, asked: ComputeConfig) -> Wish | None:
    """Return what is worth measuring; None where nothing is open, or the run is too short.

    On MPS nothing is measured: bf16 depends on the release of torch there. A compiled model would
    be compiled for each format, a minute each.

    Args:
        parts: Of a run before its first step; the same afterwards.
        asked: The request.
    """
    preflight, compute = parts.config.preflight, parts.compute
    is_wanted = preflight.level != "off" and "formats" not in preflight.skip
    is_auto = "auto" in (asked.precision, asked.channels_last)
    if not (is_wanted and is_auto) or asked.compile or compute.device_type == "mps":
        return None
    usual = Format(compute.precision, compute.channels_last)
    formats = formats_to_try(
        usual,
        any_precision=asked.precision == "auto",
        any_layout=asked.channels_last == "auto",
        mixed=_mixed(compute.device_type),
    )
    facts = _facts(parts, formats)
    known = recall(facts)
    image_seconds = 0.0 if known is not None else _image_seconds(parts)
    size = compute.micro_batch_size
    if compute.device_type == "cpu" and image_seconds:
        size = min(size, max(2, int(MOST_STEP_SECONDS / image_seconds)))
    each = max(FEWEST_STEPS * size * image_seconds, STEP_SECONDS)
    takes_seconds = START_SECONDS + len(formats) * each
    images = parts.planned_steps * parts.config.train.batch_size
    if known is None and takes_seconds > WORTH_FRACTION * images * image_seconds:
        return None
    shape = (size, parts.built.spec.image_size, parts.num_classes)
    return Wish(usual, tuple(formats), shape, facts, None if known is None else tuple(known))


def choose_formats(
    parts: Parts,
    wish: Wish,
    budget: Budget,
    on_trial: Callable[[], None] = lambda: None,
    *,
    code: str | None = None,
) -> str:
    """Measure what is open, and put the winner into the parts of a run before its first step.

    Args:
        parts: Of the run. Memory layout, gradient scaler, configuration and loaders change.
        wish: What is open.
        budget: Of preflight.
        on_trial: Called after each format.
        code: Of the process that tries.

    Returns:
        What was chosen and why, a sentence.
    """
    started = time.monotonic()
    limit = budget.part(0.5)
    limit.seconds = min(LIMIT_SECONDS, limit.seconds)
    trials = wish.known
    if trials is None:
        trials = tuple(_tried(_request(parts, wish, limit), limit, on_trial, code or _CODE))
    candidates = wish.formats if wish.usual == PLAIN else wish.formats[1:]
    choice = choose(trials, wish.usual, candidates)
    took = "measured before on this machine"
    if wish.known is None:
        took = f"measured in {time.monotonic() - started:.0f} s"
        if not choice.fault and choice.is_steady:
            keep(wish.facts, trials)
    _take(parts, choice.format)
    return told(choice, wish.usual, took)


def told(choice: Choice, usual: Format, took: str) -> str:
    """Return a choice in words.

    Args:
        choice: The choice.
        usual: What was there before.
        took: How it came to be known.
    """
    form = choice.format
    layout = "true" if form.channels_last else "false"
    head = f"compute.precision = {form.precision}, compute.channels_last = {layout}: "
    left_out = "".join(f"; {each}: left out" for each in choice.left_out)
    if choice.fault:
        return f"{head}the usual choice, as others could not be compared ({choice.fault})"
    if form != usual:
        name = "plain" if usual == PLAIN else "usual"
        speed = f"{choice.speed:.2g} times the {name} speed ({usual})"
        return f"{head}{speed}; {took}{left_out}"
    others = ", ".join(f"{each} {speed:.2g} times" for each, speed in choice.slower)
    why = f"no other format is 10 % faster ({others})" if others else "the usual choice"
    return f"{head}{why}; {took}{left_out}"


def _mixed(device_type: str) -> Precision:
    """Return the short number format of a kind of device."""
    is_old = device_type == "cuda" and not probe_capabilities().cuda_has_bf16
    return "fp16" if is_old else "bf16"


def _image_seconds(parts: Parts) -> float:
    """Return what training takes an image in the usual format, about; nothing changes by it."""
    compute = parts.compute
    few = min(_FEW_IMAGES, compute.micro_batch_size)
    side, network = parts.built.spec.image_size, parts.trainable.network
    images_BCHW = compute.to_device(torch.zeros(few, 3, side, side))
    taken: list[float] = []
    with borrowed(parts, "formats"), torch.inference_mode(), compute.autocast():
        network.eval()
        for _ in range(3):
            started = seconds_on(compute.device)
            network(images_BCHW)
            taken.append(seconds_on(compute.device) - started)
    return max(1e-9, BACKWARD_FACTOR * min(taken) / few)


def _facts(parts: Parts, formats: Sequence[Format]) -> dict[str, Any]:
    config, compute = parts.config, parts.compute
    is_cuda = compute.device_type == "cuda"
    return {
        "rules": RULES,
        "model": config.model.model_dump(exclude={"pretrained", "weights"}),
        "image_size": parts.built.spec.image_size,
        "micro_batch_size": compute.micro_batch_size,
        "optimizer": config.train.optimizer,
        "formats": [[each.precision, each.channels_last] for each in formats],
        "threads": compute.threads,
        "deterministic": config.compute.deterministic,
        "device": torch.cuda.get_device_name(compute.device) if is_cuda else _processor(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "allocator": {name: os.environ[name] for name in _ALLOCATOR if name in os.environ},
    }


_ALLOCATOR = (*heap.SETTINGS, heap.TUNABLES, "MALLOC_TOP_PAD_", "LD_PRELOAD")


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _request(parts: Parts, wish: Wish, limit: Budget) -> dict[str, Any]:
    compute = asdict(parts.compute)
    compute.pop("warnings")
    return {
        "model": parts.config.model.model_dump(mode="json"),
        "data": parts.config.data.model_dump(mode="json"),
        "train": parts.config.train.model_dump(mode="json"),
        "compute": compute,
        "deterministic": parts.config.compute.deterministic,
        "shape": list(wish.shape),
        "formats": [[each.precision, each.channels_last] for each in wish.formats],
        "step_seconds": STEP_SECONDS,
        "patience_seconds": limit.seconds / 2,
        "parent": os.getpid(),
    }


def _tried(
    request: dict[str, Any], limit: Budget, on_trial: Callable[[], None], code: str
) -> Iterator[Trial]:
    """Try the formats of a request; what there is no time for is missing.

    Where a process cannot fork safely each format has a process of its own.
    """
    formats: Sequence[Any] = request["formats"]
    requests = [request]
    if start_method() != "fork":
        requests = [{**request, "formats": [each]} for each in formats]
    for each in requests:
        seen = 0
        for trial in _answers(each, limit, code):
            seen += 1
            on_trial()
            yield trial
        if not seen and limit.left_seconds and len(requests) > 1:
            precision, layout = each["formats"][0]
            yield Trial(Format(precision, layout), fault="its process crashed")


def _import_path() -> list[str]:
    """Return where the child finds its packages: ours too where nobody put them on the path."""
    own = str(Path(__file__).resolve().parents[3])
    return [*filter(None, sys.path), own]


def _answers(request: dict[str, Any], limit: Budget, code: str) -> Iterator[Trial]:
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, json.dumps(_import_path()), json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            close_fds=True,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    except OSError:
        return
    pipe = process.stdout
    if pipe is None:
        raise RuntimeError("a child without a pipe")
    partial = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while limit.left_seconds:
                limit.poll()
                if not selector.select(_POLL_SECONDS):
                    continue
                chunk = os.read(pipe.fileno(), 65_536)
                if not chunk:
                    return
                *lines, partial = (partial + chunk)[-_MAX_BYTES:].split(b"\n")
                for line in lines:
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        yield trial_of(json.loads(line))
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_DIE)
        pipe.close()


def _take(parts: Parts, form: Format) -> None:
    """Put a format into the parts of a run."""
    compute = replace(parts.compute, precision=form.precision, channels_last=form.channels_last)
    if compute == parts.compute:
        return
    layout = torch.channels_last if compute.channels_last else torch.contiguous_format
    for network in {parts.trainable.network, parts.judged}:
        network.to(memory_format=layout)
    parts.trainable = replace(parts.trainable, scaler=make_scaler(compute))
    values = {"precision": form.precision, "channels_last": form.channels_last}
    parts.exchange(changed(parts.config, "compute", values), compute)
