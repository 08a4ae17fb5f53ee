"""The KV arena: preallocated keys and values with explicit slots, grown layer by layer, compacted in place.

Per layer one K and one V tensor [rows, kv_heads, capacity, head_dim]. Slots [0, length) of a row are
committed; the slots of a draft tree's nodes follow as scratch. Nothing is ever concatenated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from specmemo_chat.errors import SpecmemoError


class ArenaFullError(SpecmemoError):
    """More tokens were asked for than the plan has."""


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


class KVArena:
    """Keys and values of `rows` sequences.

    At most `limit_tokens` are committed in each row, `scratch_tokens` more hold a tree. Capacity grows in multiples of
    `growth_tokens`, geometrically, unless `allocate_at_load` takes all of it at once. New capacity is zeroed: a NaN in
    a slot that the mask hides would still make the attention's output NaN.
    """

    def __init__(
        self,
        layers: int,
        rows: int,
        kv_heads: int,
        head_dim: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str,
        limit_tokens: int,
        growth_tokens: int,
        scratch_tokens: int,
        allocate_at_load: bool = False,
    ) -> None:
        self.rows = rows
        self.limit_tokens = limit_tokens
        self.growth_tokens = growth_tokens
        self.scratch_tokens = scratch_tokens
        self.lengths = [0] * rows
        self.capacity = 0
        self._shape = (rows, kv_heads, head_dim)
        self._dtype = dtype
        self._device = torch.device(device)
        empty = torch.zeros((rows, kv_heads, 0, head_dim), dtype=dtype, device=self._device)
        self._keys = [empty] * layers
        self._values = [empty] * layers
        self.reserve(self.largest_capacity if allocate_at_load else min(growth_tokens, self.largest_capacity))

    @property
    def layers(self) -> int:
        return len(self._keys)

    @property
    def largest_capacity(self) -> int:
        """Slots of a row that the plan pays for."""
        return round_up(self.limit_tokens + self.scratch_tokens, self.growth_tokens)

    @property
    def nbytes(self) -> int:
        """Bytes that the arena holds now."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` slots in every row. Raises ArenaFullError beyond the plan."""
        if tokens <= self.capacity:
            return
        if tokens > self.largest_capacity:
            raise ArenaFullError(
                f"{tokens} tokens do not fit the KV arena of {self.largest_capacity}", "give a larger --ctx-size"
            )
        # Geometric growth copies every token a bounded number of times, whatever the length of the conversation.
        wanted = max(tokens, min(2 * self.capacity, self.largest_capacity))
        capacity = min(round_up(wanted, self.growth_tokens), self.largest_capacity)
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                # One layer's old and new tensor are the whole transient.
                tensors[layer] = self._grown(old, capacity)
                del old
        self.capacity = capacity

    def _grown(self, old: torch.Tensor, capacity: int) -> torch.Tensor:
        rows, heads, head_dim = self._shape
        new = torch.zeros((rows, heads, capacity, head_dim), dtype=self._dtype, device=self._device)
        new[:, :, : old.shape[2]] = old
        return new

    def view_length(self, rows: Sequence[int], nodes: int) -> int:
        """Slots that a forward over `rows` with `nodes` new tokens must see: few values, so that shapes repeat."""
        longest = max(self.lengths[row] for row in rows) + nodes
        return min(round_up(longest, self.growth_tokens), self.largest_capacity)

    def write(
        self, layer: int, rows: Sequence[int], slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, view: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store `keys` and `values` [R, kv_heads, nodes, head_dim] at `slots` [R, nodes] of `rows`; returns both as
        [R, kv_heads, view, head_dim]. The views share memory with the arena where `rows` are consecutive."""
        all_keys, all_values = self._keys[layer], self._values[layer]
        first, count = rows[0], len(rows)
        if count == 1:
            at = slots[0]
            all_keys[first].index_copy_(1, at, keys[0])
            all_values[first].index_copy_(1, at, values[0])
        else:
            index = torch.as_tensor(rows, device=self._device)[:, None]
            all_keys[index, :, slots] = keys.transpose(1, 2)
            all_values[index, :, slots] = values.transpose(1, 2)
        if list(rows) == list(range(first, first + count)):
            return all_keys[first : first + count, :, :view], all_values[first : first + count, :, :view]
        index = torch.as_tensor(rows, device=self._device)
        return all_keys[index, :, :view], all_values[index, :, :view]

    def extend(self, row: int, tokens: int) -> None:
        """The next `tokens` scratch slots of `row` become committed (a prefill chunk, a plain step)."""
        length = self.lengths[row] + tokens
        if length > min(self.limit_tokens, self.capacity):
            raise ArenaFullError(f"row {row} has no room for {length} tokens: the limit is {self.limit_tokens}")
        self.lengths[row] = length

    def commit(self, row: int, path: Sequence[int]) -> None:
        """Keep the tree nodes `path` (ascending, the root 0 first) as the next tokens of `row`, in place.

        The scratch is at most the path's own keys and values of one layer.
        """
        start = self.lengths[row]
        if list(path) != list(range(len(path))):
            moved = [(start + position, start + node) for position, node in enumerate(path) if position != node]
            to = torch.tensor([slot for slot, _ in moved], device=self._device)
            source = torch.tensor([slot for _, slot in moved], device=self._device)
            for tensors in (self._keys, self._values):
                for tensor in tensors:
                    tensor[row].index_copy_(1, to, tensor[row].index_select(1, source))
        self.extend(row, len(path))

    def truncate(self, row: int, length: int) -> None:
        """Forget everything after the first `length` tokens of `row`. Free: the slots are written over later."""
        if not 0 <= length <= self.lengths[row]:
            raise ValueError(f"row {row} has {self.lengths[row]} tokens and cannot be cut to {length}")
        self.lengths[row] = length

    def committed(self, layer: int, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The committed keys and values of one layer and row, each [kv_heads, length, head_dim] (a view)."""
        length = self.lengths[row]
        return self._keys[layer][row, :, :length], self._values[layer][row, :, :length]

    def check_integrity(self) -> None:
        """Raise AssertionError where an invariant of the arena does not hold."""
        rows, heads, head_dim = self._shape
        assert len(self._keys) == len(self._values) == self.layers
        assert 0 <= self.capacity <= self.largest_capacity, (self.capacity, self.largest_capacity)
        for tensor in (*self._keys, *self._values):
            assert tuple(tensor.shape) == (rows, heads, self.capacity, head_dim), tensor.shape
            assert tensor.dtype == self._dtype
            assert tensor.device.type == self._device.type
        assert len(self.lengths) == rows
        for row, length in enumerate(self.lengths):
            assert 0 <= length <= min(self.limit_tokens, self.capacity), (row, length)
            for layer in range(self.layers):
                for tensor in self.committed(layer, row):
                    assert bool(torch.isfinite(tensor).all()), (
                        f"row {row}, layer {layer} holds a value that is not finite"
                    )
