"""Which stored conversation a chat goes on with, and what its user hears of saving."""

from __future__ import annotations

from pathlib import Path

from specmemo_chat.catalog.aliases import find_alias
from specmemo_chat.errors import SessionError, UsageError, Words
from specmemo_chat.host.client import ChatClient, ShownTurn
from specmemo_chat.sessions.places import existing_store, open_store
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.turns import Resumed, SessionInfo
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.sessions_table import ago
from specmemo_chat.terminal.text import safe_line

NAME_LENGTH = 64
LIST = Words("`specmemo sessions ls` lists the stored ones", "/sessions lists the stored ones")


def find_conversation(go_on: bool, key: str | None) -> Resumed | None:
    """The stored conversation that `--continue` or `--session` mean; None where a new one is to be begun.

    Raises UsageError where there is no such conversation, SessionError where the file cannot be read.
    """
    if not go_on and key is None:
        return None
    if key is not None:
        check_name(key)
    store = existing_store()
    found: SessionInfo | None = None
    if store is not None:
        found = store.find(key) if key is not None else next((one for one in store.sessions() if one.stored), None)
    if found is not None and store is not None:
        with store:
            return store.resume(found)
    if key is None:
        raise UsageError(
            "there is no stored conversation to continue", Words("start one: specmemo chat", "send a message")
        )
    if go_on or key.isdigit():
        raise UsageError(f"there is no stored conversation {key!r}", LIST)
    return None


def check_name(name: str) -> None:
    """Raise UsageError for a name that no conversation can have."""
    if not name.strip() or name != safe_line(name) or len(name) > NAME_LENGTH or name.startswith("-"):
        raise UsageError(
            f"{safe_line(name)[:NAME_LENGTH]!r} cannot be a conversation's name",
            f"give a name of at most {NAME_LENGTH} visible characters that does not begin with a dash",
        )


def model_name(model: str) -> str:
    """What to call a model by later, from another folder too."""
    path = Path(model).expanduser()
    if find_alias(model) is not None or not path.exists():
        return model
    return str(path.resolve() if path.is_dir() else path.absolute())


def keep(client: ChatClient, model: str, name: str | None, resumed: Resumed | None) -> Recorder:
    """Store the client's conversation from now on, from where `resumed` left off."""
    recorder = Recorder(open_store, model, name=name)
    recorder.open()
    if resumed is not None:
        recorder.resume(resumed)
        client.turns = [ShownTurn(turn.user, turn.reply) for turn in resumed.turns]
    client.keeper = recorder
    return recorder


def welcome_back(resumed: Resumed, *, once: bool) -> list[str]:
    """What a user should know of the conversation that goes on; `once`: for one message, where no command helps."""
    session = resumed.session
    count = counted(len(resumed.turns), "turn")
    lines = [f"continuing “{safe_line(session.title)}”: {count}, last used {ago(session.updated)}"]
    cut = resumed.unfinished
    if cut is not None and cut.reply:
        anew = "" if once else "; /regen makes it anew"
        lines.append(f"the program ended during its last reply: what was stored of it is kept{anew}")
    elif cut is not None:
        lines.append(f"the program ended before it answered “{safe_line(cut.user)[:60]}”: send it again")
    return lines


def tell(recorder: Recorder, screen: Screen) -> None:
    """Say what happened to the record since the last time."""
    for news in recorder.news():
        if isinstance(news, SessionError):
            screen.error(news)
        else:
            screen.note(news)


def write_new(file: Path, text: str) -> None:
    """Write a file that must not be there yet. Raises UsageError."""
    try:
        with file.expanduser().open("x", encoding="utf-8", errors="replace") as opened:
            opened.write(text)
    except FileExistsError:
        raise UsageError(f"{safe_line(str(file))} is there already", "give another name, or remove it first") from None
    except OSError as error:
        raise UsageError(
            f"{safe_line(str(file))} cannot be written: {error.strerror}", "give a file in a folder you can write to"
        ) from error
