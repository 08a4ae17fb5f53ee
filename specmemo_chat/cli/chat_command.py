"""`specmemo chat`: one reply, or the REPL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.errors import SpecmemoError, UsageError
from specmemo_chat.setup.flags import Color, ModelChoice, SamplingChoice

# The rest is imported where it is needed: `--help` must come at once.
if TYPE_CHECKING:
    from specmemo_chat.host.client import ChatClient
    from specmemo_chat.sessions.recorder import Recorder
    from specmemo_chat.setup.prepare import Prepared
    from specmemo_chat.terminal.console import Screen


@options.takes(
    "model", *options.MODEL, *options.GROUP, *options.SAMPLING, "max_new_tokens", "stop", "system", "chat_template",
    "trust_remote_code", "offline", "json", "color", "no_markdown", "verbose", "quiet", "debug",
)  # fmt: skip
def chat(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="One message; without it the REPL starts.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="One message, then exit.")] = None,
    continue_: options.Continue = False,
    session: options.Session = None,
    model: options.Model = "pocket",
    seed: options.Seed = None,
    system: options.System = None,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    no_markdown: options.NoMarkdown = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Chat with a model: one message, or the REPL."""
    from specmemo_chat.device.streams import input_is_closed
    from specmemo_chat.repl import saving
    from specmemo_chat.repl.oneshot import compose_prompt, cut_off, input_is_piped, piped_input, reply_json, run_once
    from specmemo_chat.settings import GenerationSettings
    from specmemo_chat.setup.nodes import find_nodes
    from specmemo_chat.setup.prepare import lend_workers, prepare, start_client
    from specmemo_chat.terminal.console import Screen

    if text is not None and prompt is not None:
        raise UsageError("both TEXT and -p were given", "give the message once")
    screen = Screen(color.value, quiet=quiet, verbose=verbose, markdown=not no_markdown)
    sources = options.origins(context)
    resumed = saving.find_conversation(continue_, session)
    if resumed is not None:
        # What was talked with and how, unless the command line says otherwise.
        if sources["model"] != "flag":
            model, sources["model"] = resumed.session.model, "session"
        if resumed.turns and sources["system"] != "flag":
            system, sources["system"] = resumed.system, "session"
    choice = ModelChoice.of(context.params, model=model, system=system)
    sampling = SamplingChoice.of(context.params)
    message = text if text is not None else prompt
    once = message is not None or input_is_piped()
    if not once and input_is_closed():
        raise SpecmemoError("standard input is closed", 'give a message: specmemo chat -p "Hello!"')
    if json and not once:
        raise UsageError("--json needs a message", 'give one: specmemo chat --json -p "Hello!"')
    composed = ""

    def read_message() -> None:
        nonlocal composed
        # Another machine of several only lends its workers.
        if once and find_nodes(choice).rank == 0:
            composed = compose_prompt(message, piped_input())

    # A model that cannot run is said before a pipe is waited for; an empty message before anything is downloaded.
    try:
        prepared = prepare(choice, sampling, screen, before_download=read_message)
    except KeyboardInterrupt:
        if json:
            screen.print_json(reply_json(model, cut_off("", None, GenerationSettings(seed=seed or 0))))
        raise
    if prepared.nodes.rank > 0:
        lend_workers(prepared)
        return
    client = start_client(prepared)
    recorder = None
    if not once or resumed is not None or session is not None:
        recorder = saving.keep(client, saving.model_name(model), session, resumed)
    for line in saving.welcome_back(resumed, once=once) if resumed is not None else ():
        screen.note(line)
    try:
        if once:
            code = run_once(client, prepared.plan.model, composed, prepared.settings, screen, as_json=json)
        else:
            code = _repl(client, prepared, screen, recorder, sources)
    finally:
        client.close()
        if recorder is not None:
            recorder.close()
            saving.tell(recorder, screen)
    sys.exit(code)


def _repl(
    client: ChatClient, prepared: Prepared, screen: Screen, recorder: Recorder | None, sources: dict[str, str]
) -> int:
    from specmemo_chat.repl.reader import TerminalReader, private_file, typing_ahead
    from specmemo_chat.repl.repl import Repl
    from specmemo_chat.repl.saving import tell
    from specmemo_chat.setup.origins import ChatOrigins
    from specmemo_chat.setup.prepare import HISTORY, state_folder
    from specmemo_chat.terminal.ending import no_more_signals

    repl = Repl(client, prepared, screen)
    history = private_file(state_folder(), HISTORY)
    if history is None:
        screen.note(f"the history is not kept: {state_folder()} cannot be written")
    if recorder is not None:
        repl.before_prompt = lambda: tell(recorder, screen)
    repl.origins = ChatOrigins(sources, prepared.choice)
    try:
        with typing_ahead():
            repl.run(TerminalReader(history, repl.footer, screen.note, repl.suggestions, color=screen.color))
    finally:
        # Whoever presses Ctrl-C once more than needed shall not disturb the leaving.
        no_more_signals()
    return 0
