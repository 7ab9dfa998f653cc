from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from ecotui.audit_categories import BY_NAME, CATEGORIES
from ecotui.config import DataConfig
from ecotui.engine.audit import examination, reading, sweep
from ecotui.engine.audit.examination import Audit, Wish, examine, glance
from ecotui.engine.audit.scan import scan
from ecotui.engine.control import StopRequested
from ecotui.engine.data.decode import DecodeError, open_regular
from ecotui.engine.data.index import build_index
from ecotui.events import Event, LogWritten
from ecotui.paths import RunDir, user_cache
from ecotui.plans import AuditFinished, AuditReported
from tests.engine.audit.hostile_photos import picture
from tests.engine.audit.planted import CLASSES, Planted, plant, scene, write_scenes
from tests.engine.harness import of

SCHEMA = Path(__file__).parents[3] / "schemas" / "audit.schema.json"
COUNT = 4


class Auditing:
    """Audits a folder into run directories of its own, and keeps what was stated."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root, self.count = path, root, 0
        self.events: list[Event] = []
        self.run = RunDir(path)

    def __call__(self, **wishes: Any) -> Audit:
        self.count += 1
        self.run = RunDir(self.path / f"audit-{self.count}")
        self.run.path.mkdir()
        self.events = []
        index = build_index(DataConfig(root=str(self.root)), seed=0)
        wish = Wish(max_pixels=50_000_000, **wishes)
        return examine(index, wish, self.run, self.events.append, lambda: None)

    @property
    def found(self) -> dict[str, AuditReported]:
        return {event.category: event for event in of(AuditReported, self.events)}

    @property
    def finished(self) -> AuditFinished:
        (event,) = of(AuditFinished, self.events)
        assert isinstance(event, AuditFinished)
        return event

    def entries(self, *categories: str) -> Iterator[dict[str, Any]]:
        for finding in json.loads(self.run.audit.read_bytes())["findings"]:
            if finding["category"] in categories:
                yield from finding["entries"]

    def paths(self, *categories: str) -> set[str]:
        return {entry["path"] for entry in self.entries(*categories)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    root = tmp_path_factory.mktemp("planted")
    write_scenes(root, per_class=24)
    return plant(root, count=COUNT)


@pytest.fixture
def auditing(tmp_path: Path, planted: Planted) -> Auditing:
    return Auditing(tmp_path, planted.root)


def small_set(root: Path) -> Path:
    """Two classes with five photos each."""
    for kind in (0, 1):
        for number in range(5):
            path = root / CLASSES[kind] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(50 * kind + number, kind, 96, 72).save(path)
    return root


class TestWhatIsPlanted:
    def test_is_found_and_nothing_else(self, auditing: Auditing, planted: Planted) -> None:
        auditing()
        broken = ("truncated", "empty", "unreadable", "suspect")
        assert auditing.paths(*broken) == planted.corrupt
        exact = auditing.paths("exact_duplicates_across_splits")
        assert planted.copies <= exact
        assert len(exact) == 2 * COUNT
        assert planted.conflicts <= auditing.paths("exact_duplicates_across_classes")
        near = auditing.paths("near_duplicates_across_splits")
        assert planted.near <= near
        assert len(near) == 2 * COUNT
        assert not auditing.paths("near_duplicates", "exact_duplicates")

    def test_damage_that_training_reads_over_is_suspect_and_not_corrupt(
        self, auditing: Auditing
    ) -> None:
        audit = auditing()
        assert len(auditing.paths("suspect")) >= 1
        unreadable = auditing.paths("truncated", "empty", "unreadable")
        assert audit.num_unreadable == len(unreadable)
        assert not audit.is_bad

    def test_of_leaks_the_training_side_is_left_out(self, auditing: Auditing) -> None:
        auditing()
        leaks = "exact_duplicates_across_splits", "near_duplicates_across_splits"
        for entry in auditing.entries(*leaks):
            assert entry["left_out"] == (entry["split"] == "train"), entry
            assert entry["other"]

    def test_each_category_is_told_once_with_bounded_examples(self, auditing: Auditing) -> None:
        auditing()
        told = of(AuditReported, auditing.events)
        wanted = {each.name for each in CATEGORIES} - {"label_errors", "outliers"}
        assert {event.category for event in told} == wanted
        assert len(told) == len(wanted)
        for event in told:
            assert len(event.examples) <= 12
            assert bool(event.num_files) or event.verdict in ("pass", "warn")
            assert bool(event.consequence) == (event.verdict != "pass")

    def test_examples_have_small_pictures(self, auditing: Auditing) -> None:
        auditing()
        example = auditing.found["near_duplicates_across_splits"].examples[0]
        with Image.open(auditing.run.path / example.preview) as picture:
            assert picture.format == "PNG"
            assert max(picture.size) <= 128
            assert picture.width > 100  # two beside one another
        assert auditing.found["empty"].examples[0].preview == ""

    def test_the_file_fits_its_schema(self, auditing: Auditing) -> None:
        auditing()
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        jsonschema.validate(json.loads(auditing.run.audit.read_bytes()), schema)
        assert auditing.finished.file == "audit.json"


class TestUnchanged:
    def test_a_second_audit_reads_nothing_and_says_the_same(self, auditing: Auditing) -> None:
        auditing()
        first, written = auditing.found, auditing.run.audit.read_bytes()
        pictures = {path.name for path in auditing.run.previews.iterdir()}
        auditing()
        assert auditing.finished.num_read == 0
        assert auditing.found == first
        assert auditing.run.audit.read_bytes() == written
        assert {path.name for path in auditing.run.previews.iterdir()} == pictures

    def test_a_recheck_reads_all(self, auditing: Auditing) -> None:
        auditing()
        auditing(rechecks=True)
        assert auditing.finished.num_read == auditing.finished.num_files

    def test_only_a_changed_a_new_and_a_renamed_file_is_read(self, tmp_path: Path) -> None:
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        auditing()
        folder = auditing.root / "can"
        folder.joinpath("0.jpg").write_bytes(folder.joinpath("0.jpg").read_bytes()[:300])
        folder.joinpath("1.jpg").rename(folder / "renamed.jpg")
        scene(99, 1, 96, 72).save(folder / "a_new_one.jpg")
        folder.joinpath("2.jpg").unlink()
        auditing()
        assert auditing.finished.num_read == 3
        assert auditing.paths("truncated") == {"can/0.jpg"}
        fresh = Auditing(tmp_path / "fresh", auditing.root)
        fresh.path.mkdir()
        known = auditing.run.audit.read_bytes()
        fresh(rechecks=True)
        assert fresh.run.audit.read_bytes() == known

    @pytest.mark.parametrize("place", [0, 20, 200, -1])
    def test_a_damaged_cache_is_not_used(self, tmp_path: Path, place: int) -> None:
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        auditing()
        (known,) = (user_cache() / "audit").glob("*/known")
        content = bytearray(known.read_bytes())
        content[place] ^= 1
        known.write_bytes(content)
        auditing()
        assert auditing.finished.num_read == auditing.finished.num_files

    def test_a_cache_that_cannot_be_written_is_done_without(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blocked = tmp_path / "blocked"
        blocked.write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        for _ in range(2):
            auditing()
            assert auditing.finished.num_read == 10

    def test_what_was_read_before_a_stop_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ecotui.engine.audit.sweep.FILES_AT_ONCE", 2)
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        index = build_index(DataConfig(root=str(auditing.root)), seed=0)
        num_asked = 0

        def poll() -> None:
            nonlocal num_asked
            num_asked += 1
            # Once before the first file, then at least once for every two.
            if num_asked == 5:
                raise StopRequested("enough")

        with pytest.raises(StopRequested):
            examine(index, Wish(max_pixels=50_000_000), auditing.run, lambda event: None, poll)
        auditing()
        assert 0 < auditing.finished.num_read < 10

    def test_from_a_slow_drive_what_was_read_is_told_before_the_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweep, "SECONDS_AT_ONCE", 0.0)
        monkeypatch.setattr(sweep, "FILES_AHEAD", 1)
        root = small_set(tmp_path / "photos")
        index = build_index(DataConfig(root=str(root)), seed=0)
        told: list[int] = []
        found = scan(
            index, max_pixels=50_000_000, poll=lambda: None, advance=told.append, threads=1
        )
        assert [count for count in told if count] == [1] * 10
        assert found.num_read == 10
        assert found.num_left_out == 0


class TestSingleFiles:
    def test_a_file_that_may_not_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        honest = open_regular

        def refuse(path: str) -> int:
            if path.endswith("3.jpg"):
                raise DecodeError("the file may not be read", "not_permitted")
            return honest(path)

        monkeypatch.setattr("ecotui.engine.audit.reading.open_regular", refuse)
        auditing()
        assert auditing.paths("not_permitted") == {"bottle/3.jpg", "can/3.jpg"}
        monkeypatch.setattr("ecotui.engine.audit.reading.open_regular", honest)
        auditing()  # rights may change without leaving a trace in the file
        assert not auditing.paths("not_permitted")

    def test_links_out_of_the_data_are_told_and_followed(self, tmp_path: Path) -> None:
        root = small_set(tmp_path / "photos")
        outside = tmp_path / "outside"
        outside.mkdir()
        scene(7, 0).save(outside / "a.jpg")
        (root / "can" / "link.jpg").symlink_to(outside / "a.jpg")
        (root / "can" / "inner.jpg").symlink_to(root / "bottle" / "0.jpg")
        (root / "drum").symlink_to(outside)
        scene(8, 0).save(outside / "b.jpg")
        auditing = Auditing(tmp_path, root)
        auditing()
        linked = {"can/link.jpg", "drum/a.jpg", "drum/b.jpg"}
        assert auditing.paths("outside_links") == linked
        assert "can/inner.jpg" in auditing.paths("exact_duplicates_across_classes")

    def test_over_a_fifth_unreadable_is_bad(self, tmp_path: Path) -> None:
        auditing = Auditing(tmp_path, small_set(tmp_path / "photos"))
        for number, is_bad in ((0, False), (1, False), (2, True)):
            (auditing.root / "can" / f"{number}.jpg").write_bytes(b"")
            assert auditing().is_bad is is_bad

    def test_looks_are_judged(self, tmp_path: Path) -> None:
        root = small_set(tmp_path / "photos")
        black, white = Image.new("RGB", (90, 70), (9, 9, 9)), Image.new("RGB", (90, 70), "white")
        black.save(root / "can" / "black.png")
        white.save(root / "can" / "white.png")
        picture().resize((8, 8)).resize((220, 165)).save(root / "can" / "soft.jpg")
        scene(6, 0).resize((20, 20)).save(root / "can" / "small.png")
        scene(6, 0).resize((400, 60)).save(root / "can" / "long.png")
        scene(6, 0).resize((2_000, 1_500)).save(root / "can" / "grand.jpg")
        auditing = Auditing(tmp_path, root)
        auditing()
        assert "can/black.png" in auditing.paths("dark")
        assert auditing.paths("light") == {"can/white.png"}
        assert auditing.paths("blurred") >= {"can/soft.jpg"}
        assert auditing.paths("low_information") == {"can/black.png", "can/white.png"}
        assert auditing.paths("tiny") == {"can/small.png"}
        assert auditing.paths("extreme_shape") == {"can/long.png"}
        assert "can/grand.jpg" in auditing.paths("odd_size")

    def test_colours_far_from_the_normalisation(self, auditing: Auditing) -> None:
        auditing(mean=(0.02, 0.02, 0.02), std=(0.1, 0.1, 0.1))
        told = auditing.found["normalisation"]
        assert told.verdict == "note"
        assert "0.020 0.020 0.020" in told.what
        auditing()
        assert auditing.found["normalisation"].verdict == "pass"


class TestClasses:
    def test_names_that_are_hardly_to_be_told_apart(self, tmp_path: Path) -> None:
        root = small_set(tmp_path / "photos")
        for kind, name in enumerate(("Glass", "glass ", "GLASS_", "bottle2")):
            for number in range(2):
                path = root / name / f"{number}.png"
                path.parent.mkdir(exist_ok=True)
                scene(600 + 10 * kind + number, kind % 3, 64, 48).save(path)
        auditing = Auditing(tmp_path, root)
        auditing()
        clash = auditing.found["class_names"]
        assert clash.verdict == "warn"
        assert {each.label for each in clash.examples} == {"Glass", "glass ", "GLASS_"}
        assert clash.num_files == 6
        assert auditing.found["few_photos"].verdict == "warn"

    def test_classes_out_of_proportion_and_missing_in_a_split(self, tmp_path: Path) -> None:
        root = tmp_path / "photos"
        counts = {("train", "can"): 25, ("train", "jar"): 2, ("val", "can"): 1, ("val", "jar"): 1}
        counts[("test", "can")] = 1
        for (split, name), count in counts.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                scene(number + 300 * len(split), 0, 48, 40).save(
                    root / split / name / f"{number}.png"
                )
        auditing = Auditing(tmp_path, root)
        auditing()
        assert auditing.found["class_balance"].verdict == "warn"
        (missing,) = auditing.found["missing_classes"].examples
        assert (missing.label, missing.split) == ("jar", "test")
        assert not auditing.found["missing_classes"].can_exclude


class TestGlance:
    def test_nothing_is_read_and_what_is_known_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = small_set(tmp_path / "photos")
        (root / "can" / "0.jpg").write_bytes(b"")
        index = build_index(DataConfig(root=str(root)), seed=0)
        wish, events = Wish(max_pixels=50_000_000), list[Event]()
        with monkeypatch.context() as patched:
            patched.setattr("ecotui.engine.audit.sweep.fetch", None)
            glance(index, wish, events.append, lambda: None)
        assert {event.category for event in of(AuditReported, events)} == {"few_photos"}
        Auditing(tmp_path, root)()
        events.clear()
        monkeypatch.setattr("ecotui.engine.audit.sweep.fetch", None)
        glance(index, wish, events.append, lambda: None)
        told = {event.category: event for event in of(AuditReported, events)}
        assert set(told) == {"few_photos", "empty"}
        assert told["empty"].examples[0].path == "can/0.jpg"

    def test_of_very_many_files_the_file_system_is_not_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(examination, "MAX_QUICK_FILES", 5)
        monkeypatch.setattr(examination, "scan", None)
        index = build_index(DataConfig(root=str(small_set(tmp_path / "photos"))), seed=0)
        events: list[Event] = []
        glance(index, Wish(max_pixels=10**6), events.append, lambda: None)
        assert {event.category for event in of(AuditReported, events)} == {"few_photos"}


def test_every_category_has_its_section_in_the_documentation() -> None:
    page = (SCHEMA.parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    headings = {line[4:] for line in page.splitlines() if line.startswith("### ")}
    assert headings == set(BY_NAME)


def test_a_photo_that_never_comes_is_named_and_given_up_and_tried_again_by_the_next_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditing = Auditing(tmp_path, small_set(tmp_path / "small"))
    monkeypatch.setattr(sweep, "NAMED_SECONDS", 0.2)
    monkeypatch.setattr(sweep, "LOST_SECONDS", 1.0)
    lost = sorted(auditing.root.glob("*/*.jpg"))[:3]
    release = threading.Event()

    def never(path: Any) -> int:
        if Path(os.fsdecode(path)) in lost:
            assert release.wait(60.0)
        return open_regular(path)

    monkeypatch.setattr(reading, "open_regular", never)
    audit = auditing()
    said = [event.message for event in of(LogWritten, auditing.events)]
    for path in lost:
        assert any(f"still waiting for {path}" in each for each in said)
    assert {entry["detail"] for entry in auditing.entries("unreadable")} == {
        "reading it did not end within 1 s"
    }
    assert len(list(auditing.entries("unreadable"))) == len(lost)
    assert audit.num_files == len(list(auditing.root.glob("*/*.jpg")))
    assert auditing.finished.num_left_out == 0
    release.set()
    auditing()
    assert auditing.finished.num_read == len(lost)
    assert auditing.found["unreadable"].num_files == 0


def test_a_process_ends_whose_threads_read_what_never_comes() -> None:
    code = (
        "import time; from ecotui.engine.audit.crew import Crew;"
        "crew = Crew(lambda item: time.sleep(3600), 2); crew.submit(1); crew.submit(2);"
        "time.sleep(0.2); crew.dismiss()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60.0)
