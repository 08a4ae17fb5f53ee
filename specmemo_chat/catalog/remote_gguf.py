"""The header of a GGUF model on the hub, without its weights: enough for a plan."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.gguf import MOST, read_part
from specmemo_chat.errors import ModelError
from specmemo_chat.sizes import MIB

_FIRST = 2 * MIB
_CHUNK = MIB
_TIMEOUT_S = 30.0


@contextmanager
def remote_header(repository: str, commit: str, files: Mapping[str, int]) -> Iterator[Path]:
    """A model of the `files` (name -> bytes) as it would be after its download, but for the values of its weights: the
    path of its first part, within the block. Raises ModelError as `read_gguf` does, and what the hub's client raises.
    """
    with tempfile.TemporaryDirectory(prefix="specmemo-") as folder:
        for name, size in files.items():
            path = Path(folder) / Path(name).name
            _fill(path, repository, name, commit, size)
        yield Path(folder) / Path(next(iter(files))).name


def _fill(path: Path, repository: str, name: str, commit: str, size: int) -> None:
    """As much of the file as its header takes, and the factors of rotations, which belong to the config; the rest is a
    hole."""
    have, wanted = 0, min(_FIRST, size)
    while True:
        _fetch(path, repository, name, commit, have, wanted)
        have = wanted
        with path.open("r+b") as stream:
            stream.truncate(size)
        try:
            model = read_part(path, words=False)
            begin = min((info.offset for info in model.tensors.values()), default=0)
        except ModelError:
            begin = size
            if have >= min(size, MOST):
                raise
        if begin <= have:
            break
        wanted = min(2 * have, size)
    for info in model.tensors.values():
        if info.name.startswith("rope_"):
            _fetch(path, repository, name, commit, info.offset, info.offset + info.nbytes)


def _fetch(path: Path, repository: str, name: str, commit: str, start: int, stop: int) -> None:
    """Write the bytes [start, stop) of the hub's file into their place in `path`."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    session: Any = get_session()
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", "Range": f"bytes={start}-{stop - 1}"}
    url = hf_hub_url(repository, name, revision=commit)
    with (
        path.open("r+b" if path.exists() else "wb") as file,
        session.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S) as response,
    ):
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        # A server that does not know ranges begins at the beginning.
        at = start if response.status_code == 206 else 0
        file.seek(at)
        for chunk in response.iter_bytes(_CHUNK):
            file.write(chunk[: stop - at])
            at += len(chunk)
            if at >= stop:
                return
    raise ConnectionError(f"{name} of {repository} ended at byte {at} of {stop}")
