"""An address that holds a secret is checked without being repeated, and shown without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ecotui.cli import main
from ecotui.config import RunConfig
from ecotui.config_file import load_config, to_toml
from ecotui.engine.exactness import config_facts
from ecotui.errors import UsageError
from ecotui.notify_settings import NotifyConfig, fault_of, masked
from ecotui.resume_settings import as_settings, differences, flattened, with_settings

HIDE = "s3cr3t"
URL = f"https://hooks.example.com:8443/services/{HIDE}?token={HIDE}"
SHOWN = "https://hooks.example.com:8443/…"


def config(webhook: str = URL) -> RunConfig:
    return RunConfig(notify=NotifyConfig(webhook=webhook))


@pytest.mark.parametrize(
    ("webhook", "shown"),
    [
        (URL, SHOWN),
        (f"http://user:{HIDE}@h/x", "http://h/…"),
        ("env:HOOK", "env:HOOK"),
        ("http://[bad", "…"),
        (None, None),
    ],
)
def test_only_scheme_and_host_are_shown(webhook: str | None, shown: str | None) -> None:
    assert masked(webhook) == shown


@pytest.mark.parametrize("webhook", [URL, "http://127.0.0.1:9/x", "env:MY_HOOK"])
def test_what_is_an_address_is_taken(webhook: str) -> None:
    assert fault_of(webhook) == ""
    assert NotifyConfig(webhook=webhook).webhook == webhook


@pytest.mark.parametrize(
    "webhook",
    [
        f"ftp://h/{HIDE}",
        f"file:///{HIDE}",
        f"https:///{HIDE}",
        f"{HIDE}",
        f"https://h/{HIDE} x",
        f"https://h/{HIDE}…",
        f"https://h:x/{HIDE}",
        "env:",
        "env:1X",
        f"env:A-{HIDE}",
    ],
)
def test_what_is_none_is_refused_without_being_repeated(webhook: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        NotifyConfig(webhook=webhook)
    file = tmp_path / "a.toml"
    file.write_text(to_toml(config()).replace(URL, "X"))
    with pytest.raises(UsageError) as caught:
        load_config(str(file), [f"notify.webhook={webhook!r}"], user_file=tmp_path / "none")
    assert HIDE not in "".join(caught.value.lines())
    assert "notify.webhook" in caught.value.what


def test_an_address_of_two_lines_is_refused() -> None:
    assert fault_of(f"https://h/{HIDE}\n") == "holds characters that no address can"


def test_an_address_of_the_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(f"[notify]\nwebhook = ['{URL}']\n")
    with pytest.raises(UsageError) as caught:
        load_config(str(file), user_file=tmp_path / "none")
    assert HIDE not in "".join(caught.value.lines())


@pytest.mark.parametrize("command", [("",), ("a", "b\0c")])
def test_a_command_that_cannot_be_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        NotifyConfig(command=command)


def test_a_config_is_shown_without_the_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text(f"[notify]\nwebhook = '{URL}'\n")
    with pytest.raises(SystemExit) as left:
        main(["config", "show", str(file)])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert HIDE not in shown
    assert f'webhook = "{SHOWN}"' in shown


def test_manifests_and_stated_changes_hold_it_masked() -> None:
    assert flattened(config())["notify.webhook"] == SHOWN
    assert HIDE not in str(config_facts(config()))
    changes = differences(RunConfig(), config())
    assert [(each.key, each.old, each.new) for each in changes] == [
        ("notify.webhook", "unset", f'"{SHOWN}"')
    ]


def test_a_resumption_carries_the_address_whole_to_the_engine() -> None:
    other = config(f"https://hooks.example.com:8443/{HIDE}2")
    settings = as_settings(config(), other)
    assert with_settings(config(), settings) == other
