"""What the answers of the children mean: one verdict a behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecotui.engine.known_causes import cause_of, reinstall_pair
from ecotui.engine.probing import Answer
from ecotui.engine.verdicts import failed, noted, passed, warned
from ecotui.engine.versions import Inventory
from ecotui.findings import CheckReported
from ecotui.text import bytes_size, counted, listed, visible

GOALS: dict[str, tuple[str, str]] = {
    "torch": ("PyTorch cannot be loaded", "PyTorch {version}"),
    "numpy_torch": (
        "a NumPy array cannot become a tensor and come back",
        "an array becomes a tensor and comes back (NumPy {version})",
    ),
    "torchvision": (
        "torchvision cannot transform an image",
        "torchvision {version} transforms an image",
    ),
    "decoding": (
        "photos cannot be decoded",
        "Pillow {version} decodes JPEG, PNG and WebP",
    ),
    "timm": ("timm cannot be loaded", "timm {version}"),
    "model": (
        "a tiny model cannot be trained for a step on the CPU",
        "{name} goes forward and back on the CPU",
    ),
    "safetensors": (
        "tensors cannot be kept as safetensors",
        "safetensors {version} keeps tensors",
    ),
    "loader": ("worker processes cannot read batches", "{workers} worker processes read batches"),
    "device": ("the device cannot be used", ""),
    "number_formats": ("bf16 and fp16 cannot be tried", ""),
    "accelerator": ("the accelerator cannot be tried", ""),
    "writing": (
        "files cannot be written, flushed and renamed where the runs lie",
        "files are written, flushed and renamed in {place}",
    ),
}
"""What is told of a behaviour that fails, and of one that passes."""

_SUBJECTS = {
    "numpy_torch": "NumPy with PyTorch",
    "torch": "PyTorch",
    "number_formats": "bf16, fp16",
}


def judged(
    check: str, answers: Mapping[str, Answer], inventory: Inventory, device: str, model: str = ""
) -> CheckReported:
    """Return the verdict of one behaviour.

    Args:
        check: One of `GOALS`.
        answers: Of the children.
        inventory: Of the interpreter.
        device: That the run asks for.
        model: That the run asks for; empty for none.
    """
    answer = answers.get(check)
    if answer is None:
        if check == "accelerator":
            return _without_accelerator(answers)
        return noted(check, f"{_subject(check)}: not tried, because of an earlier failure")
    if answer.seen is None:
        return _explained(check, answer.fault, inventory)
    if check in ("device", "decoding", "number_formats", "accelerator"):
        return _judged_closely(check, answer.seen, inventory, device)
    if check == "timm" and model and not answer.seen.get("knows", True):
        return _unknown_model(model, answer.seen, inventory)
    facts = {key: visible(value, limit=200) for key, value in answer.seen.items()}
    return passed(check, GOALS[check][1].format_map({"version": "?", **facts}))


def _judged_closely(
    check: str, seen: dict[str, Any], inventory: Inventory, device: str
) -> CheckReported:
    """Judge a behaviour that can go partly well."""
    if check == "device":
        return _judged_devices(seen, device)
    if check == "decoding":
        return _judged_decoding(seen, inventory)
    if check == "number_formats":
        return _judged_formats(seen)
    return _judged_accelerators(seen, inventory, device)


def _subject(check: str) -> str:
    return _SUBJECTS.get(check, check)


def _explained(check: str, fault: str, inventory: Inventory) -> CheckReported:
    """Put a failure into words: its cause where it is known, else what Python said."""
    wrong = GOALS[check][0]
    cause = cause_of(fault, inventory) if check != "writing" else None
    if cause is not None:
        said = f"{cause.words}: {wrong} ({visible(fault, limit=300)})"
        return failed(check, said, cause.expected, cause.fix or cause.advice, cause.source)
    expected = f"{_subject(check)} at work in a process of its own"
    remedy = _remedy(check, inventory)
    return failed(check, f"{wrong}: {visible(fault, limit=300)}", expected, remedy)


def _remedy(check: str, inventory: Inventory) -> str | tuple[str, ...]:
    """Return what mostly mends a behaviour that fails for a reason nobody knows."""
    again = ("--force-reinstall", "--no-deps")
    packages = {"timm": "timm", "decoding": "pillow", "safetensors": "safetensors"}
    if check in packages:
        return inventory.pip_install(*again, packages[check])
    if check == "numpy_torch":
        return inventory.pip_install("--force-reinstall", "numpy")
    advice = {
        "device": "check the driver, or train on the CPU: --set compute.device=cpu",
        "accelerator": "check the driver, or train on the CPU: --set compute.device=cpu",
        "loader": "read without workers: --set compute.workers=0",
        "writing": "check its permissions, or put the runs elsewhere: --runs-dir FOLDER",
        "number_formats": "train in fp32: --set compute.precision=fp32",
    }
    return advice.get(check) or reinstall_pair(inventory)


def _unknown_model(model: str, seen: dict[str, Any], inventory: Inventory) -> CheckReported:
    return warned(
        "timm",
        f"timm {visible(seen.get('version'), limit=60)} does not know the model '{visible(model)}'",
        "a model that this timm has, or a timm that has this model",
        inventory.pip_install("--upgrade", "timm"),
    )


def _judged_decoding(seen: dict[str, Any], inventory: Inventory) -> CheckReported:
    """Fail where JPEG or PNG cannot be decoded, warn where WebP cannot."""
    faults = {str(name): visible(said, limit=200) for name, said in seen["faults"].items()}
    version = visible(seen.get("version"), limit=60)
    if not faults:
        return passed("decoding", GOALS["decoding"][1].format(version=version))
    report = failed if {"JPEG", "PNG"} & set(faults) else warned
    return report(
        "decoding",
        f"Pillow {version} cannot decode "
        + listed(f"{name} ({said})" for name, said in faults.items()),
        "a Pillow that decodes JPEG, PNG and WebP",
        inventory.pip_install("--force-reinstall", "--no-deps", "pillow"),
    )


def _judged_formats(seen: dict[str, Any]) -> CheckReported:
    faults = {str(name): visible(said, limit=200) for name, said in seen["cpu"].items() if said}
    if not faults:
        return passed("number_formats", "the CPU computes in bf16 and fp16")
    told = listed(f"{name} ({said})" for name, said in faults.items())
    return noted("number_formats", f"the CPU does not compute in {told}; fp32 is used there")


def _without_accelerator(answers: Mapping[str, Answer]) -> CheckReported:
    device = answers.get("device")
    seen = (device.seen if device is not None else None) or {}
    if seen.get("cuda") or seen.get("mps"):
        return noted("accelerator", "the accelerator was not tried")
    return noted("accelerator", "no accelerator that PyTorch can use; the CPU computes")


def _judged_accelerators(seen: dict[str, Any], inventory: Inventory, device: str) -> CheckReported:
    """Fail where no accelerator works, or the one asked for; warn where another does not."""
    cards = seen["devices"]
    if not cards:
        return noted("accelerator", "no accelerator that PyTorch can use; the CPU computes")
    broken = [card for card in cards if card["fault"]]
    if not broken:
        told = listed(f"{card['device']}{_formats(card)}" for card in cards)
        return passed("accelerator", f"a tiny model goes forward and back on {told}")
    cause = cause_of(str(broken[0]["fault"]), inventory)
    said = listed(f"{card['device']}: {visible(card['fault'], limit=200)}" for card in broken)
    asked = "cuda:0" if device == "cuda" else device
    is_needed = len(broken) == len(cards) or asked in {card["device"] for card in broken}
    report = failed if is_needed and device != "cpu" else warned
    return report(
        "accelerator",
        f"{cause.words + ': ' if cause else ''}a tiny model cannot be trained on {said}",
        cause.expected if cause else "a device that computes",
        (cause.fix or cause.advice) if cause else _remedy("accelerator", inventory),
    )


def _formats(card: dict[str, Any]) -> str:
    short = {"bfloat16": "bf16", "float16": "fp16"}
    able = [short[name] for name, fault in card["formats"].items() if not fault and name in short]
    return f" ({', '.join(able)})" if able else ""


def _judged_devices(seen: dict[str, Any], device: str) -> CheckReported:
    """Say what there is and what `auto` takes; a device asked for must be there."""
    cards, has_mps = seen.get("cuda") or [], bool(seen.get("mps"))
    kind, _, index = device.partition(":")
    if kind == "cuda" and int(index or 0) >= len(cards):
        return failed(
            "device",
            f"compute.device = '{device}', but PyTorch sees {counted(len(cards), 'CUDA device')}",
            "a CUDA device that PyTorch can use",
            "check nvidia-smi and the driver, or set compute.device = 'auto'",
        )
    if kind == "mps" and not has_mps:
        return failed(
            "device",
            "compute.device = 'mps', but PyTorch cannot use MPS here",
            "a Mac with Apple silicon and macOS 12.3 or newer",
            "set compute.device = 'auto'",
        )
    taken = "cuda" if cards else "mps" if has_mps else "cpu"
    names = [f"{card['name']} ({bytes_size(card['memory_bytes'])})" for card in cards]
    there = [*names, *(["MPS"] if has_mps else []), "CPU"]
    number_format = " in bf16" if seen.get("bf16") else ""
    chosen = f"auto takes {taken}" if device == "auto" else f"{device} is asked for"
    return passed("device", f"{chosen}{number_format}; there are: {listed(there)}")
