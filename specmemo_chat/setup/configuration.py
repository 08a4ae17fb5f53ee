"""config.toml: every flag that has an environment variable SPECMEMO_X may have a key `x` there, with its value as TOML.

The flags themselves are the schema: names, types and ranges are read off their declarations. The values become the
commands' defaults, so that the order flag > environment > config.toml > built-in default is the command line's own.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError
from specmemo_chat.settings import GenerationSettings, SettingError
from specmemo_chat.setup.flags import KEYS, PREFIX, Flag
from specmemo_chat.sizes import parse_size
from specmemo_chat.texts import read_text

FILE_NAME = "config.toml"

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_new_tokens")


def _check_meaning(name: str, value: Any) -> None:
    """What the type alone does not say. Raises UsageError."""
    if name in _SAMPLING:
        GenerationSettings(**{name: value})
    elif name == "max_memory":
        parse_size(value)


def folder() -> Path:
    """Where platformdirs puts specmemo's configuration."""
    import platformdirs

    return platformdirs.user_config_path("specmemo", appauthor=False)


def config_file() -> Path:
    """Where config.toml is looked for; it need not exist."""
    return folder() / FILE_NAME


def folders() -> dict[str, Path]:
    """Everything that specmemo keeps, by kind; the folders need not exist."""
    import platformdirs

    return {
        "config": folder(),
        "data": platformdirs.user_data_path("specmemo", appauthor=False),
        "state": platformdirs.user_state_path("specmemo", appauthor=False),
        "cache": platformdirs.user_cache_path("specmemo", appauthor=False),
    }


def read(path: Path) -> dict[str, Any]:
    """The values of a configuration file; {} where there is none.

    Raises UsageError with file and line for unknown keys, wrong types and values that the flag would refuse.
    """
    try:
        text = read_text(path, str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "mend the file, or move it away") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_with_line(path, text, error), "mend that line; see https://toml.io for the format") from error
    for name, value in values.items():
        place = f"{path}:{_line(text, name)}"
        key = KEYS.get(name)
        if key is None:
            near = difflib.get_close_matches(name.replace("-", "_"), KEYS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{place}: {name!r} is not a known key", f"{hint}known are {', '.join(KEYS)}")
        _check(place, key, value)
    return values


def _check(place: str, key: Flag, value: Any) -> None:
    if not _fits(key, value):
        written = str(value).lower() if isinstance(value, bool) else repr(value)
        shown = f"a table [{key.name}]" if isinstance(value, dict) else written
        raise UsageError(f"{place}: {key.name} is {shown}", f"it must be {key.expected}")
    try:
        _check_meaning(key.name, value)
    except SettingError as error:
        raise UsageError(f"{place}: {error.sentence.format(name=key.name)}", *error.remedies) from error
    except UsageError as error:
        raise UsageError(f"{place}: {key.name}: {error.message}", *error.remedies) from error


def _fits(key: Flag, value: Any) -> bool:
    if issubclass(key.kind, StrEnum):
        return value in list(key.kind)
    if key.kind is bool or isinstance(value, bool):
        return key.kind is bool and isinstance(value, bool)
    if key.kind in (int, float):
        if not (isinstance(value, int) or (isinstance(value, float) and key.kind is float)):
            return False
        too_small = key.minimum is not None and value < key.minimum
        return not too_small and (key.maximum is None or value <= key.maximum)
    return isinstance(value, key.kind)


def _line(text: str, name: str) -> int:
    """The line that a top-level key or table stands in."""
    pattern = rf"\s*(?:\[\s*)?[\"']?{re.escape(name)}[\"']?\s*[\].=]"
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.match(pattern, line)), 1)


def _with_line(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    line = int(found[1]) if found else text.count("\n") + 1
    reason = re.sub(r"\s*\(at [^)]*\)", "", str(error))
    return f"{path}:{line}: {reason[:1].lower()}{reason[1:]}"


def unknown_variables() -> list[str]:
    """Environment variables that begin like ours and are none: usually misspelt."""
    known = {key.variable for key in KEYS.values()}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
