"""The doctor on the Hugging Face hub: is it reachable, is there a token, does the hub take it. Never prints a token."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from specmemo_chat.catalog.access import hub_token, is_offline
from specmemo_chat.doctor.findings import Finding

TIMEOUT_S = 6.0
# Small, without a gate, and in the catalog.
PROBE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
WITHOUT = "Pocket and downloaded models work without the hub"


def hub(*, offline: bool) -> Iterator[Finding]:
    """Reachability, then the token."""
    from huggingface_hub import constants

    token = hub_token()
    if is_offline(offline):
        yield Finding("hub", "note", f"not asked: offline by --offline or HF_HUB_OFFLINE; {WITHOUT}",
                      "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE to download models")  # fmt: skip
        yield from _token(token, reachable=False)
        return
    started = time.monotonic()
    reason = _reach()
    if reason:
        proxied = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        yield Finding(
            "hub",
            "note",
            f"{constants.ENDPOINT} cannot be reached ({reason}); {WITHOUT}",
            "check the network, name resolution and "
            + ("the proxy in HTTPS_PROXY" if proxied else "firewall; behind a proxy set HTTPS_PROXY"),
        )
    else:
        yield Finding("hub", "ok", f"{constants.ENDPOINT} answers in {time.monotonic() - started:.1f} s")
    yield from _token(token, reachable=not reason)


def _reach() -> str:
    """Why the hub does not answer, "" where it does."""
    from huggingface_hub import HfApi, errors

    try:
        HfApi().model_info(PROBE_MODEL, timeout=TIMEOUT_S, token=False)
    except errors.HfHubHTTPError:
        return ""  # an answer all the same
    except (errors.HTTPError, OSError) as error:
        return " ".join(str(error).split())[:160] or type(error).__name__
    return ""


def _token(token: str | None, *, reachable: bool) -> Iterator[Finding]:
    from huggingface_hub import HfApi, constants, errors

    if token is None:
        yield Finding("token", "note", "no Hugging Face token: models behind a licence cannot be downloaded",
                      "accept the licence on the model's page, then `hf auth login` (or set HF_TOKEN)")  # fmt: skip
        return
    source = "HF_TOKEN" if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") else "a file"
    file = Path(constants.HF_TOKEN_PATH)
    if source == "a file" and file.is_file() and file.stat().st_mode & 0o077:
        yield Finding("token", "note", f"others may read the token in {file}", f"chmod 600 {file}")
    if not reachable:
        yield Finding("token", "ok", f"there is one, from {source}; not tried, because the hub was not asked")
        return
    try:
        name = HfApi().whoami(token=token).get("name", "?")
    except errors.HfHubHTTPError:
        yield Finding("token", "broken", f"the hub refuses the token from {source}", "make a new one: `hf auth login`")
    except (errors.HTTPError, OSError):
        yield Finding("token", "note", f"there is one, from {source}; the hub did not answer", "run this again")
    else:
        yield Finding("token", "ok", f"from {source}, of {name}")
