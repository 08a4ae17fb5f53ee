"""The C library's heap, kept near what is really in use: a cap counts resident bytes, not live ones."""

from __future__ import annotations

import contextlib
import ctypes
import sys

from specmemo_chat.sizes import MIB

# glibc raises both limits by itself, up to 32 MiB and twice that, whenever a large block is freed: the tensors of a
# prefill then stay resident for good. From the first limit on a block is a mapping of its own, given back when it is
# freed; as much as the second is kept at the heap's end, so that small steps need no system call.
_MAPPED_FROM = MIB
_KEPT = 4 * MIB
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def bound_heap() -> bool:
    """Fix the limits above for this process. False where the C library is not glibc."""
    library = _glibc()
    if library is None:
        return False
    return bool(library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM) and library.mallopt(_M_TRIM_THRESHOLD, _KEPT))


def trim_heap() -> None:
    """Give back what the heap keeps but does not use."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        # musl has neither.
        _ = library.mallopt, library.malloc_trim
        return library
    return None
