"""Fetches one large file of the hub into the hub's own cache so that a download that was cut off goes on where it
stopped, also in another process. huggingface_hub itself keeps whole files only: of a 5 GB shard at 4.9 GB nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from pathlib import Path
from typing import IO, Any

from specmemo_chat.errors import ModelError

# Files of the hub that are smaller are fetched again as a whole.
WORTH_RESUMING = 8 << 20
ATTEMPTS = 5
PAUSE_S = 1.0
CHUNK = 1 << 20
TIMEOUT_S = 30.0

# The hub names a large file's blob by the SHA-256 of its content.
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_large(hub_id: str, name: str, commit: str, blobs: Path) -> None:
    """Bring the blob of `name` at `commit` into the folder `blobs`; does nothing where it is there.

    The unfinished file is `<etag>.incomplete` beside it; a lock on it keeps two programs from writing both. Raises
    ModelError where the content is not what the hub announced, and what the hub's client raises.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(hub_id, name, revision=commit)
    metadata = get_hf_file_metadata(url, timeout=TIMEOUT_S)
    if not metadata.etag or not metadata.size:
        return  # the hub's own client fetches it whole
    blob = blobs / metadata.etag
    if blob.exists():
        return
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{metadata.etag}.incomplete"
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if blob.exists():  # another program was faster
            return
        _fill(file, url, metadata.size)
        file.flush()
        os.fsync(file.fileno())
        _check(part, metadata.etag, metadata.size, f"{name} of {hub_id}")
        part.replace(blob)


def _fill(file: IO[bytes], url: str, size: int) -> None:
    """Append to `file` until it has `size` bytes. A connection that breaks is taken up again a few times."""
    from huggingface_hub import errors

    for attempt in range(1, ATTEMPTS + 1):
        before = file.seek(0, os.SEEK_END)
        if before > size:
            file.truncate(0)
            before = 0
        if before == size:
            return
        try:
            _append(file, url, before)
        except errors.HfHubHTTPError:
            raise
        except (errors.HTTPError, OSError):
            # No progress at all: the network is gone, not just a connection.
            if attempt == ATTEMPTS or file.tell() == before:
                raise
            time.sleep(PAUSE_S)


def _append(file: IO[bytes], url: str, start: int) -> None:
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    session: Any = get_session()
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    # The token goes to the hub only: on a redirect to another host the client drops it.
    with session.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as response:
        if response.status_code == 416:  # nothing is there beyond what we have: what we have is not this file
            file.truncate(0)
            raise ConnectionError("the server has less of the file than was downloaded before")
        if response.status_code >= 400:
            response.read()
        hf_raise_for_status(response)
        if start and response.status_code != 206:
            file.truncate(0)  # the server does not know ranges: from the beginning
        for chunk in response.iter_bytes(CHUNK):
            file.write(chunk)


def _check(part: Path, etag: str, size: int, what: str) -> None:
    """Raise ModelError where the file is not the announced one; it is removed then."""
    good = part.stat().st_size == size
    if good and _SHA256.fullmatch(etag):
        with part.open("rb") as file:
            good = hashlib.file_digest(file, "sha256").hexdigest() == etag
    if not good:
        part.unlink()
        raise ModelError(f"{what} arrived damaged and was removed", "run this again")
