"""What the installed torch was built for, read from its `version.py`: torch itself is not imported."""

from __future__ import annotations

import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

_FIELD = re.compile(r"^(__version__|cuda|hip)\b[^=]*=\s*['\"]([^'\"]*)['\"]", re.MULTILINE)


@dataclass(frozen=True)
class TorchBuild:
    """Versions of torch and of the platforms it was built for; "" where it was not built for one."""

    version: str
    cuda: str = ""
    hip: str = ""


@functools.cache
def torch_build() -> TorchBuild | None:
    """The installed torch, None where there is none (or its version file cannot be read)."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return read_build(Path(spec.origin).with_name("version.py"))


def read_build(path: Path) -> TorchBuild | None:
    """The build that a `torch/version.py` names, None where it names no version."""
    try:
        fields = dict(_FIELD.findall(path.read_text(encoding="utf-8")))
    except OSError:
        return None
    if "__version__" not in fields:
        return None
    return TorchBuild(fields["__version__"], fields.get("cuda", ""), fields.get("hip", ""))


def torch_version() -> str:
    """The installed torch's version, "" where there is none."""
    build = torch_build()
    return build.version if build is not None else ""


def torch_lacks_cuda() -> bool:
    """The installed torch cannot use NVIDIA cards."""
    build = torch_build()
    return build is not None and not build.cuda
