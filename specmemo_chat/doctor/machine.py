"""The doctor on packages, configuration, folders, disk, stored conversations, the bundled model and the terminal."""

from __future__ import annotations

import errno
import locale
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from specmemo_chat import __version__
from specmemo_chat.doctor.findings import Finding
from specmemo_chat.errors import SpecmemoError
from specmemo_chat.sizes import GIB, format_size

LITTLE_DISK = 5 * GIB
TRIAL = b"\0" * 65536


def packages() -> Iterator[Finding]:
    """Python, specmemo, and every package that it needs, in the version that it needs."""
    from packaging.requirements import Requirement

    wrong = []
    for text in metadata.requires("specmemo") or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} {found} is not {needed.specifier}")
    versions = f"specmemo {__version__}, Python {platform.python_version()}"
    if wrong:
        yield Finding("packages", "broken", f"{versions}; {', '.join(wrong)}", "pip install --upgrade specmemo")
    else:
        yield Finding("packages", "ok", versions)


def configuration() -> Iterator[Finding]:
    from specmemo_chat.setup.configuration import config_file, read, unknown_variables

    file = config_file()
    try:
        values = read(file)
        yield Finding("configuration", "ok", f"{file}, {len(values)} keys" if file.exists() else f"none at {file}")
    except SpecmemoError as error:
        yield Finding("configuration", "broken", error.message, error.remedy or "mend the file")
    unknown = unknown_variables()
    if unknown:
        yield Finding(
            "environment", "note", f"not known to specmemo: {', '.join(unknown)}", "check the spelling, or unset them"
        )


def folders() -> Iterator[Finding]:
    """Each folder that something is written to, by writing to it."""
    from specmemo_chat.catalog.cache import cache_root
    from specmemo_chat.setup import configuration

    wanted = {f"{kind} folder": folder for kind, folder in configuration.folders().items() if kind != "config"}
    variables = {"data folder": "XDG_DATA_HOME", "state folder": "XDG_STATE_HOME", "cache folder": "XDG_CACHE_HOME"}
    for name, folder in (wanted | {"model cache": cache_root()}).items():
        yield _try_writing(name, folder, variables.get(name, "HF_HOME"))
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        yield Finding(
            "temporary files", "broken", "no folder takes temporary files", "free space in /tmp, or set TMPDIR"
        )
        return
    yield _try_writing("temporary files", temporary, "TMPDIR")


def _try_writing(name: str, folder: Path, variable: str) -> Finding:
    """Write a little into the folder, or where it would be made."""
    place = folder
    while not place.is_dir() and place != place.parent:
        place = place.parent
    instead = f"or set {variable} to a folder elsewhere"
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(TRIAL)
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Finding(name, "broken", f"{folder}: the disk is full", f"free some space there, {instead}")
        reason = os.strerror(error.errno) if error.errno else str(error)
        # No permission helps on what is mounted read-only.
        remedy = f"mount {place} for writing" if error.errno == errno.EROFS else f"make {place} writable for this user"
        return Finding(name, "broken", f"{folder} cannot be written ({reason})", f"{remedy}, {instead}")
    return Finding(name, "ok", str(folder))


def disk() -> Iterator[Finding]:
    """Room for models. What is full already is found by writing."""
    from specmemo_chat.catalog.cache import cache_root

    place = cache_root()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < LITTLE_DISK:
        yield Finding(
            "disk",
            "note",
            f"{format_size(free)} free for models at {cache_root()}",
            "`specmemo models ls --here` and `specmemo models rm`, or set HF_HOME to a folder on a larger disk",
        )
    else:
        yield Finding("disk", "ok", f"{format_size(free)} free for models")


def sessions() -> Iterator[Finding]:
    from specmemo_chat.sessions.places import existing_store, sessions_file

    try:
        store = existing_store()
        if store is None:
            yield Finding("sessions", "ok", "no conversation is stored yet")
            return
        with store:
            store.check_integrity()
            count = len(store.sessions())
            if store.writable:
                yield Finding("sessions", "ok", f"{count} in {sessions_file()}")
            else:
                yield Finding(
                    "sessions",
                    "broken",
                    f"{sessions_file()} is read-only: chats are not saved",
                    "make the file and its folder writable, or set XDG_DATA_HOME to a folder elsewhere",
                )
    except SpecmemoError as error:
        yield Finding("sessions", "broken", error.message, error.remedy or "look at the file")


def bundled_model() -> Iterator[Finding]:
    """Pocket is whole: its header names as many bytes as the file has."""
    from specmemo_chat.catalog.aliases import bundled_folder
    from specmemo_chat.catalog.cache import missing_files

    try:
        folder = bundled_folder()
    except SpecmemoError as error:
        yield Finding("bundled model", "broken", error.message, "pip install --force-reinstall specmemo")
        return
    missing = missing_files(folder)
    weights = folder / "model.safetensors"
    if missing or not _whole(weights):
        what = f"{', '.join(missing)} missing" if missing else f"{weights} is cut off"
        yield Finding("bundled model", "broken", what, "pip install --force-reinstall specmemo")
    else:
        yield Finding("bundled model", "ok", f"pocket, {format_size(weights.stat().st_size)}")


def gguf_models() -> Iterator[Finding]:
    """Whether the GGUF files in the hub's cache can be used: their headers are read."""
    from specmemo_chat.catalog.cache import cached_gguf, cached_repositories
    from specmemo_chat.catalog.config import spec_from_folder

    for repository in cached_repositories():
        for hub_id, file in cached_gguf(repository).items():
            try:
                spec = spec_from_folder(hub_id, file)
            except SpecmemoError as error:
                yield Finding(hub_id, "note", error.message, f"{error.remedy}, and specmemo models rm {hub_id}")
            else:
                yield Finding(hub_id, "ok", f"{format_size(spec.checkpoint_bytes)}, {spec.model_type}")


def _whole(weights: Path) -> bool:
    """The file is as long as its safetensors header says."""
    import json

    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 1 << 24)))
    except (OSError, ValueError):
        return False
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    return bool(weights.stat().st_size == 8 + length + max(ends, default=0))


def terminal() -> Iterator[Finding]:
    """What the screen can show. Nothing here is broken: everything works in a pipe too."""
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(False)).lower().replace("-", "")
    if encoding != "utf8":
        yield Finding("terminal", "note", f"the encoding is {encoding}, not UTF-8", "export LC_ALL=C.UTF-8")
        return
    if not sys.stdout.isatty():
        yield Finding("terminal", "ok", "output goes to a file or a program: plain text")
        return
    term = os.environ.get("TERM", "")
    if term in ("", "dumb"):
        yield Finding("terminal", "note", f"TERM is {term or 'not set'}: plain text", "export TERM=xterm-256color")
        return
    size = shutil.get_terminal_size()
    colour = "no colours (NO_COLOR)" if os.environ.get("NO_COLOR") else "colours"
    yield Finding("terminal", "ok", f"{term}, {size.columns} x {size.lines}, {colour}, UTF-8")
