"""The KV arena: preallocated keys and values with explicit slots, grown layer by layer, compacted in place.

Per layer one K and one V tensor [places, kv_heads, capacity, head_dim]. A row takes a place when it is first written
and keeps it until it is released; places are dense, so that rows in their order are read without a copy. Slots
[0, length) of a row are committed; the slots of a draft tree's nodes follow as scratch. Nothing is ever concatenated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from specmemo_chat.device.heap import own_mappings
from specmemo_chat.errors import Flag, SpecmemoError
from specmemo_chat.memory.footprint import next_capacity

# On a CPU attention takes time for every slot that it is shown, and shapes need not repeat.
_CPU_VIEW_STEP = 64
# In an arena that never grows all layers' keys and values of so many tokens move together: a GPU takes longer to be
# told of a copy than to make it.
_MOVED_AT_ONCE = 8
_LARGER_CAP = Flag("--max-memory", "SIZE", "with a larger cap")


class ArenaFullError(SpecmemoError):
    """More tokens were asked for than the plan has."""


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


@dataclass(frozen=True)
class Window:
    """Where one forward writes in an arena, and what it sees of it.

    `slots` [R, N], or [1, T] for a packed forward, and `places` [R, 1] or [1, T] (None: one row, `first`) say where the
    new tokens go: perhaps only the first ones, what follows pads the forward and is not stored.
    `start` is the first slot of one row's on a CPU, where asking costs nothing. Seen are the first `view` slots of
    `count` rows from the place `first` on, or of the places `seen` [R] where those are not neighbours.
    """

    slots: torch.Tensor
    places: torch.Tensor | None
    first: int
    count: int
    seen: torch.Tensor | None
    view: int
    start: int | None = None

    def part(self, slots: torch.Tensor, behind: int) -> Window:
        """The same for `slots` alone, which begin `behind` slots after these."""
        start = None if self.start is None else self.start + behind
        return Window(slots, self.places, self.first, self.count, self.seen, self.view, start)


class KVArena:
    """Keys and values of `rows` sequences.

    At most `limit_tokens` are committed in each row, `scratch_tokens` more hold a tree. All rows together take at most
    `slots` slots (0: every row may become full). Capacity begins with `growth_tokens` and grows by an eighth at a time,
    unless `allocate_at_load` takes all of it at once: then only so many rows are ever held as can all become full. New
    capacity is zeroed: a NaN in a slot that the mask hides would still make the attention's output NaN. `doubling`:
    views are powers of two, so few that a graph of each shape pays.
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
        slots: int = 0,
        doubling: bool = False,
    ) -> None:
        self.rows = rows
        self.limit_tokens = limit_tokens
        self.growth_tokens = growth_tokens
        self.scratch_tokens = scratch_tokens
        self.lengths = [0] * rows
        # Counts how often keys and values got other addresses.
        self.moved = 0
        self.slots = min(slots or rows * self.largest_capacity, rows * self.largest_capacity)
        if self.slots < self.largest_capacity:
            raise ValueError(f"{slots} slots do not hold one row of {self.largest_capacity}")
        self._order: list[int] = []  # rows by place
        self._places: dict[int, int] = {}
        self._width = (kv_heads, head_dim)
        self._dtype = dtype
        self._device = torch.device(device)
        self._fixed = allocate_at_load
        self._doubling = doubling
        self._view_step = min(growth_tokens, _CPU_VIEW_STEP) if self._device.type == "cpu" else growth_tokens
        self.capacity = self.largest_capacity if allocate_at_load else min(growth_tokens, self.largest_capacity)
        self._height = min(rows, self.slots // self.capacity)
        shape = (self._height, kv_heads, self.capacity, head_dim)
        # What never grows is one tensor: moving the tokens of a tree is few calls then.
        self._whole: torch.Tensor | None = None
        if allocate_at_load:
            self._whole = torch.zeros((2, layers, *shape), dtype=dtype, device=self._device)
            self._keys, self._values = list(self._whole[0]), list(self._whole[1])
        else:
            self._keys = [torch.zeros(shape, dtype=dtype, device=self._device) for _ in range(layers)]
            self._values = [torch.zeros(shape, dtype=dtype, device=self._device) for _ in range(layers)]

    @property
    def layers(self) -> int:
        return len(self._keys)

    @property
    def largest_capacity(self) -> int:
        """Slots of a row that is full."""
        return round_up(self.limit_tokens + self.scratch_tokens, self.growth_tokens)

    @property
    def nbytes(self) -> int:
        """Bytes that the arena holds now."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether rows that need so many slots each can be held at once."""
        if len(tokens) > self.rows or max(tokens, default=0) > self.largest_capacity:
            return False
        if self._fixed:
            return len(tokens) <= self._height
        return len(tokens) * round_up(max(tokens, default=0), self.growth_tokens) <= self.slots

    def in_order(self, rows: Sequence[int]) -> list[int]:
        """Indices into `rows` in the order of the rows' places: a forward over them so ordered copies the least."""
        return sorted(range(len(rows)), key=lambda index: self.place(rows[index]))

    def line_up(self, rows: Sequence[int]) -> list[int]:
        """Indices into `rows` in the order of their places, which are neighbours afterwards: a row that stands between
        them changes places with the last of them. For arenas of few layers, where that costs less than a forward that
        reads a copy of its rows."""
        order = self.in_order(rows)
        wanted, first, last = set(rows), self.place(rows[order[0]]), self.place(rows[order[-1]])
        if last - first == len(rows) - 1:
            return order
        for place in range(first, first + len(rows)):
            if self._order[place] not in wanted:
                self._swap(place, max(self._places[row] for row in rows))
        return self.in_order(rows)

    def _swap(self, place: int, other: int) -> None:
        """The rows in two places change them."""
        row, moved = self._order[place], self._order[other]
        length, kept = self.lengths[row], self.lengths[moved]
        for tensor in (*self._keys, *self._values):
            held = tensor[place, :, :length].clone()
            tensor[place, :, :kept] = tensor[other, :, :kept]
            tensor[other, :, :length] = held
        self._order[place], self._order[other] = moved, row
        self._places[moved], self._places[row] = place, other

    def neighbours(self, rows: Sequence[int]) -> bool:
        """Whether `rows`, which all have places, stand behind each other in the arena, in their order."""
        first = self._places[rows[0]]
        return all(self._places[row] == first + behind for behind, row in enumerate(rows))

    def place(self, row: int) -> int:
        """The row's place; it takes the next one where it has none. Raises ArenaFullError where none is left."""
        place = self._places.get(row)
        if place is None:
            place = self._places[row] = len(self._order)
            self._order.append(row)
            if place >= self._height:
                try:
                    self._add_places()
                except ArenaFullError:
                    self._order.pop()
                    del self._places[row]
                    raise
        return place

    def release(self, row: int) -> None:
        """Forget `row`. Its place goes to the row in the last place, whose tokens are copied there."""
        self.lengths[row] = 0
        place = self._places.pop(row, None)
        if place is None:
            return
        last = self._order.pop()
        if last == row:
            return
        self._order[place] = last
        self._places[last] = place
        length = self.lengths[last]
        for tensor in (*self._keys, *self._values):
            tensor[place, :, :length] = tensor[len(self._order), :, :length]

    def reserve(self, tokens: int) -> None:
        """Make room for `tokens` slots in every held row. Raises ArenaFullError beyond the plan."""
        if tokens <= self.capacity:
            return
        step, held = self.growth_tokens, max(1, len(self._order))
        largest = min(self.largest_capacity, self.slots // held // step * step)
        if tokens > largest:
            raise ArenaFullError(
                f"{held} rows of {tokens} tokens do not fit the KV arena of {self.slots}",
                Flag("--ctx-size", "N", "with a larger context") if held == 1 else _LARGER_CAP,
            )
        capacity = min(next_capacity(self.capacity, tokens, step), largest)
        self._reshape(min(self.rows, self.slots // capacity), capacity)

    def shrink(self) -> None:
        """Back to the capacity that the arena began with, where no row is held: it grows again as it is needed."""
        first = min(self.growth_tokens, self.largest_capacity)
        if not self._fixed and not self._order and self.capacity > first:
            self._reshape(min(self.rows, self.slots // first), first)

    def _add_places(self) -> None:
        """More rows, each of less capacity. Raises ArenaFullError where the held rows need what there is."""
        step = self.growth_tokens
        needed = round_up(max(1, *self.lengths), step)
        capacity = max(needed, min(self.capacity, self.slots // self.rows // step * step))
        height = min(self.rows, self.slots // capacity)
        if self._fixed or height < len(self._order):
            raise ArenaFullError(
                f"the KV arena of {self.slots} tokens holds no more than {len(self._order) - 1} rows of {needed}",
                _LARGER_CAP,
            )
        self._reshape(height, capacity)

    def _reshape(self, height: int, capacity: int) -> None:
        """`height` places of `capacity` slots; the held rows keep what they have."""
        heads, head_dim = self._width
        rows, kept = min(len(self._order), self._height), min(self.capacity, capacity)
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                # One layer's old and new tensor are the whole transient. A tensor made in inference mode could not be
                # changed outside it.
                with torch.inference_mode(False), own_mappings():
                    new = torch.zeros((height, heads, capacity, head_dim), dtype=self._dtype, device=self._device)
                new[:rows, :, :kept] = old[:rows, :, :kept]
                tensors[layer] = new
                del old
        self._height, self.capacity = height, capacity
        self.moved += 1

    def view(self, tokens: int) -> int:
        """Slots that a forward must see whose longest row has `tokens`, the new ones included: few values, so that
        shapes repeat. Makes room for them; raises ArenaFullError beyond the plan."""
        self.reserve(tokens)
        return min(self._rounded(tokens), self.capacity)

    def view_length(self, rows: Sequence[int], nodes: int) -> int:
        """`view` of a forward over `rows` with `nodes` new tokens each, without making room."""
        longest = max(self.lengths[row] for row in rows) + nodes
        return min(self._rounded(longest), self.largest_capacity)

    def _rounded(self, tokens: int) -> int:
        if self._doubling:
            return max(2 * self._view_step, 1 << (tokens - 1).bit_length())
        return round_up(tokens, self._view_step)

    def window(
        self, rows: Sequence[int], slots: torch.Tensor, view: int, counts: Sequence[int] = (), start: int | None = None
    ) -> Window:
        """A forward over `rows` that writes to `slots` [R, N], which are neighbours where there is one row, from
        `start` on (None: not known); with `counts`, a packed one that writes `counts[i]` tokens of row i after each
        other, `slots` [1, T]."""
        places = [self.place(row) for row in rows]
        first, count = places[0], len(places)
        seen = None
        if places != list(range(first, first + count)):
            seen = torch.tensor(places, device=self._device)
        index = None
        if counts:
            owners = [place for place, tokens in zip(places, counts, strict=True) for _ in range(tokens)]
            index = torch.tensor([owners], device=self._device)
        elif count > 1:
            index = torch.tensor(places, device=self._device)[:, None]
        if index is not None or self._device.type != "cpu":
            start = None
        elif start is None:
            start = int(slots[0, 0]) if slots.shape[1] else 0
        return Window(slots, index, first, count, seen, view, start)

    def store(
        self, layer: int, window: Window, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store `keys` and `values` [R, kv_heads, N, head_dim] (packed: [1, kv_heads, T, head_dim]) where `window`
        says; returns what it sees of both, [R, kv_heads, view, head_dim]. These share memory with the arena where the
        rows are neighbours."""
        all_keys, all_values = self._keys[layer], self._values[layer]
        first, view, tokens = window.first, window.view, window.slots.shape[1]
        if tokens < keys.shape[2]:
            keys, values = keys[:, :, :tokens], values[:, :, :tokens]
        if window.start is not None:
            # The fewest calls: beside a small model's products they are what a step is made of.
            row_keys, row_values = all_keys[first : first + 1], all_values[first : first + 1]
            end = window.start + tokens
            row_keys[:, :, window.start : end] = keys
            row_values[:, :, window.start : end] = values
            return row_keys[:, :, :view], row_values[:, :, :view]
        if window.places is None:
            at = window.slots[0]
            all_keys[first].index_copy_(1, at, keys[0])
            all_values[first].index_copy_(1, at, values[0])
        else:
            all_keys[window.places, :, window.slots] = keys.transpose(1, 2)
            all_values[window.places, :, window.slots] = values.transpose(1, 2)
        if window.seen is None:
            end = first + window.count
            return all_keys[first:end, :, :view], all_values[first:end, :, :view]
        return all_keys[window.seen, :, :view], all_values[window.seen, :, :view]

    def extend(self, row: int, tokens: int) -> None:
        """The next `tokens` scratch slots of `row` become committed (a prefill chunk, a plain step)."""
        self.place(row)
        length = self.lengths[row] + tokens
        if length > min(self.limit_tokens, self.capacity):
            raise ArenaFullError(f"row {row} has no room for {length} tokens: the limit is {self.limit_tokens}")
        self.lengths[row] = length

    def commit(self, row: int, path: Sequence[int]) -> None:
        """`commit_all` for one row."""
        self.commit_all((row,), (path,))

    def commit_all(self, rows: Sequence[int], paths: Sequence[Sequence[int]]) -> None:
        """Keep the tree nodes `paths[i]` (ascending, the root 0 first) as the next tokens of `rows[i]`, in place.

        The scratch is at most the paths' own keys or values of one layer; where the arena was allocated at load, those
        of all layers for 8 tokens.
        """
        moved = [
            (self.place(row), self.lengths[row] + node, self.lengths[row] + position)
            for row, path in zip(rows, paths, strict=True)
            for position, node in enumerate(path)
            if position != node
        ]
        if moved:
            # By rows of all heads of all places: two calls a tensor that cost a third of indexing by place and slot.
            heads, head_dim = self._width
            moves = torch.tensor(moved, device=self._device)
            first = (moves[:, :1] * heads + torch.arange(heads, device=self._device)) * self.capacity
            source, to = (first + moves[:, 1:2]).flatten(), (first + moves[:, 2:]).flatten()
            if self._whole is not None:
                flat = self._whole.view(2 * self.layers, -1, head_dim)
                for at in range(0, len(source), _MOVED_AT_ONCE * heads):
                    part = slice(at, at + _MOVED_AT_ONCE * heads)
                    flat.index_copy_(1, to[part], flat.index_select(1, source[part]))
            else:
                for tensor in (*self._keys, *self._values):
                    flat = tensor.view(-1, head_dim)
                    flat.index_copy_(0, to, flat.index_select(0, source))
        for row, path in zip(rows, paths, strict=True):
            self.extend(row, len(path))

    def truncate(self, row: int, length: int) -> None:
        """Forget everything after the first `length` tokens of `row`. Free: the slots are written over later."""
        if not 0 <= length <= self.lengths[row]:
            raise ValueError(f"row {row} has {self.lengths[row]} tokens and cannot be cut to {length}")
        self.lengths[row] = length

    def committed(self, layer: int, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The committed keys and values of one layer and row, each [kv_heads, length, head_dim] (a view)."""
        length, place = self.lengths[row], self._places.get(row, 0)
        return self._keys[layer][place, :, :length], self._values[layer][place, :, :length]

    def check_integrity(self) -> None:
        """Raise AssertionError where an invariant of the arena does not hold."""
        heads, head_dim = self._width
        assert len(self._keys) == len(self._values) == self.layers
        assert 0 <= self.capacity <= self.largest_capacity, (self.capacity, self.largest_capacity)
        assert self._height * self.capacity <= self.slots, (self._height, self.capacity, self.slots)
        assert len(self._order) <= self._height
        assert self._places == {row: place for place, row in enumerate(self._order)}
        for tensor in (*self._keys, *self._values):
            assert tuple(tensor.shape) == (self._height, heads, self.capacity, head_dim), tensor.shape
            assert tensor.dtype == self._dtype
            assert tensor.device.type == self._device.type
        assert len(self.lengths) == self.rows
        for row, length in enumerate(self.lengths):
            assert 0 <= length <= min(self.limit_tokens, self.capacity), (row, length)
            assert row in self._places or not length, f"row {row} has tokens and no place"
            for layer in range(self.layers):
                for tensor in self.committed(layer, row):
                    assert bool(torch.isfinite(tensor).all()), (
                        f"row {row}, layer {layer} holds a value that is not finite"
                    )
