"""Where a run happens, for the conditions under its figures, and how much memory it takes."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("skeleton-of-thought", "torch", "transformers", "openai", "anthropic")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def describe_machine() -> dict[str, Any]:
    """Processor, system, versions, load and time, in plain JSON types; nothing that names the machine."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "accelerator": _accelerator(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


class PeakMemory:
    """The most memory this process held since `start`, in bytes; on CUDA, the device's instead."""

    def start(self) -> None:
        """Forget earlier peaks."""
        cuda = _cuda()
        if cuda is not None:
            cuda.reset_peak_memory_stats()
            return
        try:
            _CLEAR.write_text("5", encoding="ascii")  # Linux: resets the high-water mark of resident memory
        except OSError:
            return

    def read(self) -> int | None:
        """The peak; None where the system does not say, or cannot forget."""
        cuda = _cuda()
        if cuda is not None:
            return int(cuda.max_memory_allocated())
        if not os.access(_CLEAR, os.W_OK):
            return None
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def _cuda() -> Any:
    """torch.cuda, if torch is in use and has a device."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def _accelerator() -> str | None:
    cuda = _cuda()
    return None if cuda is None else str(cuda.get_device_name())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
