"""Every check of layer 1 by its name: why it matters, and where that is known from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check is about.

    Attributes:
        why: Why a finding matters to the training.
        source: Where that is known from; empty where it shows by itself.
        is_quick: Whether it is looked at when a run begins, too.
    """

    why: str
    source: str = ""
    is_quick: bool = False


REGISTER: dict[str, Subject] = {
    "python": Subject(
        "ecotui uses what came with Python 3.11; an older one cannot start it",
        "pyproject.toml of ecotui: requires-python",
        is_quick=True,
    ),
    "shadowing": Subject(
        "Python takes the first file of a name on its path; a package replaced by a file of its "
        "name fails in ways that name neither",
        "the Python tutorial, 6.1.2, The Module Search Path",
        is_quick=True,
    ),
    "interpreter": Subject(
        "packages installed for one Python are not there for another, so a remedy applied with "
        "the wrong one changes nothing",
        "the Python documentation of venv and site (user site packages)",
    ),
    "packages": Subject(
        "what ecotui calls in these packages is missing from other releases",
        "pyproject.toml of ecotui: dependencies",
        is_quick=True,
    ),
    "records": Subject(
        "two records of one package leave it to chance which of its files are loaded",
        "the Python documentation of importlib.metadata",
    ),
    "conda_pip": Subject(
        "conda does not know what pip replaced, and its next change may break it",
        "conda documentation, Using pip in a conda environment",
    ),
    "pillow": Subject(
        "photos from others can be made to attack an old decoder",
        "Pillow release notes, security parts of 12.1.1 to 12.3.0",
    ),
    "opencv": Subject(
        "both put their files into the same folder cv2, so that removing or upgrading one breaks "
        "the other",
        "the README of opencv/opencv-python, Installation and Usage",
    ),
    "torch": Subject("every number of the training is computed by PyTorch", is_quick=True),
    "numpy_torch": Subject(
        "every photo goes through NumPy into a tensor",
        "pytorch/pytorch issues 107302 and 132179",
        is_quick=True,
    ),
    "torchvision": Subject(
        "the transforms of every photo, and timm itself, need torchvision",
        "the table of releases in the README of pytorch/vision",
        is_quick=True,
    ),
    "torch_pair": Subject(
        "a torchvision made for another PyTorch fails when one of its own operators is needed",
        "the table of releases in the README of pytorch/vision",
    ),
    "decoding": Subject("photos that cannot be decoded are left out", is_quick=True),
    "timm": Subject("the models come from timm", is_quick=True),
    "model": Subject("a model that cannot do one step forward and back cannot be trained"),
    "safetensors": Subject("checkpoints and weights are kept as safetensors"),
    "loader": Subject("photos are read by processes of their own while the model computes"),
    "device": Subject("a model on the CPU trains ten to a hundred times slower", is_quick=True),
    "number_formats": Subject(
        "in bf16 or fp16 a model needs half the memory and mostly less time",
        "PyTorch documentation of torch.amp",
    ),
    "accelerator": Subject("a device that is seen may still be unable to compute"),
    "driver": Subject(
        "PyTorch cannot use a GPU whose driver is older than its CUDA release asks for",
        "NVIDIA, CUDA Compatibility, Minor Version Compatibility, table 1",
    ),
    "gpus": Subject(
        "another process takes memory and time, faulty memory changes numbers, and a hot card "
        "slows down",
        "the manual of nvidia-smi",
    ),
    "mps": Subject(
        "MPS has limits that a run must keep to",
        "ecotui's defaults on MPS: micro-batches of 2, no gradient checkpointing, blocking copies",
    ),
    "processors": Subject(
        "more threads and workers than processors slow one another down",
        "the Linux kernel's documentation of cgroup v2, cpu.max",
    ),
    "memory": Subject("a process that asks for more is killed by the system", is_quick=True),
    "swap": Subject("a machine that swaps trains many times slower, or seems to hang"),
    "shared_memory": Subject(
        "torch's workers hand over batches in /dev/shm, and die of a bus error where it is full",
        "PyTorch documentation, Multiprocessing best practices; docker run --shm-size",
    ),
    "open_files": Subject(
        "every worker and every batch in flight holds open files",
        "PyTorch documentation, torch.multiprocessing, file_descriptor sharing",
    ),
    "disk": Subject("checkpoints that find no room are not saved", is_quick=True),
    "writing": Subject(
        "a checkpoint is safe only where a file can be flushed, renamed and read again",
        "ecotui's own protocol of saving",
        is_quick=True,
    ),
    "disk_speed": Subject("a slow disk makes every checkpoint wait"),
    "network_file_system": Subject(
        "locks and renames are less reliable across a network, and it can go away",
        "nfs(5), section Data and metadata coherence",
    ),
    "cache": Subject("weights are downloaded once into the cache and read from there"),
    "hub": Subject(
        "without the hub, only weights that are in the cache already can be used",
        "huggingface_hub documentation, Environment variables",
    ),
    "proxy": Subject("downloads go through a proxy where the environment names one"),
    "locale": Subject(
        "file names and symbols that are not ASCII can only be shown in UTF-8",
        "the Python documentation, PEP 540 and PEP 538",
    ),
    "clock": Subject(
        "a wrong clock spoils time limits, the order of runs, and certificates of downloads"
    ),
    "logout": Subject(
        "the system may end a training when the person logs out",
        "logind.conf(5), KillUserProcesses; loginctl(1), enable-linger",
    ),
    "terminal": Subject("the screens need room, colours and UTF-8"),
    "clipboard": Subject(
        "inside tmux, what is copied reaches the clipboard only where tmux passes it on",
        "tmux(1), set-clipboard and allow-passthrough",
    ),
}
"""Causes before what follows from them."""

CHECKS = tuple(REGISTER)
"""Stable names, causes before what follows from them."""

QUICK_CHECKS = tuple(name for name, subject in REGISTER.items() if subject.is_quick)
"""Those that are looked at when a run begins."""
