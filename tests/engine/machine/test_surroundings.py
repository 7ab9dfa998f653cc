"""Hub, proxy, locale, logout, processors and terminal."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.machine import processors, screen, surroundings
from ecotui.engine.machine.surroundings import without_password
from ecotui.jobs import TerminalFacts


def test_an_offline_hub_needs_weights_in_the_cache(tmp_path: Path) -> None:
    environment = {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    assert surroundings.check_hub(environment).verdict == "warn"
    (tmp_path / "models--timm--resnet18").mkdir()
    check = surroundings.check_hub(environment)
    assert check.verdict == "note"
    assert "1 model in the cache" in check.what
    assert surroundings.check_hub({"HF_HUB_CACHE": str(tmp_path)}).verdict == "pass"


def test_the_cache_lies_where_the_hub_says() -> None:
    assert surroundings.hub_cache({"HF_HOME": "/a"}) == Path("/a/hub")
    assert surroundings.hub_cache({"XDG_CACHE_HOME": "/b"}) == Path("/b/huggingface/hub")
    both = {"HF_HUB_CACHE": "/c", "HF_HOME": "/a"}
    assert surroundings.hub_cache(both) == Path("/c")


def test_a_cache_that_cannot_be_written_to_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    assert surroundings.check_cache(environment).verdict == "pass"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert surroundings.check_cache(environment).verdict == "warn"
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:s3cret@proxy.example:3128/x", "http://proxy.example:3128"),
        ("me:s3cret@proxy.example:3128", "proxy.example:3128"),
        ("https://proxy.example", "https://proxy.example"),
        ("http://me:s3cret@proxy:notaport", ""),
        ("me:s3cret@@[::bad", ""),
        ("", ""),
    ],
)
def test_a_proxy_is_told_without_what_opens_it(address: str, shown: str) -> None:
    assert without_password(address) == shown
    check = surroundings.check_proxy({"https_proxy": address})
    assert "s3cret" not in check.model_dump_json()
    assert check.verdict == ("warn" if address and not shown else "note")


@given(
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=12),
    st.sampled_from(["", "http://", "https://", "socks5://"]),
)
def test_no_password_is_ever_told(secret: str, scheme: str) -> None:
    marked = f"q7{secret}7q"
    assert marked not in without_password(f"{scheme}user:{marked}@proxy.example:3128")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "linger").mkdir()
    monkeypatch.setattr(surroundings, "SYSTEMD", tmp_path)
    monkeypatch.setattr(surroundings, "LOGIND", (tmp_path / "logind.conf",))
    monkeypatch.setattr(surroundings, "LOGIND_PARTS", (tmp_path / "parts",))
    monkeypatch.setattr(surroundings, "LINGER", tmp_path / "linger")
    return tmp_path


def test_a_login_that_ends_its_processes_is_found(systemd: Path) -> None:
    assert surroundings.check_logout("eve").verdict == "pass"
    (systemd / "logind.conf").write_text("#KillUserProcesses=yes\n[Login]\nKillUserProcesses=yes\n")
    check = surroundings.check_logout("eve")
    assert (check.verdict, check.remedy) == ("warn", "loginctl enable-linger eve")
    (systemd / "linger" / "eve").touch()
    assert surroundings.check_logout("eve").verdict == "pass"
    (systemd / "linger" / "eve").unlink()
    (systemd / "parts" / "10-site.conf").write_text("KillUserProcesses = no\n")
    assert surroundings.check_logout("eve").verdict == "pass"


def test_without_systemd_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "SYSTEMD", tmp_path / "none")
    assert surroundings.check_logout("eve").verdict == "note"


def test_text_that_is_not_utf_8_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda set_it: "ANSI_X3.4-1968")
    assert surroundings.check_locale().verdict == "warn"
    monkeypatch.setattr("locale.getpreferredencoding", lambda set_it: "UTF-8")
    assert surroundings.check_locale().verdict == "pass"


@pytest.mark.parametrize(
    ("name", "content", "limit"),
    [
        ("cpu.max", "50000 100000\n", 0.5),
        ("cpu.max", "max 100000\n", None),
        ("cpu.max", "rubbish", None),
        ("cpu.max", "1 0", None),
    ],
)
def test_the_time_that_a_container_grants_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, limit: float | None
) -> None:
    monkeypatch.setattr(processors, "CGROUP", tmp_path)
    (tmp_path / name).write_text(content)
    assert processors.cgroup_processors() == limit
    check = processors.check_processors()
    assert check.verdict == ("pass" if limit is None else "warn")
    assert limit is None or "compute.threads=1" in check.remedy


@pytest.mark.parametrize(
    ("soft", "hard", "verdict"),
    [(1_024, 4_096, "pass"), (256, 4_096, "warn"), (256, 512, "note"), (-1, -1, "pass")],
)
def test_few_open_files_are_found(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, verdict: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    assert processors.check_open_files().verdict == verdict


GOOD = TerminalFacts(
    is_terminal=True,
    kind="xterm-256color",
    columns=120,
    rows=40,
    colors=256,
    encoding="utf-8",
    in_tmux=False,
)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "pass"),
        ({"columns": 60}, "warn"),
        ({"colors": 8}, "warn"),
        ({"encoding": "ascii"}, "warn"),
        ({"kind": "dumb"}, "warn"),
        ({"is_terminal": False}, "note"),
    ],
)
def test_the_terminal_of_the_person_is_judged(changed: dict[str, object], verdict: str) -> None:
    facts = GOOD.model_copy(update=changed)
    assert screen.check_terminal(facts).verdict == verdict


@pytest.mark.parametrize(
    ("inside", "setting", "verdict"),
    [
        (False, "", "note"),
        (True, "", "note"),
        (True, "on", "pass"),
        (True, "external", "pass"),
        (True, "off", "warn"),
    ],
)
def test_a_tmux_that_keeps_copies_to_itself_is_found(
    inside: bool, setting: str, verdict: str
) -> None:
    facts = GOOD.model_copy(update={"in_tmux": inside, "tmux_clipboard": setting})
    assert screen.check_clipboard(facts).verdict == verdict
    assert screen.check_clipboard(None).verdict == "note"
