"""Ways in which the checkpoints of a run can be damaged, each drawn by a seed.

Files are hard links to those of the run that was made once: a mutation never
writes into a file, it puts another one in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.json"
BLOCK_BYTES = 4096
GIANT_BYTES = 40_000_000
TRUNCATIONS = 20


@dataclass(slots=True)
class Scene:
    """A copy of a run's checkpoints that may be damaged.

    Attributes:
        folder: The checkpoints.
        outside: A folder beside the run.
        draw: Gives the same numbers for the same seed.
        steps: The committed states, newest first.
        spoilt: Names of states whose content is no longer what was committed.
    """

    folder: Path
    outside: Path
    draw: random.Random
    steps: list[Path]
    spoilt: set[str] = field(default_factory=set)

    @property
    def newest(self) -> Path:
        return self.steps[0]

    def any_file(self, path: Path | None = None) -> Path:
        folder = self.newest if path is None else path
        return self.draw.choice(sorted(entry for entry in folder.iterdir() if entry.is_file()))

    def put(self, path: Path, content: bytes) -> None:
        """Replace a file, and note its checkpoint as spoilt where it differs."""
        before = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
        if content != before:
            self.spoilt.add(path.parent.name)

    def spoil(self) -> None:
        self.spoilt.add(self.newest.name)


def copied(folder: Path, target: Path) -> None:
    """Copy checkpoints at next to no cost."""
    shutil.copytree(folder, target, copy_function=os.link)


def flip_a_bit(scene: Scene) -> None:
    file = scene.any_file()
    content = bytearray(file.read_bytes())
    content[scene.draw.randrange(len(content))] ^= 1 << scene.draw.randrange(8)
    scene.put(file, bytes(content))


def cut_short(scene: Scene) -> None:
    file = scene.any_file()
    content = file.read_bytes()
    scene.put(file, content[: len(content) * scene.draw.randrange(TRUNCATIONS) // TRUNCATIONS])


def zero_a_block(scene: Scene) -> None:
    file = scene.any_file()
    content = bytearray(file.read_bytes())
    start = scene.draw.randrange(1 + len(content) // BLOCK_BYTES) * BLOCK_BYTES
    block = content[start : start + BLOCK_BYTES]
    content[start : start + BLOCK_BYTES] = bytes(len(block))
    scene.put(file, bytes(content))


def lengthen(scene: Scene) -> None:
    file = scene.any_file()
    scene.put(file, file.read_bytes() + scene.draw.randbytes(scene.draw.randrange(1, 5_000)))


def swap_between_steps(scene: Scene) -> None:
    names = sorted(entry.name for entry in scene.newest.iterdir())
    differing = [
        (other, name)
        for other in scene.steps[1:]
        for name in names
        if (other / name).read_bytes() != (scene.newest / name).read_bytes()
    ]
    other, name = scene.draw.choice(differing)
    mine, theirs = (scene.newest / name).read_bytes(), (other / name).read_bytes()
    scene.put(scene.newest / name, theirs)
    scene.put(other / name, mine)


def swap_within(scene: Scene) -> None:
    one, other = scene.draw.sample(sorted(scene.newest.iterdir()), 2)
    first, second = one.read_bytes(), other.read_bytes()
    scene.put(one, second)
    scene.put(other, first)


def lose_a_file(scene: Scene) -> None:
    scene.any_file().unlink()
    scene.spoil()


def lose_many(scene: Scene) -> None:
    for path in scene.steps[: scene.draw.randrange(1, len(scene.steps))]:
        scene.any_file(path).unlink()
        scene.spoilt.add(path.name)


def add_files(scene: Scene) -> None:
    names = (
        "model.safetensors.bak",
        ".hidden",
        "notes.txt",
        "ema.safetensors~",
        "\x1b[2J",
        "new\n",
    )
    for name in scene.draw.sample(names, 2):
        (scene.newest / name).write_bytes(scene.draw.randbytes(100))


def name_a_key_twice(scene: Scene) -> None:
    """Let a second key say otherwise: readers of JSON take the first or the last."""
    file = scene.newest / MANIFEST
    text = file.read_text()
    key = scene.draw.choice(["files", "facts", "format"])
    value = {"files": "{}", "facts": '{"step": 1}', "format": "1"}[key]
    twice = f'"{key}": {value},\n'
    at = text.index("{") + 1 if scene.draw.random() < 0.5 else text.rindex("}")
    twice = twice if at < len(text) // 2 else f", {twice.rstrip().rstrip(',')}\n"
    scene.put(file, (text[:at] + twice + text[at:]).encode())


def claim_a_giant_header(scene: Scene) -> None:
    file = scene.draw.choice(sorted(scene.newest.glob("*.safetensors")))
    claim = scene.draw.choice([2**63, 2**40, 10**8, 0, len(file.read_bytes())])
    scene.put(file, struct.pack("<Q", claim) + file.read_bytes()[8:])


def swell_the_manifest(scene: Scene) -> None:
    file = scene.newest / MANIFEST
    content = file.read_bytes()
    scene.put(file, content + b" ")
    os.truncate(file, GIANT_BYTES)


def nest_the_manifest(scene: Scene) -> None:
    depth = scene.draw.choice([900, 100_000])
    content = b'{"format": 1, "files": {}, "facts": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
    scene.put(scene.newest / MANIFEST, content)


def lie_in_the_manifest(scene: Scene) -> None:
    """Change what the manifest says, as an edit by hand would."""
    file = scene.newest / MANIFEST
    record: dict[str, Any] = json.loads(file.read_bytes())
    name = scene.draw.choice(sorted(record["files"]))
    lies: list[Callable[[], object]] = [
        lambda: record["files"].pop(name),
        lambda: record["files"][name].update(bytes=0),
        lambda: record["files"][name].update(bytes=-1),
        lambda: record["files"][name].update(bytes="1"),
        lambda: record["files"][name].update(bytes=True),
        lambda: record["files"][name].update(sha256="0" * 64),
        lambda: record["files"][name].update(sha256=None),
        lambda: record["files"].update({name: []}),
        lambda: record["facts"].update(step=10**9),
        lambda: record["facts"].update(classes=["other"]),
        lambda: record.update(files=[]),
        lambda: record.update(facts=None),
        lambda: record.update(files={}),
        record.clear,
    ]
    scene.draw.choice(lies)()
    scene.put(file, json.dumps(record, indent=1).encode() + b"\n")


def name_a_file_elsewhere(scene: Scene) -> None:
    """Let the manifest name a sound file that lies outside of its folder."""
    file = scene.newest / MANIFEST
    record: dict[str, Any] = json.loads(file.read_bytes())
    name = scene.draw.choice(sorted(record["files"]))
    other = scene.steps[1].name
    wrong = scene.draw.choice(
        [
            f"../{other}/{name}",
            f"./{name}",
            str(scene.outside / name),
            "..",
            ".",
            "",
            "a\0b",
            name + "/",
        ]
    )
    (scene.outside / name).write_bytes((scene.newest / name).read_bytes())
    record["files"][wrong] = record["files"].pop(name)
    scene.put(file, json.dumps(record).encode())


def write_nonsense(scene: Scene) -> None:
    nonsense = [b"", b"null", b"[]", b"\xff\xfe", b"{" * 5_000, b'{"format": NaN}', b"1e999"]
    scene.put(scene.newest / MANIFEST, scene.draw.choice(nonsense))


def newer_name(scene: Scene) -> Path:
    return scene.folder / f"step-{scene.draw.randrange(1_000, 9_999):010d}-00000000"


def add_an_empty_folder(scene: Scene) -> None:
    made = newer_name(scene)
    made.mkdir()
    if scene.draw.random() < 0.5:
        (made / MANIFEST).mkdir()
    scene.spoilt.add(made.name)


def add_a_file_for_a_folder(scene: Scene) -> None:
    made = newer_name(scene)
    made.write_bytes(b"x")
    scene.spoilt.add(made.name)


def give_a_newer_name(scene: Scene) -> None:
    """An old state under a newer name would be taken for ever, whatever is saved after it."""
    made = newer_name(scene)
    copied(scene.steps[-1], made)
    scene.spoilt.add(made.name)


def link_a_folder(scene: Scene) -> None:
    made = newer_name(scene)
    if scene.draw.random() < 0.5:
        made.symlink_to(scene.steps[-1].name)
    else:
        copied(scene.steps[-1], scene.outside / "elsewhere")
        made.symlink_to(scene.outside / "elsewhere")
    scene.spoilt.add(made.name)


def link_a_file(scene: Scene) -> None:
    """Put a link in a file's place: out of the run, to another step, to nothing, to a device."""
    file = scene.any_file()
    outside = scene.outside / file.name
    outside.write_bytes(file.read_bytes())
    others = [outside, scene.steps[1] / file.name, Path("nowhere"), Path("/dev/zero"), file]
    target = scene.draw.choice(others)
    file.unlink()
    file.symlink_to(target)
    scene.spoil()


def put_a_pipe(scene: Scene) -> None:
    file = scene.any_file()
    file.unlink()
    os.mkfifo(file)
    scene.spoil()


def put_a_folder(scene: Scene) -> None:
    file = scene.any_file()
    file.unlink()
    file.mkdir()
    scene.spoil()


def lie_in_the_hints(scene: Scene) -> None:
    """Only hints: whatever they say, nothing is loaded by them."""
    for hint in ("latest", "best"):
        path = scene.folder / hint
        path.unlink(missing_ok=True)
        lie = scene.draw.choice(["../../elsewhere\n", scene.steps[-1].name, "\0", "", "x" * 10_000])
        if scene.draw.random() < 0.3:
            path.symlink_to(scene.outside)
        else:
            path.write_text(lie)


def stand_in_the_way_of_quarantine(scene: Scene) -> None:
    if scene.draw.random() < 0.5:
        (scene.folder / "quarantine").write_bytes(b"x")
    else:
        (scene.folder / "quarantine").symlink_to("nowhere/at/all")
    flip_a_bit(scene)


def leave_strange_names(scene: Scene) -> None:
    names = [
        "step-1",
        "step-0000000009-0000000g",
        "step-9999999999-00000000~",
        ".tmp-1",
        "stëp",
        "\x1b",
    ]
    for name in names:
        (scene.folder / name).mkdir()
        (scene.folder / name / MANIFEST).write_bytes(b"{}")


KINDS: tuple[Callable[[Scene], None], ...] = (
    flip_a_bit,
    cut_short,
    zero_a_block,
    lengthen,
    swap_between_steps,
    swap_within,
    lose_a_file,
    lose_many,
    add_files,
    name_a_key_twice,
    claim_a_giant_header,
    nest_the_manifest,
    lie_in_the_manifest,
    name_a_file_elsewhere,
    write_nonsense,
    add_an_empty_folder,
    add_a_file_for_a_folder,
    give_a_newer_name,
    link_a_folder,
    link_a_file,
    put_a_pipe,
    put_a_folder,
    lie_in_the_hints,
    stand_in_the_way_of_quarantine,
    leave_strange_names,
    swell_the_manifest,
)


def digest_of(path: Path) -> str:
    """Return the digest of a plain file; a pipe or a device would never end."""
    if path.is_symlink() or not path.is_file():
        return "no plain file"
    return hashlib.sha256(path.read_bytes()).hexdigest()
