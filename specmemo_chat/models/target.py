"""The target: a causal LM, ours or an unmodified one of transformers, whose keys and values live in an arena."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import torch

from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.models.attention import branched_mask, folded_mask, parted_mask
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.llama.model import LlamaModel
from specmemo_chat.models.masks import within_window
from specmemo_chat.models.matrices import q4
from specmemo_chat.models.matrices.gpu import kernel_problem
from specmemo_chat.models.packing import Packing
from specmemo_chat.models.paths import narrowed
from specmemo_chat.models.rotary import STRETCHED, of_whole_texts, settle

_TILED_ROWS = 32


class Target:
    """Wraps the model `load_target` built. `kv_heads` is per worker (divided by the tensor-parallel degree)."""

    def __init__(self, model: Any, eos_ids: frozenset[int], tp: int = 1, notes: tuple[str, ...] = ()) -> None:
        self.model = model
        # Sentences for the user about what was loaded.
        self.notes = notes
        self.config = model.config
        self.eos_ids = eos_ids
        config = self.config
        self.layers: int = config.num_hidden_layers
        self.vocab_size: int = config.vocab_size
        heads = config.num_attention_heads
        self.kv_heads: int = (getattr(config, "num_key_value_heads", None) or heads) // tp
        self._group = heads // tp // self.kv_heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device
        self._own = isinstance(model, LlamaModel)
        self._alone = tp == 1
        types: list[str] = getattr(config, "layer_types", None) or []
        self._window: int = getattr(config, "sliding_window", None) or 0
        self._by_type = "sliding_attention" in types and self._window > 0
        # Mistral has one mask for all layers and no layer types.
        self._all_slide = not types and self._window > 0 and getattr(config, "use_sliding_window", True)
        self._cache: Any = None
        # Texts of more tokens are turned by another set of rotary factors; 0: there is one set.
        self.rotary_boundary = model.model.rotary.boundary if self._own else settle(getattr(model, "model", None))

    def stretch(self, tokens: int) -> int:
        """What is added to every position of a text of `tokens` tokens, so that all of it is turned by the rotary
        factors for its length."""
        return STRETCHED if 0 < self.rotary_boundary < tokens else 0

    def drawable(self, tokens: int) -> int:
        """How many tokens one step may add to a text of `tokens` tokens: up to the first one beyond the boundary,
        because the next is drawn with other factors."""
        return self.rotary_boundary + 1 - tokens if tokens <= self.rotary_boundary else sys.maxsize

    @property
    def least(self) -> int:
        """A step computes so many tokens or more: on a CPU products in bf16 and fp16 of one row sum in another order
        than those of several."""
        return 2 if self.device.type == "cpu" and self.dtype != torch.float32 else 1

    @cached_property
    def most(self) -> int:
        """A step computes so many tokens or fewer: on a processor with tiles (AMX) products in bf16 of more rows sum in
        another order."""
        tiled = self.device.type == "cpu" and self.dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported()
        return _TILED_ROWS if tiled else sys.maxsize

    @cached_property
    def by_paths(self) -> bool:
        """Whether steps attend by tables of paths in place of masks (models/paths.py)."""
        return self._own and self._alone and not kernel_problem(self.device)

    @cached_property
    def shapes_repeat(self) -> bool:
        """Whether forwards should have few different numbers of tokens."""
        return any(getattr(module, "prepares", False) for module in self.model.modules())

    def new_arena(
        self,
        rows: int,
        limit_tokens: int,
        growth_tokens: int,
        scratch_tokens: int,
        *,
        allocate_at_load: bool = False,
        slots: int = 0,
        doubling: bool = False,
        kind: type[KVArena] = KVArena,
    ) -> KVArena:
        """An arena of this model's shape."""
        return kind(
            self.layers,
            rows,
            self.kv_heads,
            self.head_dim,
            dtype=self.dtype,
            device=self.device,
            limit_tokens=limit_tokens,
            growth_tokens=growth_tokens,
            scratch_tokens=scratch_tokens,
            allocate_at_load=allocate_at_load,
            slots=slots,
            doubling=doubling,
        )

    def forward(
        self,
        arena: KVArena,
        batch: Batch,
        *,
        logits: int | list[int] | None = None,
        tap: FeatureTap | None = None,
    ) -> torch.Tensor:
        """One forward over `batch`: the logits of the last `logits` tokens (None: of all), or of the tokens at the
        indices `logits`, [R, n, vocab]; of a packed one [1, n, vocab]. What `tap` wants of the hidden states it keeps.
        """
        # The rows take their places first: a new row may cost the others capacity that they have no use for.
        window = arena.window(batch.rows, batch.slots, batch.view, batch.stored)
        arena.reserve(batch.view)
        return self.run(arena, batch, window, logits=logits, tap=tap)

    def run(
        self,
        arena: KVArena,
        batch: Batch,
        window: Window,
        *,
        logits: int | list[int] | None = None,
        tap: FeatureTap | None = None,
    ) -> torch.Tensor:
        """`forward` into a `window` of `arena`, which has the room. On a GPU nothing here waits for it or brings
        anything from the host, so that a graph can hold it (but where `logits` are indices, or for a packed batch)."""
        cache = self._cache
        if cache is None or cache.arena is not arena:
            cache = self._cache = self._window_on(arena)
        cache.aim(batch.rows, window)
        packing = batch.packing
        # Only where it is needed: the kwarg reaches the attention function through every module between.
        named: dict[str, Any] = {} if packing is None else {"packing": packing}
        hooked: AbstractContextManager[None] = nullcontext()
        if not self._own:
            named["use_cache"] = True
            hooked = hooked if tap is None else tap.open()
        elif tap is not None:
            tap.start()
            named["tap"] = tap
        with torch.inference_mode(), hooked, q4.reading(batch.prompt):
            out = self.model(
                input_ids=batch.tokens,
                attention_mask=self._masks(batch.mask, batch.positions, window.slots, window.view, packing),
                position_ids=batch.positions,
                past_key_values=cache,
                logits_to_keep=torch.tensor(logits, device=self.device) if isinstance(logits, list) else logits or 0,
                **named,
            )
        result: torch.Tensor = out.logits
        return result

    def read(
        self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, tap: FeatureTap | None = None
    ) -> torch.Tensor:
        """The final hidden states [R, L, hidden] of whole texts `tokens` [R, L]; `mask` is bool [R, 1, L, L]. What
        `tap` wants of the others it keeps.

        For training beside the target: nothing is kept, and no gradients flow.
        """
        slots = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        masks = self._masks(mask, positions, slots, tokens.shape[1], None)
        if self.rotary_boundary:
            positions = of_whole_texts(positions, self.rotary_boundary)
        with torch.no_grad():
            if self._own:
                if tap is not None:
                    tap.start()
                own: torch.Tensor = self.model.model(tokens, positions, masks, tap=tap)
                return own
            with nullcontext() if tap is None else tap.open():
                out = self.model.base_model(
                    input_ids=tokens, attention_mask=masks, position_ids=positions, use_cache=False
                )
        result: torch.Tensor = out.last_hidden_state
        return result

    def _window_on(self, arena: KVArena) -> Any:
        """What the model's layers store keys and values through."""
        if self._own:
            return _ArenaWindow(arena)
        from specmemo_chat.models.cache import ArenaCache

        return ArenaCache(arena)

    def _masks(
        self, mask: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor, view: int, packing: Packing | None
    ) -> Any:
        """The folded mask, or one per layer type where some layers see only a window."""

        def fold(seen: torch.Tensor, window: int = 0) -> torch.Tensor:
            if packing is not None and packing.runs:
                return branched_mask(seen, self._group, self.dtype, packing, window)
            if packing is not None and packing.parts:
                return parted_mask(seen, self._group, self.dtype, packing)
            return folded_mask(seen, self._group, self.dtype)

        by_paths = mask.dtype == torch.int32
        folded = mask if by_paths else fold(mask)
        if not (self._by_type or self._all_slide):
            return folded
        if by_paths:
            return self._of_types(mask, narrowed(mask, self._window))
        if self.rotary_boundary:
            positions = positions % STRETCHED
        if packing is not None:
            # Beside each other, as the mask is; padding repeats a token of its row.
            positions, slots = packing.beside(positions), packing.beside(slots)
        # A committed slot holds the token of the same position; a tree node's slot is not its position.
        slot_positions = torch.arange(view, device=mask.device).repeat(mask.shape[0], 1)
        slot_positions.scatter_(1, slots, positions)
        narrow = fold(within_window(mask, positions, slot_positions, self._window), self._window)
        return self._of_types(folded, narrow)

    def _of_types(self, full: torch.Tensor, sliding: torch.Tensor) -> Any:
        """The masks of layers that see all, and of those that see a window."""
        return sliding if self._all_slide else {"full_attention": full, "sliding_attention": sliding}


class _ArenaWindow:
    """One forward's window onto an arena, for our own layers."""

    def __init__(self, arena: KVArena) -> None:
        self.arena = arena
        self._window: Window | None = None

    def aim(self, _rows: Sequence[int], window: Window) -> None:
        """Set what the next forward writes and sees."""
        self._window = window

    def update(self, key: torch.Tensor, value: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new keys and values [R, kv_heads, nodes, d]; returns all that the forward may see."""
        assert self._window is not None
        return self.arena.store(layer, self._window, key, value)
