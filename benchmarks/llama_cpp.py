"""Beside llama.cpp: `python -m benchmarks.llama_cpp MODEL.gguf [--ours MODEL]`.

Both load the file once, in processes of their own with the same number of threads, and take turns: a prompt of about
700 tokens is read, and short questions are answered greedily. Reported are medians and the ratio of each pair with its
quartiles. Needs the package llama-cpp-python, which is no dependency of the project.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from specmemo_chat.events import ReplyEnd
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice

QUESTIONS = (
    "Name three things that a good letter of application should have.",
    "Explain in a few sentences why the sky is blue.",
    "Write a short story about a lighthouse keeper who finds a map.",
    "What are the pros and cons of working from home?",
    "Describe how bread is made, step by step.",
    "Give me five ideas for a birthday present for my father.",
    "Why do leaves change their colour in autumn?",
)
PASSAGE = (
    "The harbour was quiet that morning, and the boats lay still beside the wall. A man with a grey coat walked along "
    "the quay, counted them, and wrote each name into a small book that he carried in his pocket. "
)
PASSAGES = 15


def peer(link: Connection, file: str, threads: int) -> None:
    """llama.cpp: answers (prompt ids or text, new tokens) with seconds of reading and of each further token."""
    from llama_cpp import Llama  # type: ignore[import-not-found,unused-ignore]

    model: Any = Llama(file, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)
    link.send("ready")
    while True:
        text, count = link.recv()
        prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        tokens = model.tokenize(prompt.encode(), add_bos=False, special=True)
        model.reset()
        begin = time.perf_counter()
        model.eval(tokens)
        token = model.sample(temp=0.0)
        read = time.perf_counter() - begin
        made = 1
        begin = time.perf_counter()
        while made < count and token != model.token_eos():
            model.eval([token])
            token = model.sample(temp=0.0)
            made += 1
        spent = time.perf_counter() - begin
        link.send({"prompt": len(tokens), "read_s": read, "rate": (made - 1) / spent if made > 1 else 0.0})


class Notes:
    """Prints what is decided."""

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    @contextmanager
    def progress(self, title: str) -> Any:
        yield lambda _progress: None


class Ours:
    """The program's own client and worker."""

    def __init__(self, model: str, draft: str, dtype: str) -> None:
        from specmemo_chat.setup.prepare import prepare, start_client

        prepared = prepare(ModelChoice(model=model, draft=draft, dtype=dtype), SamplingChoice(temperature=0.0), Notes())
        self.plan = prepared.plan
        self._settings = prepared.settings
        self._client = start_client(prepared)
        for _ in self._client.load():
            pass

    def answer(self, text: str, count: int) -> dict[str, Any]:
        """Seconds of reading and tokens/s of one reply in a conversation of its own."""
        from dataclasses import replace

        self._client.restore([], None)
        for event in self._client.say(text, replace(self._settings, max_new_tokens=count)):
            if isinstance(event, ReplyEnd):
                stats = event.stats
                return {
                    "prompt": stats.prompt_tokens, "read_s": stats.ttft_s, "rate": stats.tokens_per_second,
                }  # fmt: skip
        raise RuntimeError("no reply")

    def close(self) -> None:
        self._client.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_cpp", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--ours", help="another model for us than the file")
    parser.add_argument("--variants", nargs="+", default=["none:auto", "ngram:auto", "ngram:q8"], help="DRAFT:DTYPE")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    link, other = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=peer, args=(other, options.file, options.threads), daemon=True
    )
    process.start()
    link.recv()
    sides: dict[str, Any] = {"llama.cpp": None, "llama.cpp again": None}
    for variant in options.variants:
        draft, _, dtype = variant.partition(":")
        sides[variant] = Ours(options.ours or options.file, draft, dtype)
    found: dict[str, dict[str, list[float]]] = {name: {"read": [], "rate": []} for name in sides}

    def ask(name: str, text: str, count: int) -> dict[str, Any]:
        if sides[name] is None:
            link.send((text, count))
            return dict(link.recv())
        return dict(sides[name].answer(text, count))

    for pair in range(options.pairs):
        passage = f"{pair} " + PASSAGE * PASSAGES
        for name in sides:
            answer = ask(name, passage, 2)
            found[name]["read"].append(answer["prompt"] / answer["read_s"])
        question = QUESTIONS[pair % len(QUESTIONS)]
        for name in sides:
            found[name]["rate"].append(ask(name, question, options.new)["rate"])
    rows = []
    for name, values in found.items():
        row: dict[str, Any] = {"method": name}
        for what, numbers in values.items():
            ratios = sorted(a / b for a, b in zip(numbers, found["llama.cpp"][what], strict=True))
            row[f"{what}_tokens_per_second"] = round(statistics.median(numbers), 1)
            row[f"{what}_ratio"] = [round(ratios[at * (len(ratios) - 1) // 4], 3) for at in (1, 2, 3)]
        rows.append(row)
    print(json.dumps({"schema": 1, "file": options.file, "pairs": options.pairs, "rows": rows}, indent=1))
    for side in sides.values():
        if side is not None:
            side.close()
    process.terminate()


if __name__ == "__main__":
    main()
