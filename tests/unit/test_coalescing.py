"""Text that comes fast goes over the link in few messages; nothing is lost, turned round or held for long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from specmemo_chat import events
from specmemo_chat.events import Event, Note, ReplyEnd, Statistics, Text
from specmemo_chat.host.coalescing import TEXT_WAITS_S, coalesced

END = ReplyEnd("", "stop", Statistics())


def sent(script: list[tuple[float, Event]]) -> list[tuple[float, list[Event]]]:
    """When which events are sent together; the script says how many seconds each event takes to come."""
    now = 0.0

    def answer() -> Iterator[Event]:
        nonlocal now
        for seconds, event in script:
            now += seconds
            yield event

    return [(now, together) for together in coalesced(answer(), lambda: now)]


def test_text_of_a_fast_model_waits_for_more_of_it() -> None:
    script: list[tuple[float, Event]] = [(0.007, Text(f"{number} ")) for number in range(100)]
    messages = sent([*script, (0.0, END)])
    assert messages[0] == (pytest.approx(0.007), [Text("0 ")])
    assert len(messages) <= 2 + 100 * 0.007 / TEXT_WAITS_S
    pieces = [event.text for _, together in messages for event in together if isinstance(event, Text)]
    assert "".join(pieces) == "".join(f"{number} " for number in range(100))
    times = [at for at, _ in messages]
    assert all(after - before < TEXT_WAITS_S + 0.008 for before, after in pairwise(times))
    assert messages[-1][1][-1] == END


def test_text_of_a_slow_model_goes_at_once() -> None:
    """Also where a step gives two pieces."""
    script: list[tuple[float, Event]] = [(0.2, Text("one "))]
    for _ in range(10):
        script += [(0.2, Text("drafted ", True)), (0.0, Text("own "))]
    assert [together for _, together in sent(script)] == [[event] for _, event in script]


def test_origins_stay_apart_and_what_is_no_text_waits_for_nothing() -> None:
    script: list[tuple[float, Event]] = [
        (0.0, Text("a")),
        (0.001, Text("b")),
        (0.001, Text("c", True)),
        (0.001, Text("d", True)),
        (0.001, Note("careful")),
        (0.001, END),
    ]
    assert [together for _, together in sent(script)] == [
        [Text("a")],
        [Text("b"), Text("cd", True), Note("careful")],
        [END],
    ]


def test_what_waits_goes_before_an_error() -> None:
    def answer() -> Iterator[Event]:
        yield from (Text("a"), Text("b"))
        yield events.Failure("broken", (), 1)

    assert list(coalesced(answer(), lambda: 0.0)) == [[Text("a")], [Text("b"), events.Failure("broken", (), 1)]]


@pytest.mark.parametrize("together", [[Text("a")], [Text("a"), Text("b", True), END]])
def test_a_message_holds_one_event_or_several(together: list[Event]) -> None:
    assert events.decode_all(events.encode_all(together)) == together
