"""What the devices of this machine can do."""

from __future__ import annotations

from typing import List, Set, Tuple

from . import _arguments as arguments
from ._library import ffi, lib, text


def _usable_devices() -> List[Tuple[str, str]]:
    """(back end, compute types) of every device that can be used."""
    info = ffi.new("trd_device_info *", {"struct_size": ffi.sizeof("trd_device_info")})
    found = []
    for i in range(lib.trd_device_count()):
        if lib.trd_device_get_info(i, info) == lib.TRD_OK and not text(info.unusable):
            found.append((text(info.backend), text(info.compute_types)))
    return found


def get_cuda_device_count() -> int:
    """How many CUDA devices can be used; 0 in a build without CUDA."""
    return sum(backend == "cuda" for backend, _ in _usable_devices())


@arguments.signature_checked("function")
def get_supported_compute_types(device: str, device_index: int = 0) -> Set[str]:
    """Compute types that a device has, such as {"float32"}.

    Args:
      device: "cpu" or "auto".
      device_index: Index among the devices of that kind.
    """
    wanted = arguments.string(device, "device").lower()
    index = arguments.integer(device_index, "device_index")
    found = _usable_devices()
    if wanted == "auto":
        wanted = next((backend for backend, _ in found if backend != "cpu"), "cpu")
    types = [t for backend, t in found if backend == wanted]
    if index >= len(types):
        raise ValueError("There is no device %s:%d" % (wanted, index))
    return {name.strip() for name in types[index].split(",") if name.strip()}
