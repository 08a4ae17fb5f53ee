"""`python -m specmemo_chat` and the `specmemo` command."""

from __future__ import annotations

from specmemo_chat.cli.app import main

if __name__ == "__main__":
    main()
