"""A draft head's forwards as CUDA graphs: a level of a tree, and the tokens that one row has committed since.

One layer is some thirty kernels, which a GPU runs in a fraction of the time that the host takes to launch them; a draft
of six levels would take as long as the step of a 7B model that it is for.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows

import torch

from specmemo_chat.drafters.eagle_head import EagleHead
from specmemo_chat.drafters.level_tree import Scratch
from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.models.graphs import GraphPool, Tensors
from specmemo_chat.models.masks import committed_mask

# So many committed tokens of one row are read by a graph: a step accepts no more, where trees are not deeper.
_MOST_READ = 16


class HeadGraphs:
    """The forwards of `head` over `arena`, for at most `rows` rows and `width` nodes of a level in each.

    `feature_bytes` are those of one token's features as the target gives them. The states of a level stay on the
    device, where the next one continues them.
    """

    def __init__(self, head: EagleHead, arena: KVArena, rows: int, width: int, feature_bytes: int) -> None:
        self._head = head
        self._arena = arena
        nodes = max(rows * width, _MOST_READ)
        hidden, device = head.config.hidden, head.device
        self._states = torch.zeros((rows, width, hidden), dtype=head.dtype, device=device)
        # Integers and mask; features. Logits; states of committed tokens.
        inputs = (5 * 8 * nodes, 4 * nodes * arena.largest_capacity, _MOST_READ * feature_bytes)
        self._graphs = GraphPool(device, inputs, (nodes * head.logit_bytes, hidden * head.dtype.itemsize))

    @property
    def problem(self) -> str:
        """Why nothing is captured any more, "" while it is."""
        return self._graphs.problem

    @property
    def prepared(self) -> int:
        """How many forwards prepared a graph."""
        return self._graphs.prepared

    @property
    def captured(self) -> int:
        """How many graphs there are."""
        return self._graphs.captured

    def begin(self, states: torch.Tensor) -> None:
        """A tree begins after the states [R, hidden] of its rows' last tokens."""
        self._states[: len(states), 0].copy_(states)

    def level(
        self, scratch: Scratch, rows: Rows[int], tokens: torch.Tensor, picked: Rows[Rows[int]], straight: bool
    ) -> torch.Tensor:
        """Logits [R, k, vocab] of the next level of a tree; the arguments are those of `level_tree.Expand`. The rows
        are neighbours in the arena."""
        head, arena, states = self._head, self._arena, self._states
        count, width = tokens.shape
        stands, mask = scratch.nodes(picked, straight)
        first = arena.place(rows[0])
        places = torch.arange(first, first + count)[:, None].expand(-1, width)
        given = torch.stack((tokens, torch.tensor(picked), *stands, places))

        def forward(inputs: Tensors) -> Tensors:
            (nodes, parents, positions, slots, owners), seen = inputs
            above = states[:count].gather(1, parents[..., None].expand(-1, -1, states.shape[-1]))
            window = Window(slots, owners if count > 1 else None, first, count, None, scratch.view)
            new = head(nodes, above, head.turns(positions[:, :1]), arena, window, seen.to(head.dtype))
            states[:count, :width].copy_(new)
            return (head.logits(new),)

        key = ("level", first, count, width, scratch.view)
        return self._graphs.run(key, arena.moved, forward, (given, mask))[0]

    def reads(self, texts: Rows[Rows[int]]) -> bool:
        """Whether `append` is for these committed tokens."""
        return len(texts) == 1 and len(texts[0]) <= _MOST_READ

    def append(self, row: int, text: Rows[int], features: torch.Tensor) -> torch.Tensor:
        """Commit the entries of `text`, which follow those of `row`; their `features` are [T, features]. Returns the
        state [hidden] after them."""
        head, arena = self._head, self._arena
        first, count, start = arena.place(row), len(text), arena.lengths[row]
        view = arena.view(start + count)
        given = torch.tensor([[text], [range(start, start + count)]])
        mask = committed_mask([start + count], 1, view, torch.float32)[:, None]

        def forward(inputs: Tensors) -> Tensors:
            # What is committed stands where it is in the text.
            (tokens, positions), seen, read = inputs
            window = Window(positions, None, first, 1, None, view)
            states, turns = head.states(read[None]), head.turns(positions)
            return (head.append(tokens, states, turns, arena, window, (count - 1,), seen.to(head.dtype)),)

        out = self._graphs.run(("append", first, count, view), arena.moved, forward, (given, mask, features))[0]
        arena.extend(row, count)
        return out[0].clone()
