"""What the devices of this machine can do."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Set

from . import _arguments as arguments
from ._library import ffi, lib, text


class _Device(NamedTuple):
    name: str
    backend: str
    type: str
    compute_types: str


def _usable_devices() -> List[_Device]:
    """Every device that can be used."""
    info = ffi.new("trd_device_info *", {"struct_size": ffi.sizeof("trd_device_info")})
    found = []
    for i in range(lib.trd_device_count()):
        if lib.trd_device_get_info(i, info) == lib.TRD_OK and not text(info.unusable):
            found.append(_Device(text(info.id), text(info.backend), text(info.type), text(info.compute_types)))
    return found


def _select(device: str, index: int) -> Optional[_Device]:
    """The usable device that a name and an index mean, as the library understands them."""
    found = _usable_devices()
    gpus = [d for d in found if d.type == "gpu"]
    if device == "auto":
        found = gpus or [d for d in found if d.backend == "cpu"]
        return found[index] if index < len(found) else None
    if device == "gpu":
        return gpus[index] if index < len(gpus) else None
    if ":" not in device and index == 0:
        own = [d for d in found if d.backend == device]
        return next((d for d in own if d.type == "gpu"), own[0] if own else None)
    name = device if ":" in device else "%s:%d" % (device, index)
    return next((d for d in found if d.name == name), None) if ":" not in device or index == 0 else None


def resolved_kind(device: str) -> str:
    """The back end that "auto" or "gpu" stands for; other names as they are, in small letters."""
    name = device.lower()
    if name not in ("auto", "gpu"):
        return name
    found = _select(name, 0)
    return found.backend if found is not None else name


def get_cuda_device_count() -> int:
    """How many CUDA devices can be used; 0 in a build without CUDA."""
    return sum(device.backend == "cuda" for device in _usable_devices())


@arguments.signature_checked("function")
def get_supported_compute_types(device: str, device_index: int = 0) -> Set[str]:
    """Compute types that a device has, such as {"float32"}.

    Args:
      device: "cpu", "opencl", "gpu", "auto" or a device's name, such as "opencl:0".
      device_index: Index among the devices of that kind.
    """
    wanted = arguments.string(device, "device").lower()
    index = arguments.integer(device_index, "device_index")
    found = _select(wanted, index)
    if found is None:
        raise ValueError("There is no device %s:%d that could be used" % (wanted, index))
    return {kind.strip() for kind in found.compute_types.split(",") if kind.strip()}
