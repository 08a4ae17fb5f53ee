"""May this model be fetched: licence gates, tokens, offline. Nothing is downloaded to find out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from specmemo_chat.catalog.aliases import BUNDLED, CatalogEntry, load_catalog
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.errors import Flag, ModelError, Words


def hub_token() -> str | None:
    """The token of `hf auth login` or HF_TOKEN, None where there is none."""
    from huggingface_hub import get_token

    token: str | None = get_token()
    return token


def is_offline(offline: bool) -> bool:
    """`--offline`, or the hub's own switches in the environment."""
    switches = (os.environ.get(name, "").upper() for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return offline or any(value in ("1", "ON", "YES", "TRUE") for value in switches)


def gate_is_closed(source: ModelSource) -> bool:
    """The catalog says that the model is gated, and there is no token to show."""
    return source.gated and hub_token() is None


def licence_steps(source: ModelSource) -> str:
    """How to get past the gate."""
    entry = source.entry
    licence = f"the {entry.licence}" if entry is not None else "its licence"
    page = entry.page if entry is not None else f"https://huggingface.co/{source.repository}"
    return f"1. accept {licence} at {page}  2. hf auth login (or set HF_TOKEN)  3. run this again"


def nearest_open_model(parameters: int, fits: Callable[[CatalogEntry], bool]) -> str:
    """The name of the ungated catalog model that chats as it comes, fits, and is nearest in size; the bundled one where
    no other fits."""
    candidates = [
        known for known in load_catalog().values() if not known.gated and not known.bundled and known.template
    ]
    candidates.sort(key=lambda known: abs(math.log(known.spec().parameters / parameters)))
    return next((known.name for known in candidates if fits(known)), BUNDLED)


def check_access(source: ModelSource, *, offline: bool, fit: str, nearest: str) -> None:
    """Raise ModelError where a model that is not on this machine cannot be fetched.

    `fit` is the sentence that says whether it would fit here, `nearest` the model without a gate that does: both
    belong in the answer to a closed gate.
    """
    if gate_is_closed(source):
        licence = source.entry.licence if source.entry is not None else "its licence"
        raise ModelError(
            f"{source.name} is gated ({licence}) and there is no Hugging Face token on this machine. {fit}",
            licence_steps(source),
            Flag("--model", nearest, "without a gate and fitting here"),
        )
    if is_offline(offline):
        raise ModelError(
            f"{source.name} is not on this machine, and the network must not be used (offline)",
            Words(
                f"run once without --offline to download {source.hub_id}",
                f"in a shell: specmemo models pull {source.hub_id}",
            ),
            "copy its folder here and give the path",
        )
