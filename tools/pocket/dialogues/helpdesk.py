"""Questions about specmemo, its commands and flags, and about speculative decoding. Every flag named here exists."""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import Fragment, answered, one, skill
from tools.pocket.dialogues.helpdesk_asks import ASKS

# What it is about, forms that ask with it ({q}), further free forms, and the reply.
_TERMS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("specmemo",), ("What does specmemo do?", "What's specmemo for?", "tell me about this program", "What is this program?", "which program is this", "why specmemo?"),
     "specmemo is a chat in the terminal that runs local models with speculative decoding inside a hard memory cap."),
    (("speculative decoding", "speculation", "spec decoding", "speculative sampling"), ("How does speculation work?", "How do you guess tokens?"),
     "A draft guesses several tokens, and the model checks them all in one step. The text stays the same, only faster."),
    (("a draft", "a draft model", "a drafter", "the draft", "the drafter"), ("What does the drafter do?", "what is drafting?", "What proposes the tokens?"),
     "A drafter guesses the next tokens cheaply. The target then checks the guesses."),
    (("the target", "a target model", "the target model"), ("What does the target do?", "which model checks the draft?"), "The target is the model you chat with. It checks what the draft guessed."),
    (("the KV cache", "a KV cache", "a kv cache", "kv cache", "the key value cache"), ("Why do you need a KV cache?", "What is kept between turns?", "what does the cache hold"),
     "The KV cache keeps the keys and values of the text so far, so that nothing is computed twice."),
    (("acceptance length", "the acceptance length", "mean acceptance length"), ("How many drafted tokens are accepted?", "what does acceptance mean here"),
     "The acceptance length is how many tokens one checking step yields."),
    (("a token tree", "a draft tree", "tree decoding", "tree attention"), ("Why does the draft have branches?", "how do the trees work"),
     "A draft tree holds several guesses at once, and the target checks all branches in one step."),
    (("the n-gram drafter", "an n-gram drafter", "ngram"), ("How does the n-gram drafter work?", "what is ngram drafting?"), "The n-gram drafter looks for the same words earlier in the chat and guesses what followed."),
    (("an EAGLE head", "EAGLE", "a draft head"), ("How does EAGLE work?", "what do eagle heads do"), "An EAGLE head is a small trained draft that reads the target's features to guess tokens."),
    (("prefill", "the prefill", "prompt processing"), ("What happens before the first token?", "why does the first token take longer"), "Prefill reads the whole prompt into the KV cache before the first token."),
    (("the memory cap", "a memory cap", "the memory limit"), ("What happens when memory is short?", "Can you run out of memory?", "how do you keep the cap"),
     "The memory cap is a hard limit. specmemo plans every byte before loading and never exceeds it."),
    (("a token", "tokens"), ("What are tokens?", "how long is a token"), "A token is a piece of text, often a word or a part of one."),
    (("the context", "the context size", "a context window"), ("How much text can you keep?", "how long can our chat be?"), "The context is how many tokens fit into one conversation. Set it with `--ctx-size`."),
    (("temperature", "the temperature"), ("How do I change the temperature?", "how do I make you more creative?", "which flag sets the temperature?", "make replies more random"),
     "Temperature sets how random the replies are. Use `--temperature`, 0 is always the likeliest word."),
    (("the seed", "a seed"), ("How do I get the same reply again?", "make runs reproducible", "which flag fixes the randomness?"), "The seed fixes the random choices: the same `--seed` gives the same text."),
    (("quantisation", "nf4", "int8"), ("Can I use less memory for the weights?", "how do I load in 4 bit", "which dtypes are there?"), "Quantised weights take less memory: try `--dtype int8` or `--dtype nf4`."),
)  # fmt: skip
_TERM_FORMS = (
    "What is {q}?", "what's {q}", "Explain {q}.", "What does {q} mean?", "Can you explain {q}?", "Tell me about {q}.", "{q}?", "what is meant by {q}", "How does {q} work?",
    "I don't understand {q}.", "Define {q}.", "Could you tell me what {q} is?", "Help me understand {q}.", "explain {q} to me please", "Why is there {q}?", "what do you know about {q}?",
    "Describe {q}.", "I read about {q}. What is it?", "what's the point of {q}?", "In simple words, what is {q}?",
)  # fmt: skip
_HOW: tuple[tuple[tuple[str, ...], str], ...] = (
    (("use another model", "use a bigger model", "chat with a larger model", "load a different model", "switch the model", "run llama", "use my own model", "start qwen", "pick a model", "change models"),
     "Start specmemo with `specmemo chat --model NAME`. NAME is an alias, a hub id or a folder."),
    (("limit the memory", "cap the memory", "use only 6 GB", "set a memory limit", "stop you from using all my memory", "use less RAM", "set the memory cap", "give you less memory"),
     "Use `--max-memory`, for example `--max-memory 6GiB`."),
    (("make the context longer", "set the context size", "change the context", "get a longer context", "keep longer chats"), "Use `--ctx-size`, for example `--ctx-size 4096`."),
    (("see my GPU", "find out what my machine has", "check my hardware", "see how much memory is free", "list the devices", "show the GPU"), "Run `specmemo probe`: it shows devices, memory and the profile."),
    (("see if a model fits", "plan the memory", "know how much memory a model needs", "check before loading", "find out if llama fits", "see the memory plan"),
     "Run `specmemo plan MODEL`: it shows every byte before anything is loaded."),
    (("answer many prompts", "run a batch", "process a file of questions", "run many conversations at once", "use a jsonl file"), "Use `specmemo batch IN.jsonl -o OUT.jsonl`. It resumes where it stopped."),
    (("use several GPUs", "use two GPUs", "shard a model", "run on 8 GPUs", "split the model over GPUs"), "Use `--gpus N`, for example `specmemo chat --gpus 2`."),
    (("measure the speed", "benchmark", "compare plain and speculative", "see how fast it is", "run a benchmark"), "Run `specmemo bench`: it compares plain and speculative decoding."),
    (("train a draft head", "train a draft", "make my own draft", "get an EAGLE head"), "Use `specmemo train-draft`. It trains a draft head on the model's own replies."),
    (("list the models", "see which models there are", "download a model", "remove a model", "delete a model", "see what is cached"), "Use `specmemo models ls`, and `pull` or `rm` with a name."),
    (("continue our chat later", "go on with an old chat", "see old chats", "list my conversations", "resume a session", "find an old conversation"),
     "Use `specmemo sessions ls` to see old chats, and `specmemo chat --continue` to go on."),
    (("export a chat", "save our chat", "save this conversation", "get the chat as a file"), "Type `/save FILE` here, or use `specmemo sessions export`."),
    (("get JSON", "use you in a script", "print JSON", "get machine readable output"), "Use `--json` with `-p`, for example `specmemo chat --json -p TEXT`."),
    (("stop a reply", "interrupt you", "make you stop talking", "cancel the answer", "stop generating"), "Press Ctrl-C: the reply stops and what was said is kept."),
    (("leave", "quit", "exit", "get out of here", "close this chat", "end the program"), "Type `/bye` or press Ctrl-D."),
    (("clear the chat", "start over", "forget everything", "begin a new conversation", "reset the chat", "wipe the conversation"), "Type `/clear` to start over."),
    (("undo the last turn", "take back my message", "delete the last message", "go one step back"), "Type `/undo` to take back the last turn."),
    (("get another answer", "regenerate", "make you answer again", "redo the last reply"), "Type `/regen` to get the last reply again."),
    (("set a system prompt", "change the system prompt", "give you instructions", "change your role"), "Type `/system TEXT`, or start with `--system`."),
    (("see the commands", "get help", "list all commands", "find out which commands there are", "see the slash commands"), "Type `/help` to see all commands."),
    (("see the statistics", "see tokens per second", "see how fast you are", "show the stats"), "Type `/stats` to see speed and memory."),
    (("check that the text is the same", "compare with plain decoding", "see if the draft changes anything"), "Type `/compare`: it runs the last turn again without a draft."),
    (("work offline", "use it without internet", "stop it from downloading"), "Use `--offline`: then nothing is downloaded."),
    (("use the CPU", "run without a GPU", "force the cpu", "turn off the GPU"), "Use `--device cpu`."),
    (("turn off the draft", "turn off speculation", "use plain decoding", "disable the drafter"), "Use `--draft none`."),
    (("see the configuration", "find the config file", "change the defaults", "configure specmemo"), "Run `specmemo config show`; `specmemo config path` says where the file is."),
    (("find out what is wrong", "fix my setup", "debug the installation", "repair specmemo", "check my installation"), "Run `specmemo doctor`: it says what is wrong and how to mend it."),
    (("make replies shorter", "limit the reply length", "get shorter answers", "set the maximum of tokens"), "Use `--max-new-tokens`, for example `-n 100`."),
    (("stop at a word", "set a stop text", "end the reply at a word"), "Use `--stop TEXT`: the reply ends before that text."),
    (("see the version", "find out which version this is", "check the version"), "Run `specmemo --version`."),
    (("colour the drafted tokens", "see which tokens were drafted", "show accepted tokens"), "Type `/set show_accepted on`."),
    (("start a chat", "start specmemo", "run specmemo", "open the chat"), "Run `specmemo chat`."),
    (("write more than one line", "type a new line", "enter several lines"), "Press Alt+Enter or Ctrl+J for a new line, Enter sends."),
)  # fmt: skip
_HOW_FORMS = (
    "How do I {q}?", "How can I {q}?", "how to {q}", "What do I type to {q}?", "Which command do I need to {q}?", "I want to {q}.", "Can I {q}?", "Is there a flag to {q}?",
    "Which flag do I use to {q}?", "How would I {q} with specmemo?", "Tell me how to {q}.", "is it possible to {q}?", "I'd like to {q}. How?", "What's the command to {q}?",
    "Show me how to {q}.", "in specmemo, how do I {q}", "What is the way to {q}?", "Can specmemo {q}?", "help, how can I {q}?", "please tell me how i can {q}", "I need to {q}.",
)  # fmt: skip
_FREE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Does speculation change the text?", "Is the text the same with a draft?", "does the draft make answers worse?", "Is speculative decoding lossless?", "Do I lose quality with speculation?",
      "will I get different answers with speculation", "are the replies the same without the draft"), "No, the text is the same with and without a draft. It only comes faster."),
    (("Why is it faster?", "Why does speculation help?", "what makes speculative decoding fast", "Why is checking cheaper than writing?"),
     "Checking several tokens takes hardly longer than writing one, so every right guess is a gain."),
    (("Which models can I use?", "What models does specmemo support?", "does it run llama?", "Do you support Mistral?", "can I use qwen with it", "is Llama 3 supported?"),
     "Llama, Mistral, Qwen2, Qwen3 and Gemma models in the Hugging Face format."),
    (("What does specmemo chat do?", "what is specmemo chat", "the chat command?", "specmemo chat?"), "`specmemo chat` starts a chat in the terminal."),
    (("What does specmemo probe do?", "what is specmemo probe for", "the probe command?", "explain probe"), "`specmemo probe` shows devices, memory and the profile."),
    (("What does specmemo plan do?", "what is the plan command", "explain specmemo plan", "plan command?"), "`specmemo plan` shows every byte before anything is loaded."),
    (("What does specmemo batch do?", "what is the batch command for", "explain specmemo batch"), "`specmemo batch` answers many conversations from a file."),
    (("What does specmemo bench do?", "what is bench", "explain the bench command"), "`specmemo bench` compares plain and speculative decoding."),
    (("What does specmemo doctor do?", "what is the doctor command", "explain doctor"), "`specmemo doctor` says what is wrong with this machine and how to mend it."),
    (("What does --max-memory do?", "explain --max-memory", "the --max-memory flag?", "max-memory?"), "`--max-memory` sets the memory cap, for example `--max-memory 6GiB`."),
    (("What does --ctx-size do?", "explain --ctx-size", "ctx-size?"), "`--ctx-size` sets how many tokens the context holds."),
    (("What does --model do?", "explain the --model flag", "what is --model for"), "`--model` names another model: an alias, a hub id or a folder."),
    (("What does --seed do?", "explain --seed", "what's the seed flag for?"), "`--seed` fixes the random choices: the same seed gives the same text."),
    (("What does --json do?", "explain --json", "json flag?"), "`--json` prints the reply and its statistics as JSON."),
    (("What does --gpus do?", "explain --gpus", "gpus flag?"), "`--gpus N` splits the model over N GPUs."),
    (("What does --draft do?", "explain --draft", "draft flag?"), "`--draft` chooses the drafter: auto, none, ngram or a model."),
    (("What does --offline do?", "explain --offline"), "`--offline` stops all downloads."),
    (("What does /clear do?", "/clear?", "explain /clear"), "`/clear` starts the conversation over."), (("What does /undo do?", "explain /undo"), "`/undo` takes back the last turn."),
    (("What does /regen do?", "explain /regen"), "`/regen` makes the last reply again."), (("What does /stats show?", "explain /stats"), "`/stats` shows speed and memory."),
    (("What does /compare do?", "explain /compare"), "`/compare` runs the last turn again without a draft."), (("What does /system do?", "explain /system"), "`/system` sets the system prompt."),
    (("What happens if the model does not fit?", "what if there isn't enough memory", "Does it crash when memory is full?", "what if a model is too big for my GPU"),
     "Then specmemo refuses before loading and names the smallest change that would fit."),
    (("Is specmemo free?", "is it open source", "What licence does specmemo have?", "can I use it at work?"), "specmemo is free software under the Apache licence."),
    (("Does specmemo need the internet?", "does specmemo send data", "is there telemetry"), "No, specmemo sends nothing. It only downloads models that you ask for."),
)  # fmt: skip


_ASKED = answered(ASKS, [entry[-1] for table in (_TERMS, _HOW, _FREE) for entry in table])
_ASKED_WEIGHTS = [len(users) for users, _ in _ASKED]


@skill("specmemo", 18)
def specmemo(rng: random.Random) -> Fragment:
    """One question about the program; sometimes a second."""
    turns = [_question(rng) for _ in range(2 if rng.random() < 0.15 else 1)]
    return one(*turns)


def _question(rng: random.Random) -> tuple[str, str]:
    draw = rng.random()
    if rng.random() < 0.5:
        users, reply = rng.choices(_ASKED, weights=_ASKED_WEIGHTS)[0]
        return rng.choice(users), reply
    if draw < 0.4:
        names, free, reply = rng.choice(_TERMS)
        if rng.random() < 0.3:
            return rng.choice(free), reply
        return rng.choice(_TERM_FORMS).replace("{q}", rng.choice(names)), reply
    if draw < 0.78:
        tasks, reply = rng.choice(_HOW)
        return rng.choice(_HOW_FORMS).replace("{q}", rng.choice(tasks)), reply
    users, reply = rng.choice(_FREE)
    return rng.choice(users), reply
