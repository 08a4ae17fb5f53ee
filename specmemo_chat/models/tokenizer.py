"""The tokenizer of a loaded model: text to token ids, token ids to a stream of text, and the chat template."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.config import read_config
from specmemo_chat.catalog.damage import AGAIN
from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.catalog.gguf_tokens import template_of
from specmemo_chat.errors import Flag, ModelError, UsageError, Words
from specmemo_chat.models import encoding
from specmemo_chat.models.text_stream import TextStream, special_ids
from specmemo_chat.texts import check_unicode, read_text


def import_transformers(model: str) -> None:
    """What of transformers a worker uses with `model`, ahead of what it reads: runtime and weights can be told apart
    then. The tokenizer of a GGUF file needs none of transformers'."""
    import transformers.configuration_utils
    import transformers.generation.logits_process

    if not Path(model).is_file():
        import transformers.models.auto.tokenization_auto  # noqa: F401


class ChatTokenizer:
    """The tokenizer of a model in a folder or a GGUF file, with its chat template. Raises ModelError where none can be
    read."""

    def __init__(self, model: str, *, trust_remote_code: bool = False) -> None:
        """`model`: the folder, or the GGUF file."""
        self._model = model
        read = _of_file(Path(model)) if Path(model).is_file() else _of_folder(model, trust_remote_code)
        self._backend, self._apply, self._template = read.backend, read.apply, read.template
        # A file may say that texts are cut or filled up to a length: that is for training.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special = special_ids(self._backend)
        self.frame = self._frame()
        # Rows of the model's embedding: a tokenizer may know more tokens (Gemma 3 has one for images), or fewer.
        self._rows = read.rows
        self._unknown = self._unknown_id()
        self.eos_id = read.eos if read.eos is not None and read.eos < self._rows else None
        self.vocab_size: int = self._backend.get_vocab_size(with_added_tokens=True)

    @property
    def template(self) -> str | None:
        """The chat template that ships with the model, if there is one."""
        template = self._template
        if isinstance(template, dict):
            template = template.get("default")
        if template is not None and not isinstance(template, str):
            raise ModelError(f"the chat template in {self._model} is no text: {template!r}", AGAIN)
        return template or None

    def encode(self, text: str, *, framed: bool = False) -> list[int]:
        """The token ids of `text`. Special tokens are added only where it is `framed`, as transformers' own call of the
        tokenizer does it, and none that the text begins or ends with: a chat template writes its own.

        A token that the model has no embedding for becomes the unknown token; where the tokenizer has none, it is
        refused. Raises UsageError for that, and where the text is no Unicode."""
        check_unicode(text, "the text")
        ids = self._with_rows(encoding.encode_all(self._backend, text))
        if not framed:
            return ids
        opening, closing = self.frame
        if opening and ids[: len(opening)] == opening:
            opening = []
        if closing and ids[-len(closing) :] == closing:
            closing = []
        return [*opening, *ids, *closing]

    def count(self, text: str) -> int:
        """How many ids `encode` gives, none of which are kept. Raises as `encode`."""
        check_unicode(text, "the text")
        return sum(map(len, encoding.encode(self._backend, text)))

    def check(self, template: str | None, eos_ids: frozenset[int]) -> None:
        """Raise ModelError where the model has no embedding for a token that every conversation needs: those that the
        `template` writes (None: that stand around a text), and the end tokens `eos_ids` of the model."""
        needed = [*self.frame[0], *self.frame[1]] if template is None else self._written(template)
        for token in needed:
            if token >= self._rows:
                what = "the chat template writes" if template is not None else "every text begins or ends with"
                raise self._alien(f"{what} {self._named(token)}")
        if eos_ids and min(eos_ids) >= self._rows:
            raise self._alien(f"a reply ends with {self._named(min(eos_ids))}")

    def _alien(self, what: str) -> ModelError:
        return ModelError(
            f"tokenizer and weights in {self._model} do not belong together: {what}, and the model's embedding has "
            f"{self._rows} rows",
            "put the tokenizer there that the model was trained with",
        )

    def _written(self, template: str) -> list[int]:
        """The ids that a template writes beside what is said, where it takes so short a conversation."""
        said = [{"role": role, "content": "?"} for role in ("user", "assistant", "user")]
        for messages in (said, said[:1]):
            try:
                written = self._raw(self.render(messages, template, reply=True))
            except UsageError:
                continue  # it says so at the first message
            own = set(self._raw("?"))
            return [token for token in written if token not in own]
        return []

    def _raw(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def _with_rows(self, ids: list[int]) -> list[int]:
        if not ids or max(ids) < self._rows:
            return ids
        if self._unknown is None:
            token = next(token for token in ids if token >= self._rows)
            raise UsageError(
                f"the text holds {self._named(token)}, for which this model has no embedding ({self._rows} rows)",
                "leave it out",
            )
        return [token if token < self._rows else self._unknown for token in ids]

    def _named(self, token: int) -> str:
        return f"the token {self._backend.id_to_token(token)!r} ({token})"

    def _unknown_id(self) -> int | None:
        """The token that stands for what a model of tokens does not know. Byte-level ones know everything: what they
        call unknown is another special token."""
        model = self._backend.model
        found: int | None = getattr(model, "unk_id", None)
        name = getattr(model, "unk_token", None)
        if found is None and name:
            found = self._backend.token_to_id(name)
        return found if found is not None and found < self._rows else None

    def _frame(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer's post-processor puts before a text and behind it (BOS, EOS; often none)."""
        framed = self._backend.encode("a", add_special_tokens=True)
        added = framed.special_tokens_mask
        if all(added):
            return framed.ids, []
        first, last = added.index(0), len(added) - added[::-1].index(0)
        return framed.ids[:first], framed.ids[last:]

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        text: str = self._backend.decode(list(ids), skip_special_tokens=not special)
        return text

    def stream(self) -> TextStream:
        return TextStream(self._backend, self._special)

    def render(self, messages: Sequence[dict[str, str]], template: str, *, reply: bool) -> str:
        """The conversation as one string; `reply`: followed by the opening of the assistant's turn.

        Raises UsageError where the template refuses these messages (roles it does not know, a system prompt…), or is
        none and the user's; ModelError where the model's own is none.
        """
        from jinja2.exceptions import TemplateSyntaxError

        try:
            text = self._apply(list(messages), template, reply)
        except TemplateSyntaxError as error:
            own = template == self.template
            where = f" in {self._model}" if own else ""
            raise (ModelError if own else UsageError)(
                f"the chat template{where} is broken, line {error.lineno}: {error.message}",
                Flag("--chat-template", "FILE"),
            ) from error
        except Exception as error:  # a template may fail in any way that an expression can
            raise UsageError(
                f"the model's chat template refuses this conversation: {error}",
                Words("leave out the system prompt", "/system none"),
                Flag("--chat-template", "FILE"),
            ) from error
        return text


def _light_config(folder: Path) -> Any:
    """What transformers asks a config for when it looks for the class of a tokenizer; None where the folder has none.
    By itself it imports the architecture's own config, and with that a compiler, distributed tensors and a server:
    1.5 s, and 75 MiB."""
    if not (folder / "config.json").exists():
        return None
    from transformers.configuration_utils import PreTrainedConfig

    config = PreTrainedConfig()
    for name, value in {"_name_or_path": str(folder), **read_config(folder)}.items():
        if name in ("_name_or_path", "model_type", "model_name", "tokenizer_class"):
            setattr(config, name, value)
    return config


@dataclass(frozen=True)
class _Read:
    """What a model's files say: a tokenizers.Tokenizer, the chat template, what renders one (messages, template, with
    the opening of a reply), the end token, and the rows of the embedding."""

    backend: Any
    template: Any
    apply: Callable[[list[dict[str, str]], str, bool], str]
    eos: int | None
    rows: int


def _of_folder(folder: str, trust_remote_code: bool) -> _Read:
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder,
            config=None if trust_remote_code else _light_config(Path(folder)),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
        )
    except Exception as error:  # the library raises nothing narrower for a damaged file
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ModelError(f"the tokenizer in {folder} cannot be read: {reason}", AGAIN) from error
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"the tokenizer in {folder} has no fast version", "convert it with transformers to a tokenizer.json"
        )

    def apply(messages: list[dict[str, str]], template: str, reply: bool) -> str:
        text: str = tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=reply
        )
        return text

    rows = read_config(Path(folder)).get("vocab_size") if (Path(folder) / "config.json").exists() else None
    rows = rows if isinstance(rows, int) else sys.maxsize
    return _Read(backend, tokenizer.chat_template, apply, tokenizer.eos_token_id, rows)


def _of_file(file: Path) -> _Read:
    from specmemo_chat.models.gguf_tokenizer import tokenizer_of

    read = read_gguf(file)
    backend, vocabulary = tokenizer_of(read.metadata, file)
    names = vocabulary.names()

    def apply(messages: list[dict[str, str]], template: str, reply: bool) -> str:
        # What apply_chat_template of every transformers tokenizer calls.
        from transformers.utils.chat_template_utils import render_jinja_template

        rendered, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=reply, **names)
        text: str = rendered[0]
        return text

    embedding = read.tensors.get("token_embd.weight")
    rows = embedding.shape[0] if embedding is not None else len(vocabulary.words)
    return _Read(backend, template_of(read.metadata, file), apply, vocabulary.eos, rows)


def read_template(choice: str, tokenizer: ChatTokenizer) -> str | None:
    """The template that `--chat-template` asks for: "auto" the model's own, "none" no template (None), else a file."""
    if choice == "none":
        return None
    if choice == "auto":
        if tokenizer.template is None:
            raise UsageError(
                "this model has no chat template: it is a base model",
                Flag("--chat-template", "FILE"),
                Flag("--chat-template", "none", "to send the text as it is"),
            )
        return tokenizer.template
    try:
        return read_text(Path(choice), f"the chat template {choice}")
    except OSError as error:
        raise UsageError(f"the chat template {choice} cannot be read: {error.strerror}") from error
