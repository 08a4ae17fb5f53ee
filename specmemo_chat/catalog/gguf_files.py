"""Which of many files are GGUF models, and which one a quantisation's name means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from specmemo_chat.catalog.gguf import MAGIC, part_names
from specmemo_chat.errors import ModelError

_PART = re.compile(r"-(\d{5})-of-\d{5}$")
# "Q4_K_M" in "Llama-3.2-1B-Instruct-Q4_K_M.gguf", "UD-Q4_K_XL", "q8_0", "bf16".
_QUANTISATION = re.compile(r"(?:^|[-._])((?:UD-)?I?Q\d\w*|B?F16|F32|FP16|FP32)$", re.IGNORECASE)
# Beside a model: a projector of images, the statistics of a quantiser.
_OTHER = re.compile(r"mmproj|imatrix", re.IGNORECASE)


def split_id(hub_id: str) -> tuple[str, str]:
    """Repository and GGUF model of "owner/name:Q4_K_M"; no model where none is named."""
    repository, _, tag = hub_id.partition(":")
    return repository, tag


def is_gguf(path: Path) -> bool:
    """`path` is a file of that suffix, or begins so whatever its name. Raises OSError where it cannot be read."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".gguf":
        return True
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def models_among(names: Iterable[str]) -> list[str]:
    """The GGUF models among file names, each by its first part."""
    found = []
    for name in sorted(names):
        stem = PurePosixPath(name).stem
        part = _PART.search(stem)
        first = part is None or int(part[1]) == 1
        if name.lower().endswith(".gguf") and first and not _OTHER.search(stem):
            found.append(name)
    return found


def all_parts(name: str) -> list[str]:
    """The files of the model whose first part is `name`, in its folder."""
    folder = PurePosixPath(name).parent
    return [str(folder / part) for part in part_names(PurePosixPath(name).name)]


def quantisation(name: str) -> str:
    """The quantisation that a file's name tells, in capitals; the name itself where it tells none."""
    match = _QUANTISATION.search(_PART.sub("", PurePosixPath(name).stem))
    return match[1].upper() if match else PurePosixPath(name).name


def chosen(names: Iterable[str], tag: str, where: str) -> str:
    """The model among `names` that `tag` means: a quantisation's name in any case, or a file's name. An empty tag: the
    only one. Raises ModelError, naming what there is, for none and for several."""
    models = models_among(names)
    found = [name for name in models if not tag or tag.upper() == quantisation(name) or tag == PurePosixPath(name).name]
    if len(found) == 1:
        return found[0]
    tags = list(dict.fromkeys(quantisation(name) for name in models))
    if len(tags) < len(models):
        tags = [PurePosixPath(name).name for name in models]
    what = f"{len(models)} GGUF models" if not tag else f"no GGUF model {tag}" if not found else f"several {tag}"
    listed = ", ".join(tags) or "no GGUF model at all"
    raise ModelError(f"{where} holds {what}: there is {listed}", "name one of them" if tags else "give another model")
