"""What the training runs on: device, precision, threads, and what this torch can do.

The only module that probes capabilities: torch from 2.2 on is supported, and
what newer releases added has its fall-back here.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ecotui.config import ComputeConfig
from ecotui.engine.copying import copied_aside
from ecotui.engine.heap import keep_freed_memory
from ecotui.engine.normalising import PLAIN, Normalisation
from ecotui.errors import EnvironmentFaultError
from ecotui.resolved_config import ResolvedConfig

Precision = Literal["fp32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_MPS_SAFE_MICRO_BATCH = 2
"""Source: the founding notebook's limits for MPS, where larger batches proved unstable."""
_MAX_AUTO_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the machine and this torch offer.

    Attributes:
        num_cuda: CUDA devices that torch can use.
        has_mps: Whether Apple's GPU can be used.
        cuda_has_bf16: Whether the first CUDA device computes bf16.
        num_cpus: Processors that this process may use.
    """

    num_cuda: int
    has_mps: bool
    cuda_has_bf16: bool
    num_cpus: int


@dataclass(frozen=True, slots=True)
class Compute:
    """What was chosen; every `auto` is gone.

    Attributes:
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: Number format of the forward pass.
        channels_last: Whether images and weights use that memory format.
        threads: Of the CPU's own computations.
        workers: Processes that read photos.
        micro_batch_size: Images a forward pass.
        non_blocking: Whether copies to the device may overlap with computing.
        normalisation: Of the model's input, done on the device.
        warnings: What a person should know about the choice, in words.
    """

    device: str
    precision: Precision
    channels_last: bool
    threads: int
    workers: int
    micro_batch_size: int
    non_blocking: bool
    normalisation: Normalisation = PLAIN
    warnings: tuple[str, ...] = ()

    @property
    def device_type(self) -> str:
        """`cpu`, `cuda` or `mps`."""
        return self.device.partition(":")[0]

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass in the chosen precision."""
        return torch.autocast(
            self.device_type,
            dtype=_DTYPES[self.precision] if self.precision != "fp32" else torch.bfloat16,
            enabled=self.precision != "fp32",
        )

    def to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy a tensor to the device; images (4 dimensions) in the chosen memory format.

        8-bit images are copied as they are, a quarter of the bytes, and normalised there.
        """
        if tensor.dim() != 4:
            return tensor.to(self.device, non_blocking=self.non_blocking)
        if self.non_blocking and tensor.device.type == "cpu":
            tensor = copied_aside(tensor, self.device)
        form = torch.channels_last if self.channels_last else torch.contiguous_format
        if tensor.dtype == torch.uint8:
            return self.normalisation(tensor.to(self.device), form)
        if self.channels_last:
            return tensor.to(self.device, memory_format=form)
        return tensor.to(self.device)


def card_uuid(device: str) -> str:
    """Return the UUID of a CUDA device as the driver knows it; empty where nobody tells."""
    if not device.startswith("cuda"):
        return ""
    return str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))


def probe_capabilities() -> Capabilities:
    """Ask torch and the system what there is."""
    has_cuda = torch.cuda.is_available()
    return Capabilities(
        num_cuda=torch.cuda.device_count() if has_cuda else 0,
        has_mps=torch.backends.mps.is_available(),
        cuda_has_bf16=has_cuda and torch.cuda.is_bf16_supported(),
        num_cpus=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
    )


def choose_compute(config: ResolvedConfig, capabilities: Capabilities) -> Compute:
    """Turn every `auto` of the compute settings into a choice.

    Raises:
        EnvironmentFaultError: The device asked for is not there.
    """
    device = _choose_device(config.compute.device, capabilities)
    kind = device.partition(":")[0]
    told: list[str] = []
    return Compute(
        device=device,
        precision=_choose_precision(config.compute.precision, kind, capabilities, told),
        channels_last=kind == "cuda"
        if config.compute.channels_last == "auto"
        else config.compute.channels_last,
        threads=capabilities.num_cpus
        if config.compute.threads == "auto"
        else config.compute.threads,
        workers=_choose_workers(config.compute, kind, capabilities),
        micro_batch_size=_choose_micro_batch(config, kind, told),
        non_blocking=kind == "cuda",
        warnings=tuple(told),
    )


def apply_process_settings(compute: Compute, config: ComputeConfig) -> None:
    """Set threads, memory and determinism of the whole process, before anything is computed.

    On the CPU memory that was freed is kept for the next step, which is up to 1.4 times as fast for
    it (`benchmarks/allocator.py`).
    """
    torch.set_num_threads(compute.threads)
    if compute.device_type == "cpu":
        keep_freed_memory()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def make_scaler(compute: Compute) -> Any:
    """Return a gradient scaler, switched on for fp16 only (torch 2.2 has it under cuda.amp)."""
    enabled = compute.precision == "fp16"
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler(compute.device_type, enabled=enabled)
    return torch.cuda.amp.GradScaler(enabled=enabled)


def supports_fused(optimizer_class: type[torch.optim.Optimizer], device: str) -> bool:
    """Say whether an optimizer has a fused kernel here, by taking one step with it.

    torch 2.2 has none for the CPU, and says so in the constructor.
    """
    parameter = torch.nn.Parameter(torch.zeros(2, device=device))
    parameter.grad = torch.ones_like(parameter)
    make: Any = optimizer_class
    try:
        make([parameter], lr=0.1, fused=True).step()
    except (TypeError, RuntimeError, ValueError, AssertionError):
        return False
    return bool((parameter.detach() != 0).all())


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an exception means that memory ran out, on whatever device and torch."""
    kinds = tuple(
        kind
        for kind in (
            getattr(torch, "OutOfMemoryError", None),
            getattr(torch.cuda, "OutOfMemoryError", None),
            MemoryError,
        )
        if isinstance(kind, type)
    )
    if isinstance(error, kinds):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said or "not enough memory" in said
    )


def _choose_device(asked: str, capabilities: Capabilities) -> str:
    if asked == "auto":
        return "cuda" if capabilities.num_cuda else "mps" if capabilities.has_mps else "cpu"
    if asked.startswith("cuda"):
        index = int(asked.partition(":")[2] or 0)
        if index >= capabilities.num_cuda:
            seen = f"torch {torch.__version__} sees {capabilities.num_cuda} CUDA devices"
            raise EnvironmentFaultError(
                f"compute.device = '{asked}', but {seen}",
                "a CUDA device that torch can use",
                "check nvidia-smi and the driver, or set compute.device = 'auto'",
            )
    if asked == "mps" and not capabilities.has_mps:
        raise EnvironmentFaultError(
            f"compute.device = 'mps', but torch {torch.__version__} cannot use MPS here",
            "a Mac with Apple silicon and macOS 12.3 or newer",
            "set compute.device = 'auto'",
        )
    return asked


def _choose_precision(
    asked: Literal["auto", "fp32", "bf16", "fp16"],
    kind: str,
    capabilities: Capabilities,
    told: list[str],
) -> Precision:
    if asked == "auto":
        if kind != "cuda":
            return "fp32"
        return "bf16" if capabilities.cuda_has_bf16 else "fp16"
    if asked == "fp16" and kind == "cpu":
        told.append("fp16 has no gradient scaling on the CPU; training in bf16 instead")
        return "bf16"
    if asked != "fp32" and kind == "mps":
        told.append(f"{asked} on MPS depends on the torch release; fp32 is the safe choice")
    return asked


def _choose_workers(config: ComputeConfig, kind: str, capabilities: Capabilities) -> int:
    if config.workers != "auto":
        return config.workers
    spare = capabilities.num_cpus // 2 if kind == "cpu" else capabilities.num_cpus - 1
    return max(0, min(_MAX_AUTO_WORKERS, spare))


def _choose_micro_batch(config: ResolvedConfig, kind: str, told: list[str]) -> int:
    asked, batch_size = config.train.micro_batch_size, config.train.batch_size
    if config.model.gradient_checkpointing and kind == "mps":
        told.append("gradient checkpointing is known to be unstable on MPS")
    if asked == "auto":
        return min(_MPS_SAFE_MICRO_BATCH, batch_size) if kind == "mps" else batch_size
    if kind == "mps" and asked > _MPS_SAFE_MICRO_BATCH:
        told.append(
            f"train.micro_batch_size = {asked} on MPS: more than {_MPS_SAFE_MICRO_BATCH} "
            "is known to be unstable"
        )
    return min(asked, batch_size)
