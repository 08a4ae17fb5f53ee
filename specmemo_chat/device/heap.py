"""The C library's heap, kept near what is really in use: a cap counts resident bytes, not live ones."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from collections.abc import Iterator

from specmemo_chat.sizes import KIB, MIB

# glibc raises both limits by itself, up to 32 MiB and twice that, whenever a large block is freed: the tensors of a
# prefill then stay resident for good. From the first limit on a block is a mapping of its own, given back when it is
# freed; as much as the second is kept at the heap's end, so that small steps need no system call.
_MAPPED_FROM = MIB
_KEPT = 4 * MIB
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Of what stays long blocks from this size on are mappings of their own: a page more at the most, a sixteenth.
_LASTING_FROM = 64 * KIB
_bound = False


def bound_heap() -> bool:
    """Fix the limits above for this process. False where the C library is not glibc."""
    global _bound
    library = _glibc()
    if library is None:
        return False
    _bound = bool(library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM) and library.mallopt(_M_TRIM_THRESHOLD, _KEPT))
    return _bound


@contextlib.contextmanager
def own_mappings() -> Iterator[None]:
    """Within the block also smaller tensors are mappings of their own: those that stay leave no holes in the heap, and
    what they replace goes back at once. Nothing changes where the heap was not bound."""
    library = _glibc()
    if library is None or not _bound:
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, _LASTING_FROM)
    try:
        yield
    finally:
        library.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)


def trim_heap() -> None:
    """Give back what the heap keeps but does not use."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def forget_pages(address: int, size: int) -> None:
    """Let the pages that lie whole within `size` bytes from `address` on leave resident memory. They must be those of a
    mapped file that nobody wrote to: where they are read again, they come back from it."""
    library = _glibc()
    if library is not None:
        first, end = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE, (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > first:
            library.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_DONTNEED)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        # musl has neither.
        _ = library.mallopt, library.malloc_trim
        return library
    return None
