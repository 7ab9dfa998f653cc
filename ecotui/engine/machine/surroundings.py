"""What surrounds a run: the hub and its cache, proxies, locale, and the end of a login."""

from __future__ import annotations

import locale
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ecotui.engine.verdicts import noted, passed, warned
from ecotui.findings import CheckReported
from ecotui.text import counted, listed, visible

LOGIND = (Path("/etc/systemd/logind.conf"), Path("/usr/lib/systemd/logind.conf"))
LOGIND_PARTS = (Path("/etc/systemd/logind.conf.d"), Path("/usr/lib/systemd/logind.conf.d"))
LINGER = Path("/var/lib/systemd/linger")
SYSTEMD = Path("/run/systemd/system")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_TRUE = {"1", "on", "yes", "true"}


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where downloaded weights lie.

    Source:
        huggingface_hub, Environment variables: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME.
    """
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"])
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]) / "hub"
    home = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "huggingface" / "hub"


def check_cache(environment: Mapping[str, str] = os.environ) -> CheckReported:
    """Judge whether downloaded weights can be kept."""
    cache = hub_cache(environment)
    place = cache
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        is_writable = os.access(place, os.W_OK)
    except OSError:
        is_writable = False
    if is_writable:
        return passed("cache", f"weights are kept in {visible(cache)}")
    return warned(
        "cache",
        f"{visible(cache)} cannot be written to",
        "a folder for downloaded weights that this user may write to",
        "name another: export HF_HUB_CACHE=FOLDER",
    )


def check_hub(environment: Mapping[str, str] = os.environ) -> CheckReported:
    """Say whether weights may be downloaded, and how many are in the cache."""
    is_offline = environment.get("HF_HUB_OFFLINE", "").lower() in _TRUE
    count = _count_models(hub_cache(environment))
    kept = f"{counted(count, 'model')} in the cache"
    if not is_offline:
        return passed("hub", f"weights are downloaded where needed; {kept}")
    if count:
        return noted("hub", f"HF_HUB_OFFLINE is set: nothing is downloaded; {kept}")
    return warned(
        "hub",
        f"HF_HUB_OFFLINE is set, and there is no model in {visible(hub_cache(environment))}",
        "the weights of the model in the cache, or leave to download them",
        "unset HF_HUB_OFFLINE, copy the cache here, or train without: --set model.pretrained=false",
    )


def _count_models(cache: Path) -> int:
    try:
        return sum(name.startswith("models--") for name in os.listdir(cache))
    except OSError:
        return 0


def check_proxy(environment: Mapping[str, str] = os.environ) -> CheckReported:
    """Name the proxies without what opens them."""
    found = {name: environment[name] for name in _PROXIES if environment.get(name)}
    if not found:
        return noted("proxy", "no proxy is named in the environment")
    told = {name: without_password(value) for name, value in found.items()}
    unfit = [name for name, value in told.items() if not value]
    if unfit:
        return warned(
            "proxy",
            f"{listed(unfit)} does not hold an address that can be read",
            "such as http://proxy.example:3128",
            f"export {unfit[0]}=http://HOST:PORT, or unset it",
        )
    return noted("proxy", listed(f"{name} is {value}" for name, value in told.items()))


def without_password(address: str) -> str:
    """Return scheme, host and port of an address and nothing else; empty where there are none."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or "@" in host:
        return ""
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return visible(f"{scheme}{host}{'' if port is None else f':{port}'}", limit=100)


def check_locale() -> CheckReported:
    """Judge how text is written to files and terminals."""
    names = sys.getfilesystemencoding()
    chosen = locale.getpreferredencoding(False)
    if names.lower().replace("-", "") == "utf8" == chosen.lower().replace("-", ""):
        return passed("locale", "text and file names are UTF-8")
    return warned(
        "locale",
        f"file names are {visible(names)}, text is {visible(chosen)}",
        "UTF-8 for both",
        "export LC_ALL=C.UTF-8",
    )


def check_logout(user: str | None = None) -> CheckReported:
    """Judge whether a training outlives the login that started it."""
    if not SYSTEMD.is_dir():
        return noted("logout", "no systemd here: a run outlives the login")
    if not _kills_at_logout():
        return passed("logout", "systemd leaves processes alone when a person logs out")
    name = user or _user_name()
    if (LINGER / name).exists():
        return passed("logout", f"processes of {visible(name)} stay after logging out (linger)")
    return warned(
        "logout",
        "systemd ends all processes of a person who logs out (KillUserProcesses=yes)",
        "a run that stays",
        f"loginctl enable-linger {visible(name)}",
    )


def _kills_at_logout() -> bool:
    """Read logind's setting; a part that comes later in the alphabet wins."""
    parts: dict[str, Path] = {}
    for folder in reversed(LOGIND_PARTS):
        if folder.is_dir():
            parts |= {path.name: path for path in folder.glob("*.conf")}
    first = next((path for path in LOGIND if path.is_file()), None)
    files = [*([first] if first else []), *(parts[name] for name in sorted(parts))]
    kills = False
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "KillUserProcesses":
                kills = value.strip().lower() in _TRUE
    return kills


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
