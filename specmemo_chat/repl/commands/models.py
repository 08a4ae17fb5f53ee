"""Another model or draft in the running chat: /model and /draft. Both plan first and refuse what would not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from specmemo_chat.catalog.aliases import find_alias, load_catalog
from specmemo_chat.errors import UsageError
from specmemo_chat.repl import advice, switch
from specmemo_chat.repl.commands.basics import table
from specmemo_chat.repl.commands.files import files, recount
from specmemo_chat.repl.commands.registry import Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.setup.planning import DRAFTS
from specmemo_chat.terminal.text import safe_line


def _models(repl: Desk, argument: str) -> Iterable[Suggestion]:
    *words, last = argument.split(" ")
    if words:
        options = dict(switch.FLAGS)
        if words[-1] == "--dtype":
            options = dict.fromkeys(switch.PRECISIONS, "")
        yield from matching(last, options)
    elif last.startswith((".", "/", "~")):
        yield from files(repl, last)
    else:
        yield from matching(last, {entry.name: advice.in_short(entry) for entry in load_catalog().values()})


@command("model", "/model [NAME [FLAGS]]", "Go on with another model, if its plan fits; alone: the models", _models)
def _model(repl: Desk, argument: str) -> None:
    if not argument:
        _list(repl)
        return
    wanted = switch.parse(argument, repl.prepared.choice)
    if wanted == repl.prepared.choice:
        repl.say(f"{safe_line(wanted.model)} is the model of this chat already")
        return
    switch.switch(repl, wanted)
    recount(repl)


def _list(repl: Desk) -> None:
    place = repl.prepared.place
    current = find_alias(repl.prepared.choice.model)
    rows = []
    for entry in load_catalog().values():
        mark = "* " if current is not None and entry.name == current.name else ""
        fits = "fits" if place.fits(entry) else "does not fit"
        rows.append((f"{mark}{entry.name}", ", ".join([fits, *advice.facts(entry)])))
    if current is None:
        rows.append((f"* {safe_line(repl.prepared.choice.model)}", "the model of this chat"))
    table(repl, rows)


def _drafts(repl: Desk, argument: str) -> Iterable[Suggestion]:
    entry = find_alias(repl.prepared.choice.model)
    known = {entry.draft: f"{advice.head_kind(entry)} head"} if entry is not None and entry.draft else {}
    yield from matching(argument, DRAFTS | known)
    if argument.startswith((".", "/", "~")):
        yield from files(repl, argument)


@command("draft", "/draft [auto|none|ngram|X]", "Draft by another drafter, if its plan fits; alone: the one in use",
         _drafts)  # fmt: skip
def _draft(repl: Desk, argument: str) -> None:
    if not argument:
        own = f", {advice.draft_name(repl.plan.draft)}" if repl.plan.draft else ""
        repl.say(f"draft: {'+'.join(repl.plan.drafters) or 'none'}{own}")
        repl.say("/set speculate off decodes plainly without loading anything")
        return
    if " " in argument:
        raise UsageError(f"/draft takes one name, not {safe_line(argument)[:40]!r}", "/draft ngram")
    wanted = replace(repl.prepared.choice, draft=argument)
    if wanted == repl.prepared.choice:
        repl.say(f"the draft is {safe_line(argument)} already")
        return
    switch.switch(repl, wanted)
    recount(repl)
