"""`bench --perplexity`: from the flags to a Job, and what is shown of its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.errors import PlanError, UsageError
from specmemo_chat.setup.decide import decide
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.sizes import format_size
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.text import safe_line
from specmemo_chat.texts import read_text


def perplexity_job(
    file: Path, against: str | None, threads: int, choice: ModelChoice, sampling: SamplingChoice, screen: Screen
) -> Job:
    """The job. Raises UsageError for a file that is no text, the errors of a plan and of a download like `chat`,
    PlanError where two precisions do not fit beside each other."""
    text = _text(file)
    choice = replace(choice, draft="ngram")
    plan, settings, _, place, _ = decide(choice, sampling, screen, None)
    plans = {"plain": plan}
    if against is not None:
        same = replace(choice, ctx_size=plan.context_tokens, dtype=against)
        other = decide(same, sampling, Screen(quiet=True), None)[0]
        if other.dtype == plan.dtype:
            raise UsageError(f"--against {against} is what --perplexity is measured in", "name another precision")
        plans["against"] = other
        both, usable = plan.total_bytes + other.total_bytes - other.terms.runtime, place.device.usable_bytes
        if both > usable:
            raise PlanError(
                f"--against holds the weights in {plan.dtype} and in {other.dtype}: {format_size(both)} do not fit "
                f"{format_size(usable)}",
                "give a shorter --ctx-size, or measure one precision at a time",
            )
    return Job(
        plans=plans,
        methods=(),
        settings=settings,
        talks=(),
        prompts=str(file),
        threads=threads,
        trust_remote_code=choice.trust_remote_code,
        compare=False,
        text=text,
        environment={"model": plan.model, "profile": plan.profile, "cap_bytes": plan.cap_bytes},
    )


def _text(file: Path) -> str:
    try:
        text = read_text(file, str(file))
    except OSError as error:
        raise UsageError(f"--perplexity {file} cannot be read: {error.strerror}", "give a text file") from error
    if not text.strip():
        raise UsageError(f"--perplexity {file} is empty", "give a text file")
    return text


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    place, other = result["environment"], result.get("against")
    yield f"{safe_line(str(place['model']))} in {result['dtype']} on {place['device']} ({place['device_name']})"
    yield (
        f"perplexity {result['perplexity']:.4f}: {result['nll_per_token']:.5f} nats a token over {result['tokens']:,} "
        f"tokens, in windows of {result['context_tokens']:,}"
    )
    if other is not None:
        change = result["perplexity"] / other["perplexity"] - 1
        yield f"in {other['dtype']} {other['perplexity']:.4f}: {change:+.2%} in {result['dtype']}"
        yield (
            f"KL divergence {other['kl_divergence']:.6f} nats a token; the same first choice at "
            f"{other['equal_argmax']:.2%} of the tokens"
        )
    if result["interrupted"]:
        yield "interrupted: the figures are those of the tokens until then"
