"""Settings put into a person's config: only they change, and the file can be had back."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui import config_verbs
from ecotui.config_file import merge
from ecotui.config_patch import apply_fragment, undo
from ecotui.errors import ExitCode, UsageError
from ecotui.paths import shipped_configs
from ecotui.toml_edit import edited

MINE = """\
# My photos.
[data]
root = "photos"  # the good ones

[compute]
workers = 2  # of eight = enough
device = "cpu"

[augment]
scale = [
  0.7,  # less is too little
  1.0,
]
# The end.
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return path


def fragment(tmp_path: Path, text: str) -> str:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return str(path)


def test_only_what_is_asked_for_changes_and_comments_stay(config: Path, tmp_path: Path) -> None:
    wanted = "[compute]\nworkers = 4\n[train]\nmicro_batch_size = 8\n"
    applied = apply_fragment(str(config), fragment(tmp_path, wanted))
    assert config.read_text() == (
        MINE.replace("workers = 2  #", "workers = 4  #") + "\n[train]\nmicro_batch_size = 8\n"
    )
    assert applied.backup.read_text() == MINE
    assert [(each.key, each.old, each.new) for each in applied.changes] == [
        ("compute.workers", "2", "4"),
        ("train.micro_batch_size", "", "8"),
    ]


def test_it_can_be_undone_and_redone(config: Path, tmp_path: Path) -> None:
    apply_fragment(str(config), fragment(tmp_path, "[compute]\nworkers = 4\n"))
    changed = config.read_text()
    assert undo(str(config)) == config
    assert config.read_text() == MINE
    undo(str(config))
    assert config.read_text() == changed


def test_nothing_to_undo_is_told(config: Path) -> None:
    with pytest.raises(UsageError, match="nothing was applied"):
        undo(str(config))


def test_a_setting_over_several_lines_is_replaced_whole(config: Path, tmp_path: Path) -> None:
    apply_fragment(str(config), fragment(tmp_path, "[augment]\nscale = [0.5, 1.0]\n"))
    assert tomllib.loads(config.read_text())["augment"] == {"scale": [0.5, 1.0]}
    assert config.read_text().endswith("# The end.\n")


def test_what_is_set_already_writes_nothing(config: Path, tmp_path: Path) -> None:
    assert not apply_fragment(str(config), fragment(tmp_path, "[compute]\nworkers = 2\n")).changes
    assert [path.name for path in tmp_path.glob("mine*")] == ["mine.toml"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("[compute]\nworkers = -1\n", "workers"),
        ("[compute]\nwrkers = 1\n", "wrkers"),
        ("[compute\n", "not TOML"),
    ],
)
def test_settings_that_make_no_valid_config_change_nothing(
    config: Path, tmp_path: Path, wanted: str, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        apply_fragment(str(config), fragment(tmp_path, wanted))
    assert config.read_text() == MINE
    assert [path.name for path in tmp_path.glob("mine*")] == ["mine.toml"]


def test_a_table_in_one_line_is_left_to_the_person(config: Path, tmp_path: Path) -> None:
    written = 'compute = { workers = 2, device = "cpu" }\n'
    config.write_text(written)
    with pytest.raises(UsageError) as caught:
        apply_fragment(str(config), fragment(tmp_path, "[compute]\nworkers = 4\n"))
    assert "by hand: compute.workers = 4" in caught.value.remedy
    assert config.read_text() == written


def test_a_shipped_config_is_never_changed(tmp_path: Path) -> None:
    digits = shipped_configs()["digits"]
    before = digits.read_bytes()
    link = tmp_path / "link.toml"
    link.symlink_to(digits)
    wanted = fragment(tmp_path, "[compute]\nworkers = 4\n")
    for reference in ("digits", str(digits), str(link)):
        with pytest.raises(UsageError, match="comes with ecotui"):
            apply_fragment(reference, wanted)
    assert digits.read_bytes() == before
    assert not list(digits.parent.glob("*.before-apply"))


def test_a_link_stays_a_link_and_rights_stay_rights(config: Path, tmp_path: Path) -> None:
    config.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(config)
    applied = apply_fragment(str(link), fragment(tmp_path, "[compute]\nworkers = 4\n"))
    assert link.is_symlink()
    assert "workers = 4" in config.read_text()
    for path in (config, applied.backup):
        assert path.stat().st_mode & 0o777 == 0o600


def test_marks_and_line_ends_of_other_systems_stay() -> None:
    written = "\ufeff[compute]\r\nworkers = 2\r\n"
    assert edited(written, {"compute": {"workers": 4}}, label="mine.toml") == written.replace(
        "2", "4"
    )


def test_a_preflight_s_folder_is_a_fragment_and_what_changed_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").mkdir()
    fragment(tmp_path / "kept", "[compute]\nworkers = 4\n")
    assert config_verbs.apply(str(tmp_path / "kept"), str(config)) == ExitCode.DONE
    out = capsys.readouterr().out
    assert "compute.workers: 2 -> 4" in out
    assert f"to undo: ecotui config undo {config}" in out
    assert config_verbs.undo(str(config)) == ExitCode.DONE
    assert config.read_text() == MINE
    with pytest.raises(UsageError, match="cannot be read"):
        config_verbs.apply(os.fspath(tmp_path / "nowhere"), str(config))


KEYS = st.sampled_from(["a", "b", "long key", "ключ"])
VALUES = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text(st.sampled_from("ab#='\"\n\\["), max_size=6),
    st.lists(st.integers(0, 3), max_size=3),
)
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), max_size=3)


@given(old=TABLES, new=TABLES)
def test_what_comes_out_says_what_both_say(old: Any, new: Any) -> None:
    import tomli_w

    wanted: Any = {}
    merge(wanted, old)
    merge(wanted, new)
    text = edited(tomli_w.dumps(old), new, label="mine.toml")
    assert tomllib.loads(text) == wanted
