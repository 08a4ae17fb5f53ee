"""Fetching a model from the hub: what is missing, whether the disk holds it, progress, resume."""

from __future__ import annotations

import errno
import fnmatch
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.access import licence_steps
from specmemo_chat.catalog.cache import cache_root, missing_files, repository_folder
from specmemo_chat.catalog.gguf_files import all_parts, chosen, models_among, quantisation, split_id
from specmemo_chat.catalog.remote_gguf import remote_header
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.catalog.resume import WORTH_RESUMING, fetch_large
from specmemo_chat.errors import ModelError
from specmemo_chat.events import Progress
from specmemo_chat.sizes import GIB, format_size

# Text files first; weights in one format only. No Python code unless the user trusts it.
SUPPORT_PATTERNS = ("*.json", "*.jinja", "tokenizer.model", "*.txt", "*.tiktoken")
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")

# The cache must not fill the disk to the last byte.
DISK_RESERVE = GIB
# What a write may fail with; the network has other errors.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
REACH_TIMEOUT_S = 10.0
POLL_S = 0.25


@dataclass(frozen=True)
class RemoteModel:
    """The files that a model needs: name -> bytes (0 where the hub does not say). `gguf`: they are a GGUF model's."""

    commit: str
    files: dict[str, int]
    gguf: bool = False

    @property
    def total_bytes(self) -> int:
        return sum(self.files.values())


def list_remote(source: ModelSource, *, code: bool = False) -> RemoteModel:
    """Ask the hub which files `source` needs. Raises ModelError where it is unknown, gated, or out of reach, and where
    it holds several GGUF models and none is named."""
    commit, sizes = _listing(source)
    tag = split_id(source.hub_id or "")[1]
    weights = _matching(sizes, SAFETENSORS) or _matching(sizes, PICKLES)
    if tag or (not weights and models_among(sizes)):
        parts = all_parts(chosen(sizes, tag, source.repository))
        absent = next((name for name in parts if name not in sizes), None)
        if absent is not None:
            raise ModelError(f"{source.repository} lacks {absent}, a part of the model", "give another of its models")
        return RemoteModel(commit, {name: sizes[name] for name in parts}, gguf=True)
    if not weights:
        raise ModelError(f"{source.hub_id} holds no weights of a language model", "give another hub id")
    wanted = [*weights, *_matching(sizes, (*SUPPORT_PATTERNS, *(("*.py",) if code else ())))]
    return RemoteModel(commit, {name: sizes[name] for name in wanted})


def remote_gguf_models(source: ModelSource) -> dict[str, int]:
    """The GGUF models of a repository that holds no other weights: quantisation -> bytes. Raises as `list_remote`."""
    _, sizes = _listing(source)
    if _matching(sizes, (*SAFETENSORS, *PICKLES)):
        return {}
    return {quantisation(name): sum(sizes.get(part, 0) for part in all_parts(name)) for name in models_among(sizes)}


def _listing(source: ModelSource) -> tuple[str, dict[str, int]]:
    """The commit of the repository, and its files with their bytes."""
    from huggingface_hub import HfApi

    with _hub_errors(source):
        info: Any = HfApi().model_info(source.repository, files_metadata=True, timeout=REACH_TIMEOUT_S)
    return str(info.sha), {sibling.rfilename: int(sibling.size or 0) for sibling in info.siblings or []}


@contextmanager
def remote_config(source: ModelSource) -> Iterator[Path]:
    """Download the config alone: within the block, the folder that holds it, or a GGUF file without its weights. Raises
    ModelError like `list_remote`."""
    from huggingface_hub import hf_hub_download

    # The listing fails at once without a network, where a download retries for half a minute.
    remote = list_remote(source)
    with ExitStack() as stack:
        with _hub_errors(source), _quiet_hub():
            if remote.gguf:
                folder = stack.enter_context(remote_header(source.repository, remote.commit, remote.files))
            else:
                folder = Path(hf_hub_download(source.repository, "config.json", revision=remote.commit)).parent
        yield folder


def download(
    source: ModelSource, report: Callable[[Progress], None], *, code: bool = False, tokenizer: bool = True
) -> Path:
    """Fetch what is missing of a model; the folder that holds it, or its first GGUF file. An interrupted download goes
    on where it stopped.

    `report` gets the bytes on disk a few times a second. `tokenizer`: one must come with it (a draft head has none).
    Raises ModelError where the disk is too small, where access is refused, and where the network fails.
    """
    from huggingface_hub import snapshot_download

    remote = list_remote(source, code=code)
    blobs = repository_folder(source.hub_id or "") / "blobs"
    _check_disk(source, remote.total_bytes - _bytes_below(blobs))
    with _hub_errors(source), _quiet_hub(), _watch(blobs, remote.total_bytes, report):
        for name, size in remote.files.items():
            if size >= WORTH_RESUMING:
                fetch_large(source.repository, name, remote.commit, blobs)
        # By name, not by commit: so `refs/main` is written, and the model is found again without a network.
        folder = Path(snapshot_download(source.repository, allow_patterns=sorted(remote.files)))
    if remote.gguf:
        missing = [name for name in remote.files if not (folder / name).is_file()]
        folder /= next(iter(remote.files))
    else:
        missing = missing_files(folder, tokenizer=tokenizer)
    if missing:
        raise ModelError(
            f"the download of {source.hub_id} is incomplete: {', '.join(missing[:3])} missing", "run this again"
        )
    return folder


def _matching(names: dict[str, int], patterns: tuple[str, ...]) -> list[str]:
    """Names at the top of the repository that match; folders hold other formats."""
    return sorted(
        name for name in names if "/" not in name and any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    )


def _check_disk(source: ModelSource, needed: int) -> None:
    root = cache_root()
    while not root.exists() and root != root.parent:
        root = root.parent
    free = shutil.disk_usage(root).free
    if needed + DISK_RESERVE > free:
        raise ModelError(
            f"{source.hub_id} needs {format_size(max(0, needed))} on disk, and {root} has {format_size(free)} free",
            f"free {format_size(needed + DISK_RESERVE - free)}, or set HF_HOME to a folder on a larger disk",
        )


def _bytes_below(folder: Path) -> int:
    """Bytes that the files in `folder` take on disk; unfinished ones are written with holes, so blocks count."""
    total = 0
    for path in folder.glob("*") if folder.is_dir() else ():
        try:
            status = path.stat()
        except OSError:
            continue
        total += min(status.st_size, getattr(status, "st_blocks", status.st_size // 512 + 1) * 512)
    return total


@contextmanager
def _watch(blobs: Path, total: int, report: Callable[[Progress], None]) -> Iterator[None]:
    """Report the bytes on disk while inside. The folder is watched because it counts what an earlier run left too."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(POLL_S):
            report(Progress("download", min(_bytes_below(blobs), total), total))

    thread = threading.Thread(target=watch, name="download-progress", daemon=True)
    thread.start()
    try:
        yield
        report(Progress("download", total, total))
    finally:
        finished.set()
        thread.join()


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """No bars and no retry warnings of huggingface_hub: the caller shows its own progress."""
    from huggingface_hub import logging
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    level, bars_disabled = logging.get_verbosity(), are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if not bars_disabled:
            enable_progress_bars()


@contextmanager
def _hub_errors(source: ModelSource) -> Iterator[None]:
    """Turn the hub's errors into ModelError with a remedy."""
    from huggingface_hub import errors

    name = source.hub_id
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(f"{name} is gated, and this account may not read it", licence_steps(source)) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub knows no model {name} (or it is private)", "check the spelling; for a private one: hf auth login"
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(f"the hub refused {name}: {error}", "run this again later") from error
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise _not_stored(source, error) from error
        raise ModelError(
            f"{name} is not on this machine and the hub cannot be reached: {error}",
            "check the network, or give the folder of a model that is here",
        ) from error


def _not_stored(source: ModelSource, error: Any) -> ModelError:
    """The disk failed, not the network. What arrived is kept, for the next try."""
    elsewhere = "or set HF_HOME to a folder elsewhere"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, remedy = "the disk is full", f"free some space and run this again: it goes on from there; {elsewhere}"
    else:
        reason, remedy = os.strerror(error.errno), f"make the folder writable for this user, {elsewhere}"
    return ModelError(f"{source.hub_id} cannot be stored in {cache_root()}: {reason}", remedy)
