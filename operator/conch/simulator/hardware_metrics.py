"""What the metrics page says about the machine: GPUs as invented as the engine, processor and memory of this host.

A GPU works or does not: it draws one of two powers, and its energy is the integral of that.
"""

import os
from collections.abc import Sequence
from typing import Final
from uuid import NAMESPACE_DNS, uuid5

from conch.simulator.exposition import Family

_GPU_MEMORY_BYTES: Final = 80 * 2**30
_GPU_MEMORY_USED_SHARE: Final = 0.9
_GPU_IDLE_WATTS: Final = 100
_GPU_BUSY_WATTS: Final = 600
_GPU_LIMIT_WATTS: Final = 700

_PINNED_POOL_BYTES: Final = 256 * 2**20


def gpu_uuids(visible_devices: str, count: int, host: str) -> tuple[str, ...]:
    """The GPUs' UUIDs: those that NVIDIA_VISIBLE_DEVICES names, else `count` invented ones of that host."""
    named = tuple(device for device in visible_devices.split(",") if device.startswith("GPU-"))
    return named or tuple(f"GPU-{uuid5(NAMESPACE_DNS, f'{number}.{host}')}" for number in range(count))


def gpu_families(uuids: Sequence[str], *, busy: bool, uptime_seconds: float, busy_seconds: float) -> list[Family]:
    """One sample per GPU; `busy` is now, `busy_seconds` since the start."""
    joules = _GPU_IDLE_WATTS * uptime_seconds + (_GPU_BUSY_WATTS - _GPU_IDLE_WATTS) * busy_seconds
    energy = Family(
        "nv_energy_consumption", "GPU energy consumption in joules since the Triton Server started", "counter"
    )
    gauges = (
        ("utilization", "GPU utilization rate [0.0 - 1.0)", 0.99 if busy else 0),
        ("memory_total_bytes", "GPU total memory, in bytes", _GPU_MEMORY_BYTES),
        ("memory_used_bytes", "GPU used memory, in bytes", _GPU_MEMORY_BYTES * _GPU_MEMORY_USED_SHARE),
        ("power_usage", "GPU power usage in watts", _GPU_BUSY_WATTS if busy else _GPU_IDLE_WATTS),
        ("power_limit", "GPU power management limit in watts", _GPU_LIMIT_WATTS),
    )
    families = [(energy, joules), *((Family(f"nv_gpu_{name}", text, "gauge"), value) for name, text, value in gauges)]
    for family, value in families:
        for uuid in uuids:
            family.value(gpu_uuid=uuid).add(value)
    return [family for family, _ in families]


def pinned_pool_families() -> list[Family]:
    """Triton's pool of pinned memory, which the vLLM backend never uses."""
    return [
        _gauge(
            "nv_pinned_memory_pool_total_bytes", "Pinned memory pool total memory size, in bytes", _PINNED_POOL_BYTES
        ),
        _gauge("nv_pinned_memory_pool_used_bytes", "Pinned memory pool used memory size, in bytes", 0),
    ]


def cpu_families() -> list[Family]:
    """Processor and memory of this host."""
    page_bytes, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    used_pages = pages - os.sysconf("SC_AVPHYS_PAGES")
    load = min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    return [
        _gauge("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", load),
        _gauge("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", pages * page_bytes),
        _gauge("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", used_pages * page_bytes),
    ]


def _gauge(name: str, help_: str, value: float) -> Family:
    family = Family(name, help_, "gauge")
    family.value().add(value)
    return family
