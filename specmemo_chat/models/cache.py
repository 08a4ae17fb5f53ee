"""The arena behind transformers' cache interface: `update()` writes into slots and returns a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from specmemo_chat.kv.arena import KVArena, Window


class ArenaCache(Cache):  # type: ignore[misc]
    """One forward's window onto an arena: which rows and slots are written and how many slots are seen."""

    def __init__(self, arena: KVArena) -> None:
        self.arena = arena
        self.rows: Sequence[int] = (0,)
        self.window = Window(torch.zeros((1, 0), dtype=torch.long), None, 0, 1, None, 0)
        super().__init__(layers=[_ArenaLayer(self, index) for index in range(arena.layers)])

    def aim(self, rows: Sequence[int], window: Window) -> None:
        """Set what the next forward, over `rows`, writes and sees."""
        self.rows, self.window = rows, window


class _ArenaLayer(CacheLayerMixin):  # type: ignore[misc]
    def __init__(self, owner: ArenaCache, index: int) -> None:
        super().__init__()
        self._owner = owner
        self._index = index
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the arena is allocated by the plan."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new keys and values [R, kv_heads, nodes, d]; returns all that the forward may see."""
        owner = self._owner
        return owner.arena.store(self._index, owner.window, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._owner.window.view, 0

    def get_seq_length(self, *_: Any) -> int:
        """Only used where positions are not given; they always are."""
        return max(self._owner.arena.lengths[row] for row in self._owner.rows)

    def get_max_length(self) -> int:
        return self._owner.arena.largest_capacity

    def get_max_cache_shape(self) -> int:
        """The name of `get_max_length` in transformers 5.17."""
        return self._owner.arena.largest_capacity
