"""Every name that an alert can carry: what is watched beside the training, and the register's own.

What is said of a name anywhere, in pages, screens and summaries, comes from here and from
`ecotui.guard_register`.
"""

from __future__ import annotations

from ecotui.guard_register import GUARD_NAMES, GUARD_REGISTER, Entry

_TOLD = "told, and again once it is over"
_PAUSES = "told; where it is critical, a checkpoint is saved and the run pauses"

WATCH_REGISTER: dict[str, Entry] = {
    "stall": Entry(
        1,
        "no progress",
        "how long nothing was done, against the slowest steps of this run: 60 s, or ten times the "
        "99th percentile if that is more; half an hour before the first step, and twice as long "
        "while photos are waited for",
        "a run that hangs looks like one that is slow, and burns a night",
        (
            "look at the end of engine.log, where the stacks of all threads are: ecotui logs RUN",
            "look at the device (nvidia-smi), and at the disk or network that the photos come from",
            "if it does not come back: ecotui stop RUN, then ecotui resume RUN",
        ),
        "the stacks of all threads go to engine.log; ten times the limit is critical, and the run "
        "saves and pauses as soon as it can act",
        ("watch.stall_seconds", "watch.stall_factor", "watch.first_stall_seconds"),
        "NVRx (time-outs learned from what was observed, times a factor)",
    ),
    "throughput": Entry(
        1,
        "slower than before",
        "an epoch's images a second, against the median of the run's own earlier epochs; the "
        "first epoch does not count, and at least three others must",
        "another program, a hot card or a sick disk can double the time of a run in silence",
        (
            "look for other programs on the processors and on the device",
            "look at the temperature of the GPU",
            "look at the disk that the photos lie on",
        ),
        _TOLD,
        ("watch.slow_pace_fraction",),
    ),
    "starved_loader": Entry(
        1,
        "the device waits for photos",
        "the share of the time that goes by waiting for the loader, over two minutes",
        "a device that waits costs as much as one that computes",
        (
            "more workers, where processors are idle: --set compute.workers=N",
            "smaller photos, where all processors are busy decoding: store them near to the size "
            "that the model sees",
            "a local copy of the data, where neither helps: the disk or the network is too slow",
        ),
        "told with the remedy that fits; " + _TOLD.partition(", ")[2],
        ("watch.starved_fraction", "watch.starved_seconds"),
    ),
    "host_memory": Entry(
        1,
        "memory is nearly full",
        "the share of the host's memory in use, or of the control group's (a container's) limit; "
        "cached files do not count",
        "where memory ends, the system kills a process, and often it is the largest one",
        (
            "end other programs",
            "go on with fewer workers: ecotui stop RUN, ecotui resume RUN --set compute.workers=1",
            "give the container more memory",
        ),
        _PAUSES,
        ("watch.warn_memory_fraction", "watch.max_memory_fraction", "watch.pauses"),
    ),
    "memory_growth": Entry(
        1,
        "memory creeps up",
        "whether the memory of the engine and its workers rises in each sixth of the last half "
        "hour, by more than 3% of all there is, and when it would be full",
        "a leak of a few megabytes a minute ends a run after hours, without a word",
        (
            "stop and resume the run: it begins anew with little, at the same step",
            "fewer compute.workers hold less",
        ),
        _TOLD,
        ("watch.memory_forecast_seconds",),
    ),
    "disk_room": Entry(
        1,
        "the disk fills up",
        "the room where the run lies, against the size of a checkpoint: a new one is written "
        "beside the old one; and whether the disk fills steadily",
        "without room nothing can be saved, and a run that is not saved can be lost",
        (
            "free some space there; ecotui runs shows what each run takes, ecotui delete RUN "
            "removes one",
            "then let it go on: ecotui continue RUN",
            "keep fewer checkpoints: --set checkpoint.keep=1",
        ),
        _PAUSES,
        (
            "watch.warn_free_saves",
            "watch.min_free_saves",
            "watch.disk_forecast_seconds",
            "watch.pauses",
        ),
    ),
    "gpu_fault": Entry(
        1,
        "the GPU cannot be relied on",
        "ten new errors of its memory that could not be corrected, a slow-down by its hardware or "
        "its power brake, five degrees from switching itself off, a driver that does not answer",
        "a faulty card gives wrong numbers or none",
        (
            "see to its cooling and its power supply, then ecotui continue RUN",
            "take another card: ecotui stop RUN, ecotui resume RUN --set compute.device=cuda:1",
            "look at nvidia-smi and at the system's log",
        ),
        _PAUSES,
        ("watch.max_ecc_errors", "watch.shutdown_margin_celsius", "watch.pauses"),
        "SimpleTuner's GPU circuit breaker",
    ),
    "gpu_hot": Entry(
        1,
        "the GPU is slowed down for its temperature",
        "whether the driver says so at two looks running",
        "nothing is wrong with the numbers; the run takes longer",
        ("see to its cooling",),
        _TOLD,
        (),
        "SimpleTuner's GPU circuit breaker: this one only warns",
    ),
}
"""What is watched beside the training; each can be silenced."""

_OTHERS: dict[str, Entry] = {
    "watch_failed": Entry(
        0,
        "the machine cannot be watched",
        "whether the watch itself can do its work",
        "the training is not touched, but nobody would see a disk or a memory fill up",
        ("see engine.log for the cause, and report it",),
        "told once; it is tried again at every look",
        ("watch.enabled",),
    ),
    "notification_failed": Entry(
        0,
        "a message could not be delivered",
        "whether the webhook or the command of [notify] takes the messages",
        "nobody is told of what happens to the run",
        (
            "check notify.webhook: it must answer with a status of 2xx, without a redirection",
            "check that notify.command can be started and ends with 0",
        ),
        "three attempts a message; told once in a run, which goes on",
        ("notify.webhook", "notify.command", "notify.timeout_seconds"),
    ),
    "saving_failed": Entry(
        0,
        "a checkpoint could not be written",
        "whether every checkpoint arrives on the disk",
        "what is trained from then on could be lost",
        (
            "free some space, or mend the permissions of the run's directory",
            "the run saves and goes on by itself as soon as it can",
        ),
        "training waits until it can be saved",
    ),
    "loader_rebuilt": Entry(
        0,
        "the loader was started anew",
        "whether the processes that read photos live and move",
        "a worker that was killed, often for its memory, or hangs at a photo would end the run",
        (
            "nothing, where it stays a single case",
            "fewer compute.workers, and a look at the photo that is named",
        ),
        "the same batch is read anew with half the workers; no bit of it changes",
        ("guards.loader_patience_seconds", "guards.first_batch_patience_seconds"),
    ),
}

ALERT_REGISTER: dict[str, Entry] = {**GUARD_REGISTER, **WATCH_REGISTER, **_OTHERS}
"""Every guard and every alert, by its name."""


GUARDS: dict[str, Entry] = {name: ALERT_REGISTER[name] for name in (*GUARD_NAMES, *WATCH_REGISTER)}
"""What can be silenced, in the order of the layers, and what is watched beside them."""


def page_of(name: str) -> str:
    """Return the section of the documentation about a guard or an alert; empty for no such name."""
    return f"docs/alerts.md#{name}" if name in ALERT_REGISTER else ""
