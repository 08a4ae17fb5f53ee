"""Tests of file permissions, also where the tests run as root: `python tests/powers.py COMMAND…` (Linux)."""

from __future__ import annotations

import ctypes
import os
import sys

_PR_CAPBSET_DROP = 24
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)): with them permissions do not bind root.
_BYPASSES = (1, 2)


def bound_by_permissions(*command: str) -> list[str]:
    """The command line that runs `command` without root's power to write where permissions forbid it."""
    return [sys.executable, __file__, *command]


def _main() -> None:
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in _BYPASSES:
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    _main()
