"""What the devices of this machine can do."""

from __future__ import annotations

from typing import List, Set, Tuple

from . import _arguments as arguments
from ._library import ffi, lib, text


def _usable_devices() -> List[Tuple[str, str]]:
    """(name, compute types) of every device that can be used."""
    info = ffi.new("trd_device_info *", {"struct_size": ffi.sizeof("trd_device_info")})
    found = []
    for i in range(lib.trd_device_count()):
        if lib.trd_device_get_info(i, info) == lib.TRD_OK and not text(info.unusable):
            found.append((text(info.id), text(info.compute_types)))
    return found


def get_cuda_device_count() -> int:
    """How many CUDA devices can be used; 0 in a build without CUDA."""
    return sum(name.startswith("cuda:") for name, _ in _usable_devices())


@arguments.signature_checked("function")
def get_supported_compute_types(device: str, device_index: int = 0) -> Set[str]:
    """Compute types that a device has, such as {"float32"}.

    Args:
      device: "cpu", "opencl", "auto" or a device's name, such as "opencl:0".
      device_index: Index among the devices of that kind.
    """
    wanted = arguments.string(device, "device").lower()
    index = arguments.integer(device_index, "device_index")
    found = dict(_usable_devices())
    if wanted == "auto":
        wanted = next((name.partition(":")[0] for name in found if not name.startswith("cpu:")), "cpu")
    name = wanted if ":" in wanted else "%s:%d" % (wanted, index)
    if name not in found or (":" in wanted and index != 0):
        raise ValueError("There is no device %s that could be used" % name)
    return {kind.strip() for kind in found[name].split(",") if kind.strip()}
