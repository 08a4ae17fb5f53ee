"""Import transformers without what one chat never uses: it more than halves the time to the first token.

Importing one model class of transformers 5.23 pulls in distributed tensors, FSDP, the compiler's tracer with
sympy, and a batching server: 2.7 of 4.3 s (docs/notes/startup.md). Here those modules are replaced by empty ones while
transformers is imported. Their names become empty classes: nothing is ever an instance of them, which is true,
because the real ones have no instances in a process that never distributes, compiles or serves.
Afterwards the empty modules are removed, so that a later import finds the real ones.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from specmemo_chat.memory.contract import Plan

UNUSED = (
    "torch._dynamo",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "transformers.generation.continuous_batching",
    "transformers.loss.loss_deimv2",
)


def _unchanged(*args: Any, **named: Any) -> Any:
    """Every function of an empty module: as a decorator, with arguments or without, it changes nothing."""
    return args[0] if args and callable(args[0]) else _unchanged


class _Empty(types.ModuleType):
    """A module in which every public name is an empty class, or a decorator that changes nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.lstrip("_")[:1].islower():
            return _unchanged
        # The constructor takes anything: some are instantiated in default arguments.
        made = type(name, (), {"__init__": lambda self, *args, **named: None, "__module__": self.__name__})
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.startswith(tuple(part + "." for part in self._names)) or name in self._names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """An empty module has nothing to run."""


@contextmanager
def without(names: tuple[str, ...] = UNUSED) -> Iterator[None]:
    """Within the block, imports of `names` that were not imported before give empty modules.

    Only for models on the CPU without quantisation: others use what is left out.
    """
    finder = _Finder(tuple(name for name in names if name not in sys.modules))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _Empty):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                if vars(sys.modules.get(parent, module)).get(child) is module:
                    delattr(sys.modules[parent], child)


def light_imports(plan: Plan, *, trust_remote_code: bool) -> AbstractContextManager[None]:
    """Leave out of transformers what a worker of this plan never uses, where that is certain."""
    if plan.dtype in ("int8", "nf4") or plan.device != "cpu" or trust_remote_code:
        return nullcontext()
    return without()
