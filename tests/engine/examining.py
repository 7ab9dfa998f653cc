"""Examines an environment in the test's process, and puts broken packages before whole ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecotui.engine.control import Control, StopFlag
from ecotui.engine.diagnose import CHECKS, QUICK_CHECKS, Circumstances, diagnose
from ecotui.errors import EnvironmentFaultError, ExitCode
from ecotui.events import CheckReported, Event, StageFinished, StageStarted

Break = Callable[..., None]

PACKAGES_CHECKS = frozenset(
    {
        *("shadowing", "packages", "records", "torch", "numpy_torch", "torchvision", "torch_pair"),
        *("decoding", "timm", "model", "safetensors", "loader", "device", "number_formats"),
        *("python", "pillow", "accelerator"),
    }
)
"""Checks that do not depend on the machine that the tests run on."""


def control(flag: StopFlag | None = None) -> Control:
    return Control(Path("/nowhere"), 0, lambda event: None, flag or StopFlag())


def examine(
    place: Path, *, purpose: Circumstances | None = None, **settings: Any
) -> tuple[list[CheckReported], EnvironmentFaultError | None]:
    """Diagnose, and return the verdicts and the error that came of them."""
    events: list[Event] = []
    fault = None
    try:
        diagnose(
            control(), events.append, runs_path=place / "runs", circumstances=purpose, **settings
        )
    except EnvironmentFaultError as error:
        fault = error
    # Whatever is found, everything was looked at and told.
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageFinished)
    checks = [event for event in events if isinstance(event, CheckReported)]
    expected = QUICK_CHECKS if purpose is not None and purpose.is_quick else CHECKS
    assert sorted(check.check for check in checks) == sorted(expected)
    assert {check.layer for check in checks} == {1}
    for check in checks:
        is_finding = check.verdict in ("warn", "fail")
        for told in (check.expected, check.remedy, check.why, check.source):
            assert bool(told) == is_finding
    assert (fault is not None) == any(check.verdict == "fail" for check in checks)
    assert fault is None or fault.exit_code == ExitCode.ENVIRONMENT
    return checks, fault


def verdicts(checks: list[CheckReported]) -> dict[str, str]:
    """Return what is not well, without what only the machine of the tests decides."""
    return {
        check.check: check.verdict
        for check in checks
        if check.verdict != "pass"
        and (check.check in PACKAGES_CHECKS or check.verdict == "fail")
        and (check.check, check.verdict) != ("accelerator", "note")
    }


def put_package(folder: Path, name: str, source: str, version: str = "99.9") -> Path:
    """Write a package with its record and return the folder that holds both."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "__init__.py").write_text(source)
    record = folder / f"{ {'PIL': 'pillow'}.get(name, name) }-{9}.dist-info"
    record.mkdir(exist_ok=True)
    name = {"PIL": "pillow"}.get(name, name)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def first_on_path(folder: Path) -> str:
    """Return a PYTHONPATH in which a folder comes first."""
    return os.pathsep.join([str(folder), os.environ["PYTHONPATH"]])
