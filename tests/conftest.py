"""What holds for every test: nobody's own settings, and no deadline on a busy machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shared machine stalls now and then: that is no finding.
settings.register_profile("ecotui", deadline=None)
settings.load_profile("ecotui")


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "ECOTUI_RUNS_DIR")}
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("settings"))
    os.environ.pop("ECOTUI_RUNS_DIR", None)
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
