"""What a worker answers crosses the link as JSON and is the same on the other side."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from specmemo_chat.chat.outlook import Outlook
from specmemo_chat.engine.engine import Engine
from specmemo_chat.events import ReplyEnd, Statistics
from specmemo_chat.host.answers import Comparison, Inspection
from specmemo_chat.memory.meter import Memory, ProcessMemory
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.report import DepthReport, GraphReport, TimeReport
from tests.models import random_model, target_of, tiny_plan


def test_an_inspection_crosses_the_link() -> None:
    engine = Engine(target_of(random_model("llama")), None, tiny_plan())
    sequence = engine.open([1, 2, 3], GenerationSettings(max_new_tokens=3))
    while sequence.finished is None:
        engine.step([sequence])
    plain = engine.report()
    assert sum(plain.steps.values()) == 2
    speculative = replace(
        plain, depths=(DepthReport(1, 9, 7),), time=TimeReport(0.1, 0.2, 0.3), graphs=GraphReport(4, "no memory")
    )
    for speculation in (plain, speculative):
        sent = Inspection(Outlook(100, (3, 4), 20, 1), Memory(5, 4, 3, 2, 1), 7, (ProcessMemory(6, 8),), speculation)
        received = Inspection.from_json(json.loads(json.dumps(sent.as_json())))
        assert received == sent
        assert (received.context.used_tokens, received.context.prompt_room) == (7, 80)


def test_a_comparison_crosses_the_link() -> None:
    ends = [ReplyEnd(text, "stop", Statistics(new_tokens=number, decode_s=0.5)) for number, text in enumerate("aab")]
    for plain, identical in ((ends[1], True), (ends[2], False)):
        sent = Comparison.of(ends[0], plain)
        assert sent.identical is identical
        received = Comparison.from_json(json.loads(json.dumps(sent.as_json())))
        assert received == sent
        assert asdict(received.plain) == asdict(plain.stats)
