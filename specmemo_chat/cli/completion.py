"""What the shell completes: models, drafts, profiles, conversations. A completion that fails is empty."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


def completing(pairs: Callable[[], Iterator[tuple[str, str]]]) -> Callable[[str], list[tuple[str, str]]]:
    """A completion of typer's from `pairs`, words with what they mean."""

    def beginning(incomplete: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        # Whatever is wrong with a file is said by the commands, not in the middle of a command line.
        with contextlib.suppress(Exception):
            found += (pair for pair in pairs() if pair[0].startswith(incomplete))
        return found

    return beginning


@completing
def models() -> Iterator[tuple[str, str]]:
    """Catalog names and what is cached. Folders are the shell's own business."""
    from specmemo_chat.catalog.aliases import load_catalog
    from specmemo_chat.catalog.cache import cached_gguf, cached_repositories

    catalog = load_catalog()
    for entry in catalog.values():
        yield entry.name, f"{entry.licence}{', gated' if entry.gated else ''}"
    known = {entry.hub_id for entry in catalog.values()}
    for hub_id in cached_repositories():
        for each in cached_gguf(hub_id) or ([hub_id] if hub_id not in known else []):
            yield each, "downloaded"


@completing
def drafts() -> Iterator[tuple[str, str]]:
    """The words that --draft knows, and the published heads of the catalog."""
    from specmemo_chat.catalog.aliases import load_catalog
    from specmemo_chat.setup.planning import DRAFTS

    yield from DRAFTS.items()
    for entry in load_catalog().values():
        if entry.draft:
            yield entry.draft, f"for {entry.name}"


@completing
def profiles() -> Iterator[tuple[str, str]]:
    """Shipped profiles and the user's own."""
    from specmemo_chat.profiles import load_profiles
    from specmemo_chat.setup.configuration import folder

    for profile in load_profiles(folder() / "profiles").values():
        yield profile.name, profile.summary


@completing
def sessions() -> Iterator[tuple[str, str]]:
    """Stored conversations: names, else numbers."""
    from specmemo_chat.sessions.places import existing_store
    from specmemo_chat.terminal.text import safe_line

    store = existing_store()
    if store is not None:
        with store:
            for session in store.sessions(50):
                yield safe_line(session.label), safe_line(session.title)
