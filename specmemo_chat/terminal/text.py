"""Text from a model, a file name, a session's title or an error is untrusted: what of it may reach a terminal.

Everything that is printed on a terminal passes `safe` (or, where it must stay on one line, `safe_line`): rich output in
`console.py`, streamed replies in `reply_view.py`. What goes into a pipe stays exact.
"""

from __future__ import annotations

import json
import re

# C0 without tab and newline, DEL and C1: colours, cursor, titles, clipboard (OSC 52), links all begin with one of them.
_CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\r"
# Bidi marks, embeddings, overrides and isolates make text read differently from what it is.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Characters without a width that hide text or make two names look alike: soft hyphen, grapheme joiner, Mongolian
# vowel separator, zero-width space, word joiner and invisible operators, byte order mark, annotations, tags.
_HIDDEN = "\u00ad\u034f\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[{_CONTROLS}{_BIDI}{_HIDDEN}]")
# Other ends of a line; a terminal may take them as cursor movement.
_SEPARATOR = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ANY = re.compile(f"[{_CONTROLS}{_BIDI}{_HIDDEN}\x0b\x0c\x85\u2028\u2029\ud800-\udfff]")
# The joiners that emoji and some scripts need have no place in a name.
_JOINERS = re.compile("[\u200c\u200d]")


def safe(text: str) -> str:
    """`text` without control, bidi and hidden characters; newlines and tabs stay, other line ends become newlines.

    Works character by character: the pieces of a text give the same as the whole.
    """
    if not _ANY.search(text):
        return text
    return _SURROGATE.sub("\ufffd", _SEPARATOR.sub("\n", _UNSAFE.sub("", text)))


def safe_line(text: str) -> str:
    """`safe` on one line, for names, titles and paths; zero-width joiners go too."""
    return " ".join(_JOINERS.sub("", safe(text)).split())


def escaped_json(text: str) -> str:
    """JSON text with every character that `safe` would drop or change as an escape: the same value, safe to show."""
    return _ANY.sub(lambda match: json.dumps(match.group())[1:-1], text)
