"""Hidden states of the target, captured by forward hooks while one of our own forwards runs, and nothing else kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from specmemo_chat.errors import Flag, UsageError


class FeatureTap:
    """Copies chosen hidden states of `model` (a causal LM) during a forward into one tensor.

    `indices` number the hidden states as transformers' `output_hidden_states` does: i < layers is the input of layer i,
    `layers` the output of the final norm. The hooks stand only inside `open()`: several engines may share a model.
    Raises UsageError for an index that the model does not have.
    """

    def __init__(self, model: Any, indices: Sequence[int]) -> None:
        body = model.base_model
        self._layers: Any = getattr(body, "layers", None)
        self._norm: Any = getattr(body, "norm", None)
        if self._layers is None or self._norm is None:
            raise UsageError(
                f"the hidden states of {type(model).__name__} cannot be captured: it has no layers and norm of its own",
                Flag("--draft", "ngram"),
            )
        last = len(self._layers)
        wrong = next((index for index in indices if not 0 <= index <= last), None)
        if wrong is not None:
            raise UsageError(
                f"the draft head reads hidden state {wrong}, and the model has 0 to {last}: it is another model's head",
                "give a head that was trained for this model",
                Flag("--draft", "ngram"),
            )
        self._indices = tuple(indices)
        self._places = {index: place for place, index in enumerate(indices)}
        self._states: torch.Tensor | None = None
        self._missing: set[int] = set()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Capture what the one forward inside the block computes."""
        self.start()
        handles = [self._hook(place, index) for place, index in enumerate(self._indices)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def start(self) -> None:
        """A forward begins that shows its states by `see`."""
        self._states, self._missing = None, set(self._places)

    def see(self, index: int, hidden: torch.Tensor) -> None:
        """Hidden state `index` of that forward."""
        place = self._places.get(index)
        if place is not None:
            self._store(place, hidden)

    def take(self) -> torch.Tensor:
        """The captured states [rows, tokens, indices · hidden]; they are not kept here.

        Raises RuntimeError where the forward passed a layer by: a part of it would be an earlier forward's.
        """
        states, self._states = self._states, None
        if states is None or self._missing:
            raise RuntimeError(f"the forward did not pass hidden states {sorted(self._missing)} through its modules")
        return states

    def _hook(self, place: int, index: int) -> Any:
        if index == len(self._layers):
            return self._norm.register_forward_hook(lambda _module, _args, out: self._store(place, out))

        def before(_module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._store(place, args[0] if args else named["hidden_states"])

        return self._layers[index].register_forward_pre_hook(before, with_kwargs=True)

    def _store(self, place: int, hidden: torch.Tensor) -> None:
        # A copy: a layer may add its output to this tensor in place.
        width = hidden.shape[-1]
        if self._states is None:
            self._states = hidden.new_empty((*hidden.shape[:-1], width * len(self._indices)))
        self._states[..., place * width : (place + 1) * width] = hidden
        self._missing.discard(self._indices[place])
