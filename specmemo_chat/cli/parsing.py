"""Commands and groups as typer parses them: texts are Unicode; usage errors, which repeat what was typed, are safe."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from specmemo_chat.terminal.text import safe
from specmemo_chat.texts import check_unicode


class TextCommand(TyperCommand):
    """A command that takes Unicode text only, from the command line, the environment or config.toml; what is declared
    as a path may have any bytes. Raises UsageError."""

    def invoke(self, ctx: Any) -> Any:
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            for text in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(text, str):
                    check_unicode(text, parameter.opts[0] if parameter.param_type_name == "option" else "the argument")
        return super().invoke(ctx)


class SafeGroup(TyperGroup):
    """A group of commands whose usage errors hold no control characters of the command line."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except Exception as error:
            _clean(error)
            raise

    def invoke(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().invoke(*arguments, **options)
        except Exception as error:
            _clean(error)
            raise


def _clean(error: Exception) -> None:
    """Usage errors of typer and of click, whichever this version raises, keep their sentence in `message`."""
    for name in ("message", "option_name", "param_hint"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            setattr(error, name, safe(value))
