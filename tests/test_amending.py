"""Changes to a config and its exclusion list: what is written, and how it is taken back."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ecotui.amending import Amendments, names_found, names_shown
from ecotui.config_file import load_config
from ecotui.errors import EcoError
from ecotui.paths import shipped_configs

MINE = '# mine\n[data]\nroot = "photos"\n\n[train]\nbatch_size = 8   # small\n'


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def amendments(reference: str, *settings: str, is_own: bool = True) -> Amendments:
    return Amendments(load_config(reference, settings), Path.cwd(), is_own=is_own)


def test_a_setting_goes_into_the_persons_own_file_and_back(mine: Path) -> None:
    known = amendments("mine.toml")
    told = known.put({"train": {"batch_size": 32}}, "the plan")
    assert mine.read_text() == MINE.replace("= 8", "= 32")
    assert str(mine) in told
    assert known.reload().config.train.batch_size == 32
    assert known.draft.changes == ("the plan",)
    assert known.undo() == "undone: the plan"
    assert mine.read_text() == MINE
    assert known.reload().config.train.batch_size == 8


def test_a_shipped_config_is_copied_and_never_changed(mine: Path) -> None:
    shipped = shipped_configs()["digits"]
    before = shipped.read_bytes()
    known = amendments("digits")
    assert known.draft.is_copy
    known.put({"train": {"epochs": 3}}, "fewer")
    copy = mine.with_name("digits.toml")
    assert shipped.read_bytes() == before
    assert known.reload().path == copy
    assert known.reload().config.train.epochs == 3
    assert "# The demo" in copy.read_text()
    known.undo()
    assert not copy.exists()
    assert known.reload().path == shipped


def test_a_copy_takes_no_files_place(mine: Path) -> None:
    mine.with_name("digits.toml").write_text("mine")
    known = amendments("digits")
    assert known.draft.path == mine.with_name("digits-2.toml")
    known.put({"train": {"epochs": 3}}, "fewer")
    assert mine.with_name("digits.toml").read_text() == "mine"
    assert mine.with_name("digits-2.toml").exists()


def test_paths_in_a_copy_lead_where_they_led(mine: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs.toml").write_text(MINE)
    known = amendments(str(elsewhere / "theirs.toml"), is_own=False)
    known.put({"train": {"epochs": 3}}, "fewer")
    assert known.reload().path == tmp_path / "theirs.toml"
    assert known.reload().config.data.root == str(elsewhere / "photos")


def test_photos_go_on_a_list_that_the_config_reads_and_come_off_again(mine: Path) -> None:
    known = amendments("mine.toml")
    known.leave_out(["a/1.jpg", "a/2 b.jpg"], "leave out two")
    listed = mine.with_name("mine-exclude.txt")
    assert listed.read_text().splitlines()[1:] == ["a/1.jpg", "a/2 b.jpg"]
    assert known.reload().config.data.exclude == str(listed)
    assert known.draft.left_out == {"a/1.jpg", "a/2 b.jpg"}
    known.keep(["a/1.jpg"], "keep one")
    assert known.draft.left_out == {"a/2 b.jpg"}
    known.undo()
    assert known.draft.left_out == {"a/1.jpg", "a/2 b.jpg"}
    known.undo()
    assert not listed.exists()
    assert mine.read_text() == MINE


def test_a_list_that_is_there_is_added_to_and_its_remarks_stay(mine: Path) -> None:
    mine.write_text(MINE.replace("[data]\n", '[data]\nexclude = "bad.txt"\n'))
    listed = mine.with_name("bad.txt")
    listed.write_text("# from last year\nold.jpg")
    known = amendments("mine.toml")
    known.leave_out(["old.jpg", "new.jpg"], "leave out")
    assert listed.read_text() == "# from last year\nold.jpg\nnew.jpg\n"
    assert known.leave_out(["new.jpg"], "again") == "they are left out already"
    known.undo()
    assert listed.read_text() == "# from last year\nold.jpg"


def test_what_was_set_on_the_command_line_does_not_hide_a_change(mine: Path) -> None:
    known = amendments("mine.toml", "train.batch_size=64", "train.epochs=3")
    known.put({"train": {"batch_size": 32}}, "the plan")
    config = known.reload().config
    assert (config.train.batch_size, config.train.epochs) == (32, 3)
    known.undo()
    assert known.reload().config.train.batch_size == 64


def test_what_somebody_else_changed_since_is_not_undone(mine: Path) -> None:
    known = amendments("mine.toml")
    known.put({"train": {"batch_size": 32}}, "the plan")
    mine.write_text(mine.read_text() + "# and mine\n")
    with pytest.raises(EcoError, match="changed since"):
        known.undo()
    assert "# and mine" in mine.read_text()
    assert known.draft.changes == ("the plan",)


def test_a_setting_that_makes_no_valid_config_is_not_written(mine: Path) -> None:
    known = amendments("mine.toml")
    with pytest.raises(EcoError):
        known.put({"train": {"batch_size": -1}}, "nonsense")
    assert mine.read_text() == MINE
    assert known.draft.changes == ()


def test_the_rights_to_a_file_stay_and_a_link_stays_one(mine: Path, tmp_path: Path) -> None:
    mine.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(mine)
    amendments("link.toml").put({"train": {"epochs": 3}}, "fewer")
    assert link.is_symlink()
    assert "epochs = 3" in mine.read_text()
    assert stat.S_IMODE(os.stat(mine).st_mode) == 0o600


def test_photos_of_a_finding_are_those_the_audit_would_leave_out(tmp_path: Path) -> None:
    entries = [{"path": "b", "left_out": False}, {"path": "a", "left_out": True}]
    path = tmp_path / "audit.json"
    path.write_text(json.dumps({"findings": [{"category": "leak", "entries": entries}]}))
    assert names_found(path, "leak", ()) == ["a"]
    assert names_found(path, "leak", (0,)) == ["b"]
    assert names_found(path, "leak", (), every=True) == ["a", "b"]
    with pytest.raises(EcoError, match="cannot be read"):
        names_found(path, "other", ())


def test_a_photo_whose_name_is_not_shown_as_it_is_cannot_be_left_out_by_it() -> None:
    assert names_shown(["b/ä 1.jpg", "#a.jpg"]) == ["\\x23a.jpg", "b/ä 1.jpg"]
    with pytest.raises(EcoError, match="is not known"):
        names_shown(["a\\n.jpg"])
