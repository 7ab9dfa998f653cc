"""The page about clusters: its commands are real ones, and its script does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from ecotui.cli import cli
from ecotui.errors import ExitCode
from ecotui.paths import list_runs

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "clusters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SCRIPT = next(block for block in BLOCKS if block.startswith("#!"))


def command_lines() -> list[list[str]]:
    """Return every command line of the page that begins with ecotui, or has it after a word."""
    lines = [line for block in BLOCKS for line in block.splitlines()]
    lines += re.findall(r"^    (ecotui .*)$", PAGE, flags=re.MULTILINE)
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        if "ecotui" in words:
            found.append(words[words.index("ecotui") + 1 :])
    manifest = re.search(r"command: (\[.*\])", PAGE)
    assert manifest
    found.append(json.loads(manifest[1])[1:])
    return found


def parse(argv: Sequence[str]) -> str:
    """Parse a command line with the real command, and return the verb."""
    with cli.make_context("ecotui", list(argv)) as context:
        name, command, rest = cli.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert command is not None
        command.make_context(name, rest, parent=context)
    return str(name)


@pytest.mark.parametrize("argv", command_lines(), ids=" ".join)
def test_every_command_of_the_page_is_one(argv: list[str]) -> None:
    assert parse(argv)


def test_a_command_that_is_none_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        parse(["resume", "--if-exist", "x", "--nonsense"])
    assert len(command_lines()) > 10


def test_the_script_is_one() -> None:
    subprocess.run(["bash", "-n"], input=SCRIPT, text=True, check=True)
    assert "#SBATCH --signal=USR1@" in SCRIPT
    assert "#SBATCH --requeue" in SCRIPT


def tool(folder: Path, name: str, source: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{source}\n")
    (folder / name).chmod(0o755)


def test_the_script_begins_goes_on_and_ends_its_own_chain(tmp_path: Path) -> None:
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    (tmp_path / "tiny.toml").write_text("[train]\nepochs = 2\n")
    drive = f"{shlex.quote(sys.executable)} {shlex.quote(str(TESTS / 'drive_cli.py'))}"
    tool(tools, "srun", 'exec "$@"')
    tool(tools, "scontrol", f'echo "$@" >> {shlex.quote(str(calls))}')
    tool(tools, "ecotui", f'exec {drive} "$HOW" "$@"')

    def submit(how: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOW": how,
            "CONFIG": "tiny.toml",
            "DATA": "photos",
            "ECOTUI_RUNS_DIR": str(tmp_path / "runs"),
            "SLURM_JOB_ID": "42",
        }
        return subprocess.run(
            ["bash", "-c", SCRIPT],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    first = submit("runs out of time")
    assert first.returncode == ExitCode.RESUMABLE, first.stderr
    assert "ended with exit code 75" in first.stdout
    assert submit("runs out of time").returncode == ExitCode.RESUMABLE
    assert calls.read_text() == "requeue 42\n" * 2
    assert submit("finishes").returncode == ExitCode.DONE
    last = submit("raises")
    assert last.returncode == ExitCode.DONE
    assert "nothing to do" in last.stderr
    assert calls.read_text() == "requeue 42\n" * 2
    (run,) = list_runs(tmp_path / "runs")
    assert run.events.read_bytes().count(b"engine_started") == 3
