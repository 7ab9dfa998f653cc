"""Config files: found, merged in order, refused in three lines, and written back."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ecotui.config import RunConfig
from ecotui.config_file import (
    LoadedConfig,
    find_config,
    load_config,
    parse_file,
    to_documented_toml,
    to_toml,
)
from ecotui.errors import UsageError

Load = Callable[..., LoadedConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a config from its text, with settings and the text of a user file."""

    def load_text(source: str | bytes, *settings: str, user: str | None = None) -> LoadedConfig:
        folder = tmp_path / "configs"
        folder.mkdir(exist_ok=True)
        path = folder / "mine.toml"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        user_file = tmp_path / "user.toml"
        if user is not None:
            user_file.write_text(user)
        return load_config(str(path), settings, user_file=user_file)

    return load_text


ROOT = '[data]\nroot = "/photos"\n'


def refusal(load: Load, source: str | bytes, *settings: str) -> tuple[str, str, str]:
    with pytest.raises(UsageError) as caught:
        load(source, *settings)
    lines = caught.value.lines()
    for line in lines:
        assert len(line.splitlines()) == 1
        assert line.isprintable()
        assert len(line) < 600
        assert "pydantic" not in line
    return lines


def lines_of(attempt: Callable[[], object]) -> tuple[str, ...]:
    """Return the lines of the refusal, none where there was none."""
    try:
        attempt()
    except UsageError as error:
        return error.lines()
    return ()


class TestPrecedence:
    def test_a_setting_is_over_the_file_over_the_user_file_over_the_defaults(
        self, load: Load
    ) -> None:
        user = "[train]\nepochs = 7\nbatch_size = 7\nseed = 7\n"
        source = ROOT + "[train]\nepochs = 8\nbatch_size = 8\n"
        config = load(source, "train.epochs=9", user=user).config
        assert (config.train.epochs, config.train.batch_size, config.train.seed) == (9, 8, 7)
        assert config.train.ema is False

    def test_the_last_of_two_settings_wins(self, load: Load) -> None:
        assert load(ROOT, "train.epochs=3", "train.epochs=4").config.train.epochs == 4

    def test_a_table_in_a_setting_joins_the_others(self, load: Load) -> None:
        config = load(ROOT, "train.seed=5", "train={epochs = 4}").config
        assert (config.train.seed, config.train.epochs) == (5, 4)

    def test_the_name_is_the_files_unless_the_config_has_one(self, load: Load) -> None:
        assert load(ROOT).name == "mine"
        assert load(ROOT, "name=other").name == "other"

    def test_the_standard_user_file_counts(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "home.toml"
        path.write_text("[train]\nepochs = 77\n")
        monkeypatch.setattr("ecotui.config_file.user_config", lambda: path)
        assert load_config("digits").config.train.epochs == 12
        assert load_config("digits", ["name=x"]).config.train.seed == 0
        path.write_text("[train]\nseed = 77\n")
        assert load_config("digits").config.train.seed == 77


class TestRoots:
    def test_in_the_file_is_relative_to_the_file(self, load: Load, tmp_path: Path) -> None:
        config = load('[data]\nroot = "../photos"\n').config
        assert config.data.root == str(tmp_path / "photos")

    def test_in_a_setting_is_relative_to_the_working_directory(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert load(ROOT, "data.root=photos").config.data.root == str(tmp_path / "photos")

    def test_in_the_user_file_is_relative_to_that_file(self, load: Load, tmp_path: Path) -> None:
        config = load("", user='[data]\nroot = "photos"\n').config
        assert config.data.root == str(tmp_path / "photos")

    def test_home_and_absolute_and_demo_roots(
        self, load: Load, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        assert load(ROOT, "data.root=~/a").config.data.root == "/home/someone/a"
        assert load(ROOT, "data.root=/a/b").config.data.root == "/a/b"
        assert load(ROOT, "data.root=demo:digits").config.data.root == "demo:digits"

    def test_the_home_of_nobody_stays_as_written(self, load: Load) -> None:
        root = load(ROOT, "data.root=~no-such-user/a").config.data.root
        assert root == os.path.join(os.getcwd(), "~no-such-user/a")

    def test_a_missing_root_says_how_to_give_one(self, load: Load) -> None:
        what, _, remedy = refusal(load, "")
        assert "data.root is not set" in what
        assert "--set data.root=FOLDER" in remedy

    def test_a_nul_in_a_root_is_refused(self, load: Load) -> None:
        what, _, _ = refusal(load, '[data]\nroot = "a\\u0000b"\n')
        assert "NUL" in what


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ("model.name=resnet50", "resnet50"),
            ('model.name="resnet50"', "resnet50"),
            ("model.name=7", "7"),
            ("model.name=true", "true"),
            ("model.name=a=b", "a=b"),
            (" model . name = x ", "x"),
        ],
    )
    def test_a_string_field_takes_any_text(self, load: Load, setting: str, expected: str) -> None:
        assert load(ROOT, setting).config.model.name == expected

    def test_a_union_takes_the_number_as_a_number(self, load: Load) -> None:
        assert load(ROOT, "data.image_size=64").config.data.image_size == 64
        assert load(ROOT, "data.image_size=auto").config.data.image_size == "auto"
        assert load(ROOT, "augment.scale=[0.5, 1]").config.augment.scale == (0.5, 1.0)
        assert load(ROOT, "train.clip_gradient_norm=off").config.train.clip_gradient_norm is None

    @pytest.mark.parametrize("setting", ["train.epochs", "=3", ".epochs=3", "train.=3", ""])
    def test_what_is_no_setting_is_refused(self, load: Load, setting: str) -> None:
        what, expected, _ = refusal(load, ROOT, setting)
        assert "is not a setting" in what
        assert "--set key=value" in expected

    @pytest.mark.parametrize(
        "setting", ["name=x\n[train]\nepochs=1", "name=1\nname2=2", "name='a'\n[train]\nepochs = 1"]
    )
    def test_a_newline_cannot_bring_in_another_key(self, load: Load, setting: str) -> None:
        what, _, _ = refusal(load, ROOT, setting)
        assert "name" in what

    def test_a_section_is_no_value(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT, "train.epochs=3", "train=4")
        assert "contradicts" in what
        what, _, _ = refusal(load, ROOT, "train=4", "train.epochs=3")
        assert "contradicts" in what

    def test_very_many_dots_are_refused(self, load: Load) -> None:
        refusal(load, ROOT, "a." * 5_000 + "b=1")

    def test_deep_nesting_in_a_setting_is_told(self, load: Load) -> None:
        refusal(load, ROOT, "train.epochs=" + "[" * 50_000)

    @given(
        key=st.sampled_from(["train.epochs", "model.name", "data", "x.y", "augment.scale"]),
        written=st.text(alphabet="[]{}=.\"'\\#\n\r\t\x00\x1bab01eE+-, \udcff", max_size=40),
    )
    @settings(max_examples=300)
    def test_any_setting_is_taken_or_told(self, key: str, written: str) -> None:
        told = lines_of(
            lambda: load_config("digits", [f"{key}={written}"], user_file=Path("/nonexistent"))
        )
        assert all(line.isprintable() for line in told)


class TestRefusals:
    @pytest.mark.parametrize(
        ("short", "meant"),
        [("train.lr", "train.learning_rate"), ("img_size", "data.image_size")],
    )
    def test_a_short_name_of_other_trainers_is_understood(
        self, load: Load, short: str, meant: str
    ) -> None:
        _, _, remedy = refusal(load, ROOT, f"{short}=1")
        assert f"did you mean {meant}?" in remedy

    def test_an_unknown_key_names_the_nearest_and_the_line(self, load: Load) -> None:
        what, expected, remedy = refusal(load, ROOT + "\n[train]\nepoch = 3\n")
        assert "mine.toml, line 5: unknown key 'train.epoch'" in what
        assert expected == "expected: 'train.epochs'"
        assert "train.epochs" in remedy

    def test_a_key_in_the_wrong_section_names_the_right_one(self, load: Load) -> None:
        _, _, remedy = refusal(load, ROOT, "model.image_size=32")
        assert "data.image_size" in remedy

    def test_an_unknown_key_like_nothing_lists_the_sections(self, load: Load) -> None:
        _, expected, _ = refusal(load, "zzzz = 1\n" + ROOT)
        assert "augment" in expected

    def test_a_value_out_of_range_names_value_line_and_range(self, load: Load) -> None:
        what, expected, _ = refusal(load, ROOT + "[train]\nepochs = 0\n")
        assert "line 4: train.epochs = 0 is not possible" in what
        assert "greater than or equal to 1" in expected
        assert "1 to 100,000" in expected

    def test_the_layer_at_fault_is_named(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT + "[train]\nepochs = 3\n", "train.epochs=0")
        assert what.startswith("error: --set: train.epochs = 0 is not possible")

    @pytest.mark.parametrize(
        ("setting", "wanted"),
        [
            ("train=3", "a table ([train])"),
            ("train.epochs=many", "a whole number"),
            ("train.epochs=2.5", "a whole number"),
            ("train.epochs={a=1}", "a whole number"),
            ("train.learning_rate=fast", "a number"),
            ("train.learning_rate=1e400", "a finite number"),
            ("train.ema=1", "true or false"),
            ("compute.channels_last=maybe", "true or false or 'auto'"),
            ("compute.device=tpu", "`auto`, `cpu`, `cuda`, `cuda:N` or `mps`"),
            ("data.image_size=0", "greater than or equal to 1"),
            ("data.image_size=[1]", "a whole number or 'auto'"),
            ("augment.scale=big", "a list such as [0.5, 1.0]"),
            ("augment.scale=[0.5]", "a list of two values"),
            ("augment.scale=[1, 1, 1]", "a list of two values"),
            ("model.name=", "a text that is not empty"),
            ("name=" + "a" * 65, "a text of at most 64 characters"),
            ("preflight.level=3", "'off', 'quick' or 'full'"),
            ("name=a b", "letters, digits"),
        ],
    )
    def test_what_is_wanted_is_said_plainly(self, load: Load, setting: str, wanted: str) -> None:
        _, expected, _ = refusal(load, ROOT, setting)
        assert wanted in expected
        assert "Input" not in expected
        assert "pattern" not in expected

    def test_the_branches_of_a_union_are_not_counted_as_faults(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT, "data.image_size=[1]")
        assert "more)" not in what

    def test_other_faults_are_counted_by_key(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT, "train.epochs=0", "data.image_size=[1]", "foo=1")
        assert "(and 2 more)" in what

    def test_a_whole_list_is_shown_and_not_its_wrong_item(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT, "augment.scale=[2, 0.5]")
        assert "augment.scale = [2, 0.5]" in what

    def test_conflicting_keys_are_told_with_their_names_and_line(self, load: Load) -> None:
        source = '[data]\nroot = "/p"\nmanifest = "a.csv"\nlayout = "lists"\n'
        what, _, _ = refusal(load, source)
        assert "mine.toml, line 1: data.manifest and data.layout = 'lists' contradict" in what

    def test_a_conflict_between_sections_is_told(self, load: Load) -> None:
        what, _, _ = refusal(load, ROOT, "data.sampling=balanced", "train.class_weights=balanced")
        assert "doubles the effect" in what

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            (b"epochs = \n", "is not TOML"),
            (b"\xff\xfe\x00", "is not text"),
            (b"\x00\x00", "is not TOML"),
            (b"a = 1\na = 2\n", "is not TOML"),
            (b"a = " + b"[" * 100_000, "is not TOML"),
            (b"a = " + b"{a=" * 100_000, "is not TOML"),
            (b"[train]\nseed = " + b"9" * 5_000, "is not TOML"),
            (b"[train]\nstart = 2024-13-41\n", "is not TOML"),
            (b"#" * 1_000_001, "larger than 1 MB"),
            (b"\x1b[2J = 1", "is not TOML"),
            (b'"\\u001b[2J" = 1', "unknown key"),
            (b'"\\n" = 1', "unknown key"),
            (b"[a]\n" + b".".join([b"a"] * 400) + b" = 1", "unknown key"),
            (b"[train]\nepochs." + b".".join([b"a"] * 400) + b" = 1", "train.epochs"),
            (b"[[train]]\nepochs = 1", "train"),
        ],
    )
    def test_any_file_is_refused_in_words(self, load: Load, source: bytes, words: str) -> None:
        what, _, _ = refusal(load, source)
        assert words in what

    def test_a_byte_order_mark_and_windows_line_ends_are_fine(self, load: Load) -> None:
        source = b"\xef\xbb\xbf" + (ROOT + "[train]\nepochs = 3\n").replace("\n", "\r\n").encode()
        assert load(source).config.train.epochs == 3

    def test_a_file_that_cannot_be_read_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot be read: Is a directory"):
            parse_file(tmp_path)

    @given(st.binary(max_size=200))
    @settings(max_examples=300)
    def test_any_bytes_are_a_configuration_or_a_refusal(self, source: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "any.toml"
            path.write_bytes(source)
            assert all(line.isprintable() for line in lines_of(lambda: parse_file(path)))


class TestFinding:
    def test_a_shipped_config_is_found_by_name(self) -> None:
        assert find_config("digits").name == "digits.toml"

    def test_a_file_goes_before_a_shipped_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "digits").write_text(ROOT)
        assert find_config("digits") == tmp_path / "digits"

    def test_a_misspelt_name_gets_the_nearest_and_the_list(self) -> None:
        with pytest.raises(UsageError) as caught:
            find_config("digts")
        assert "did you mean 'digits'?" in caught.value.remedy
        assert "trashnet" in caught.value.expected

    def test_a_folder_gets_the_command_that_writes_a_config(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            find_config(str(tmp_path))
        assert "ecotui config init --data" in caught.value.remedy

    @pytest.mark.parametrize(
        "reference", ["", "a\0b", "a" * 5_000, "~no-such-user/x", "/dev/null", "\x1b[2J", "\udcff"]
    )
    def test_any_other_reference_is_refused_in_words(self, reference: str) -> None:
        with pytest.raises(UsageError, match="there is no config"):
            find_config(reference)


PROBABILITY = st.floats(0.0, 1.0)
POSITIVE = st.floats(1e-300, 1e300)
WORD = st.text(min_size=1, max_size=20)


def pair(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.tuples(numbers, numbers).map(sorted)


TABLES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "root": st.text(max_size=50),
                "manifest": st.none() | WORD,
                "image_size": st.just("auto") | st.integers(1, 4096),
                "crop_fraction": st.just("auto") | st.floats(0.01, 1.0),
                "max_pixels": st.integers(1_000, 10**9),
                "sampling": st.sampled_from(["shuffled", "balanced"]),
            },
        ),
        "augment": st.fixed_dictionaries(
            {},
            optional={
                "scale": pair(st.floats(0.001, 1.0)),
                "ratio": pair(POSITIVE),
                "auto_augment": st.none() | WORD,
                "mixup": st.floats(0.0, 1e10),
            },
        ),
        "model": st.fixed_dictionaries(
            {}, optional={"name": WORD, "drop_rate": st.none() | PROBABILITY}
        ),
        "train": st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(1, 100_000),
                "max_steps": st.none() | st.integers(1, 2**62),
                "learning_rate": st.floats(1e-6, 1e300),
                "clip_gradient_norm": st.none() | st.just("off") | POSITIVE,
                "target_accuracy": st.none() | PROBABILITY,
                "ema": st.booleans(),
                "seed": st.integers(0, 2**63 - 1),
            },
        ),
        "compute": st.fixed_dictionaries(
            {},
            optional={
                "device": st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:12"]),
                "channels_last": st.just("auto") | st.booleans(),
                "workers": st.just("auto") | st.integers(0, 256),
            },
        ),
    },
)


@given(TABLES)
@settings(max_examples=200, deadline=None)
def test_a_configuration_survives_being_written_and_read(table: dict[str, Any]) -> None:
    try:
        config = RunConfig.model_validate(table)
    except ValidationError:
        return  # a pair of settings that contradict each other
    for write in (to_toml, to_documented_toml):
        assert RunConfig.model_validate(tomllib.loads(write(config))) == config, write(config)


def test_the_documented_form_names_and_explains_every_key() -> None:
    written = to_documented_toml(RunConfig())
    for name, field in RunConfig.model_fields.items():
        section = getattr(RunConfig(), name)
        keys = getattr(type(section), "model_fields", {name: field})
        for key in keys:
            assert any(line.startswith((f"{key} =", f"# {key} =")) for line in written.splitlines())
    assert "# Passes over the training split, 1 to 100,000.\nepochs = 20\n" in written


def test_a_written_config_is_read_back_from_a_file(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"train": {"clip_gradient_norm": "off", "epochs": 3}})
    path = tmp_path / "resolved.toml"
    path.write_text(to_toml(config))
    assert parse_file(path) == config


def test_reading_a_missing_file_back_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        parse_file(tmp_path / "config.toml")


def test_weights_are_relative_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    path = folder / "tiny.toml"
    path.write_text('[data]\nroot = "photos"\n[model]\nweights = "own.safetensors"\n')
    monkeypatch.chdir(tmp_path)
    assert load_config(str(path)).config.model.weights == str(folder / "own.safetensors")
    changed = load_config(str(path), ["model.weights=other.safetensors"]).config
    assert changed.model.weights == str(tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="NUL"):
        load_config(str(path), ["model.weights=a\0b"])
