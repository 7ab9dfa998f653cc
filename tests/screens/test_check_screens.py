"""The diagnostic and the preflight screen: what is shown, and what each key asks for."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.app_settings import AppSettings
from ecotui.screens.dialogs.confirm import ConfirmScreen
from ecotui.screens.messages import Errand
from ecotui.widgets.finding_rows import CheckRow, FileRow, FindingRow, PicturesRow, PlanRow
from ecotui.widgets.thumbnail import Thumbnail
from ecotui.widgets.verdict_list import VerdictList
from tests.screens.looks import LOOKS, assert_text, colours_on, shots
from tests.screens.stories import play

Open = Callable[..., Any]
CONFIG = '# mine\n[data]\nroot = "photos"\n\n[train]\nmicro_batch_size = 8   # small\n'


async def until(here: Any, is_so: Callable[[], bool]) -> None:
    for _ in range(400):
        await here.settle()
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(here.text())


async def until_checked(here: Any, count: int = 1) -> None:
    def is_over() -> bool:
        errand = here.app.errand
        return len(here.errands) == count and errand is not None and errand.is_over

    await until(here, is_over)


def listed(here: Any) -> VerdictList:
    found: VerdictList = here.app.screen.query_one(VerdictList)
    return found


# Diagnostic ---------------------------------------------------------------------------------------


def test_the_environment_is_examined_from_home_and_the_worst_comes_first(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.press("1")
        await until_checked(here)
        job = here.app.errand.job
        assert (job.kind, job.repair) == ("diagnose", "no")
        row = listed(here).row
        assert isinstance(row, CheckRow)
        assert row.check.check == "packages"
        shown = here.text()
        for words in ("failed (1)", "warnings (1)", "expected: pillow>=10.3", "why: what ecotui"):
            assert words in shown
        assert "no run can be trusted here: pillow 9.5.0" in shown
        await here.press("down")
        await here.settle()
        assert "known holes" in here.text().split("Evidence and remedy")[1]
        await here.press("h")
        assert here.app.current_mode == "home"

    play(story, open_app("full_run", opening=None, errand_recordings=("repair_planned",)))


def test_examining_again_is_one_thing_at_a_time_and_the_cursor_starts_anew(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.press("1")
        await until_checked(here)
        await here.press("R")
        await until_checked(here, 2)
        assert here.app.errand.job.repair == "no"

    play(story, open_app("full_run", opening=None, errand_recordings=("repair_planned",)))


RECORDED = ("repair_planned", "repair_planned", "repair_mended")


def test_a_fix_shows_its_commands_before_and_its_proof_after(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.press("1")
        await until_checked(here)
        await here.press("f")
        await until(here, lambda: isinstance(here.app.screen, ConfirmScreen))
        assert here.app.errand.job.repair == "plan"
        shown = here.text()
        assert "$ /home/ana/env/bin/python -m pip install 'pillow>=12.3'" in shown
        assert "Pillow==9.5.0" in shown
        await here.press("y")
        await until_checked(here, 3)
        assert here.app.errand.job.repair == "apply"
        shown = here.text()
        for words in ("mended, and examined again (1)", "✓ mended: no check fails any more"):
            assert words in shown
        assert "Successfully installed pillow-13.0.0" in shown

    here = open_app("full_run", opening=None, errand_recordings=RECORDED, size=(120, 40))
    play(story, here)


@pytest.mark.parametrize("key", ["n", "escape", "enter"])
def test_a_fix_that_is_refused_changes_nothing(key: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.press("1")
        await until_checked(here)
        await here.press("f")
        await until(here, lambda: isinstance(here.app.screen, ConfirmScreen))
        await here.press(key)
        await here.settle()
        assert "nothing was changed" in here.text()
        assert here.app.errand.job.repair == "plan"
        assert len(here.errands) == 2

    play(story, open_app("full_run", opening=None, errand_recordings=RECORDED))


def test_where_nothing_failed_there_is_nothing_to_mend(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("stage_finished")
        await here.settle()
        await here.press("1", "f")
        await here.settle()
        assert "nothing to mend" in here.text()
        assert here.errands == []

    play(story, open_app("full_run"))


@pytest.mark.parametrize("name", ["found.json", "found.md"])
def test_findings_are_exported_to_a_path_that_is_told(name: str, open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on()
        await here.settle()
        await here.press("1", "w")
        here.app.screen.query_one("Input").value = name
        await here.press("enter")
        await until(here, lambda: "findings written to" in here.text())
        text = Path(name).read_text()
        assert "NumPy 2.0.2" in text
        if name.endswith("json"):
            assert json.loads(text)["checks"][0]["verdict"] == "fail"

    play(story, open_app("sick_environment"))


def test_a_runs_own_findings_come_back_with_escape(open_app: Open) -> None:
    async def story(here: Any) -> None:
        here.engine.go_on_to("stage_finished")
        await here.settle()
        await here.press("1", "R")
        await until_checked(here)
        assert "pillow 9.5.0" in here.text()
        await here.press("escape")
        await here.settle()
        assert "pillow 9.5.0" not in here.text()
        assert "1.2 GB free" in here.text()

    play(story, open_app("full_run", errand_recordings=("repair_planned",)))


def test_read_only_examines_and_mends_nothing(open_app: Open) -> None:
    async def story(here: Any) -> None:
        await here.press("1", "R", "f")
        await here.settle()
        assert here.errands == []
        assert "R Examine" not in here.text()

    play(story, open_app("full_run", opening=None, settings=AppSettings(is_readonly=True)))


# Preflight ----------------------------------------------------------------------------------------


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Return files as the engine leaves them: findings of the audit, and pictures."""
    folder = tmp_path / "files"
    (folder / "previews").mkdir(parents=True)
    events = Path(__file__).parents[1] / "recordings" / "preflight_photos.jsonl"
    findings = []
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "audit_reported" and event["verdict"] != "pass":
            entries = [
                {"path": each["path"], "left_out": number == 0}
                for number, each in enumerate(event["examples"])
            ]
            findings.append({"category": event["category"], "entries": entries})
            for each in event["examples"]:
                if each["preview"]:
                    (folder / each["preview"]).write_bytes(png())
        if event["kind"] == "preview_written":
            (folder / event["path"]).write_bytes(png())
    (folder / "audit.json").write_text(json.dumps({"findings": findings}))
    (tmp_path / "mine.toml").write_text(CONFIG)
    return folder


def png() -> bytes:
    """Return a picture of 8 x 8 pixels, red above and blue below."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        code = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", code)

    rows = [b"\0" + (b"\xff\0\0" if row < 4 else b"\0\0\xff") * 8 for row in range(8)]
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(rows))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


async def check_mine(here: Any) -> None:
    """Choose the config in the working directory, and have it checked."""
    await here.press("2", "C")
    await here.settle()
    here.app.screen.query_one("Input").value = "mine"
    await here.press("enter")
    await until_checked(here)


def of_photos(open_app: Open, found: Path, **more: Any) -> Any:
    more = {"size": (120, 40), "opening": None, **more}
    recorded = more.pop("errand_recordings", ("preflight_photos",))
    return open_app("full_run", errand_recordings=recorded, errand_files=found, **more)


async def go_to(here: Any, row_id: str) -> None:
    listed(here).go_to(row_id)
    await here.settle()


def test_all_is_well_is_told_in_four_sentences_first(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        assert here.app.errand.job.kind == "preflight"
        lines = here.text().splitlines()
        first = next(at for at, line in enumerate(lines) if "all is well (4)" in line)
        told = ("transform validation passed", "sanity check passed", "16 checked images are 32x32")
        for line, words in zip(lines[first + 1 :], (*told, "gives 8 x 10"), strict=False):
            assert words in line
        assert "✓ ready to train" in here.text()

    play(story, of_photos(open_app, found, errand_recordings=("preflight_digits",)))


def test_what_is_wrong_comes_first_with_the_pictures_concerned(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        assert "✓ environment   ✓ data   ✓ transforms and model   ✓ plan" in here.text()
        first = listed(here).row
        assert isinstance(first, CheckRow)
        assert first.check.verdict == "warn"
        assert "5 warnings, none of which holds it up" in here.text()
        await go_to(here, "finding-exact_duplicates_across_splits")
        assert len(here.app.screen.query(Thumbnail)) == 2
        assert "▀▀▀▀" in here.text()
        assert isinstance(listed(here).row, FindingRow)
        await go_to(here, "pictures-val")
        assert isinstance(listed(here).row, PicturesRow)
        await until(here, lambda: len(here.app.screen.query(Thumbnail)) == 4)
        assert "val/glass/glass117.jpg" in here.text()

    play(story, of_photos(open_app, found))


def test_a_photo_is_left_out_with_a_key_and_kept_again_with_another(
    open_app: Open, found: Path
) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        await go_to(here, "finding-exact_duplicates_across_splits")
        await here.press("enter")
        await until(here, lambda: "· kept" in here.text())
        await here.press("down", "x")
        assert isinstance(listed(here).row, FileRow)
        exclusion = Path("mine-exclude.txt")
        await until(here, lambda: "left out" in here.text() and exclusion.exists())
        assert exclusion.read_text().splitlines()[1:] == ["train/paper/copy of it.jpg"]
        assert 'exclude = "mine-exclude.txt"' in Path("mine.toml").read_text()
        assert "1 change since the check" in here.text()
        await here.press("u")
        await until(here, lambda: not exclusion.exists())
        assert Path("mine.toml").read_text() == CONFIG
        await here.settle()
        assert "- left out" not in here.text()

    play(story, of_photos(open_app, found))


def test_a_kind_of_finding_is_left_out_at_once_and_kept_at_once(
    open_app: Open, found: Path
) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        await go_to(here, "finding-exact_duplicates_across_splits")
        await here.press("x")
        exclusion = Path("mine-exclude.txt")
        await until(here, lambda: "1 left out" in here.text())
        assert exclusion.read_text().splitlines()[1:] == ["train/paper/copy of it.jpg"]
        await here.press("x")
        await until(here, lambda: "1 left out" not in here.text())
        assert exclusion.read_text().splitlines()[1:] == []

    play(story, of_photos(open_app, found))


def test_the_plan_is_applied_with_one_key(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        await go_to(here, "plan")
        assert isinstance(listed(here).row, PlanRow)
        for words in ("micro_batch_size = 2", "memory: 840.1 MB of 19.3 GB", "time: 6 s in all"):
            assert words in here.text()
        await here.press("a")
        await until(here, lambda: "= 2   # small" in Path("mine.toml").read_text())
        await until(here, lambda: "u takes it back" in here.text())

    play(story, of_photos(open_app, found))


def test_a_warning_is_accepted_by_its_name(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        await here.press("A")
        await here.settle()
        assert Path("mine.toml").read_text() == CONFIG  # files: no check that can be accepted
        await go_to(here, "check-2-samples")
        await here.press("A")
        told = '[preflight]\naccept = [\n    "samples",\n]'
        await until(here, lambda: told in Path("mine.toml").read_text())

    play(story, of_photos(open_app, found))


def test_training_starts_with_what_was_changed(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        await here.press("a")
        await until(here, lambda: "1 change since" in here.text())
        await here.press("t")
        await until(here, lambda: bool(here.launched))
        text = here.launched[0].config.read_text()
        assert "micro_batch_size = 2" in text

    play(story, of_photos(open_app, found))


def test_checking_again_reads_the_file_anew_and_can_read_every_photo(
    open_app: Open, found: Path
) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        Path("mine.toml").write_text(CONFIG + "epochs = 7\n")
        await here.press("R")
        await until_checked(here, 2)
        assert "epochs = 7" in here.errands[1].config.read_text()
        await here.press("F")
        await until_checked(here, 3)
        assert 'level = "full"' in here.errands[2].config.read_text()
        assert 'level = "full"' not in Path("mine.toml").read_text()

    play(story, of_photos(open_app, found))


def test_why_training_does_not_start_is_told(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await check_mine(here)
        assert "cannot train" in here.text()
        await here.press("t")
        await here.settle()
        assert "not started: cannot train" in here.text()
        assert here.launched == []

    play(story, of_photos(open_app, found, errand_recordings=("preflight_failed",)))


def test_a_shipped_config_is_copied_before_it_is_changed(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        await here.press("2", "C")
        await here.settle()
        here.app.screen.query_one("Input").value = "smoke"
        await here.press("enter")
        await until_checked(here)
        await here.press("a")
        await until(here, lambda: Path("smoke.toml").exists())
        assert "micro_batch_size = 2" in Path("smoke.toml").read_text()

    play(story, of_photos(open_app, found))


def test_the_config_of_a_run_that_is_watched_is_copied_too(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        run = here.engine.run.path
        run.mkdir(parents=True)
        (run / "config.toml").write_text(f'[data]\nroot = "{run.absolute()}"\n')
        here.engine.go_on()
        await here.settle()
        await here.press("2", "a")
        await until(here, lambda: Path("full.toml").exists())
        assert "micro_batch_size = 2" in Path("full.toml").read_text()
        assert "micro_batch_size" not in (run / "config.toml").read_text()

    play(story, open_app("preflight_photos"))


def test_a_picture_outside_the_run_is_not_read(open_app: Open, found: Path) -> None:
    from ecotui.paths import RunDir
    from ecotui.screens.pictures import Pictures

    run = RunDir(found / "previews")
    (found / "other.png").write_bytes(png())
    assert Pictures().read(RunDir(found), "other.png") == png()
    assert Pictures().read(run, "../other.png") is None
    assert Pictures().read(run, str((found / "other.png").absolute())) is None
    assert Pictures().read(run, "a\0b") is None


def test_copying_gives_all_that_was_found(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        copied: list[str] = []
        await check_mine(here)
        here.app.copy_out = lambda text, what: copied.append(text)
        await here.press("Y")
        await here.settle()
        assert "copies, to the byte, in different splits" in copied[0]

    play(story, of_photos(open_app, found))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("recording", ["preflight_digits", "preflight_photos", "repair_planned"])
def test_recorded_checks_look_like_their_texts(
    recording: str, look: str, open_app: Open, found: Path
) -> None:
    async def look_at() -> None:
        async with open_app(recording, settings=LOOKS[look]) as here:
            here.engine.go_on()
            await here.settle()
            await here.press("1" if recording == "repair_planned" else "2")
            for size, shown in (await shots(here)).items():
                suffix = "_ascii" if look == "ascii" else ""
                if look != "colour":
                    assert colours_on(here.app) == set()
                assert shown.isascii() or look != "ascii"
                assert_text(shown, f"{recording}_{size}{suffix}")

    asyncio.run(look_at())


def test_an_errand_of_the_home_is_shown_with_its_config(open_app: Open, found: Path) -> None:
    async def story(here: Any) -> None:
        from ecotui.config_file import load_config
        from ecotui.jobs import PreflightJob

        here.app.post_message(Errand(PreflightJob(), load_config("mine.toml")))
        await here.press("2")
        await until_checked(here)
        await here.press("a")
        await until(here, lambda: "= 2   # small" in Path("mine.toml").read_text())

    play(story, of_photos(open_app, found))
