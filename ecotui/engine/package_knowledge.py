"""What is known of versions beside one another, whether or not anything fails yet."""

from __future__ import annotations

from ecotui.engine.known_causes import refit_torchvision
from ecotui.engine.verdicts import noted, passed, warned
from ecotui.engine.versions import SAFE_PILLOW, Inventory, partner_of, release_of
from ecotui.findings import CheckReported
from ecotui.text import listed

_OPENCVS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def check_pillow(inventory: Inventory) -> CheckReported:
    """Judge whether Pillow has the fixes of what is known to be attackable.

    Source:
        Pillow's release notes: 12.1.1, 12.2.0 and 12.3.0 each close holes in decoders that
        need no more than opening a file (PSD, FITS, JPEG 2000, EPS, fonts).
    """
    version = inventory.version("pillow")
    if version is None:
        return noted("pillow", "Pillow is not installed")
    if release_of(version) >= release_of(SAFE_PILLOW):
        return passed("pillow", f"Pillow {version} has the known fixes of security")
    return warned(
        "pillow",
        f"Pillow {version} has known holes in its decoders",
        f"Pillow {SAFE_PILLOW} or later",
        inventory.pip_install(f"pillow>={SAFE_PILLOW}"),
    )


def check_opencv(inventory: Inventory) -> CheckReported:
    """Find two packages that both bring the module cv2."""
    found = [name for name in _OPENCVS if name in inventory.packages]
    if not found or not inventory.origins.get("cv2"):
        return noted("opencv", "OpenCV is not installed; ecotui does not need it")
    if len(found) == 1:
        return passed("opencv", f"{found[0]} {inventory.version(found[0])}")
    command = f"{inventory.executable} -m pip"
    return warned(
        "opencv",
        f"two packages bring the same module cv2: {listed(found)}",
        "one of them",
        f"{command} uninstall {' '.join(found)} && {command} install opencv-python-headless",
    )


def check_pair(inventory: Inventory) -> CheckReported:
    """Judge by their versions whether torch and torchvision were made for one another."""
    versions = {name: inventory.version(name) for name in ("torch", "torchvision")}
    torch, vision = (release_of(versions[name] or "") for name in ("torch", "torchvision"))
    seen = f"torch {versions['torch']} with torchvision {versions['torchvision']}"
    if len(torch) < 2 or torch[0] != 2 or len(vision) < 2 or vision[0] != 0:
        return noted("torch_pair", f"{seen}: not a pair that is known here")
    kinds = [inventory.cuda_of(name) for name in ("torch", "torchvision")]
    is_mixed = None not in kinds and bool(kinds[0]) != bool(kinds[1])
    if vision[1] == partner_of(torch) and not is_mixed:
        return passed("torch_pair", f"{seen}: made for one another")
    made = " (one for the CPU, one for CUDA)" if is_mixed else ""
    return warned(
        "torch_pair",
        f"{seen} were not made for one another{made}",
        f"torchvision 0.{partner_of(torch)} of the same build as torch",
        refit_torchvision(inventory),
    )
