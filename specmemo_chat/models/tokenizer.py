"""The tokenizer of a loaded model: text to token ids, token ids to a stream of text, and the chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from specmemo_chat.errors import Flag, ModelError, UsageError, Words
from specmemo_chat.models import encoding
from specmemo_chat.models.text_stream import TextStream, special_ids
from specmemo_chat.texts import check_unicode, read_text


class ChatTokenizer:
    """A transformers tokenizer with its fast backend. Raises ModelError where the folder has no readable tokenizer."""

    def __init__(self, folder: str, *, trust_remote_code: bool = False) -> None:
        from transformers.models.auto.tokenization_auto import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, local_files_only=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"the tokenizer in {folder} cannot be read: {error}") from error
        self._backend: Any = getattr(self._tokenizer, "backend_tokenizer", None)
        if self._backend is None:
            raise ModelError(
                f"the tokenizer in {folder} has no fast version",
                "convert it with transformers to a tokenizer.json",
            )
        # A file may say that texts are cut or filled up to a length: that is for training.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special = special_ids(self._backend)
        self.frame = self._frame()
        self.eos_id: int | None = self._tokenizer.eos_token_id
        self.vocab_size = len(self._tokenizer)

    @property
    def template(self) -> str | None:
        """The chat template that ships with the model, if there is one."""
        template = self._tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        return template or None

    def encode(self, text: str, *, framed: bool = False) -> list[int]:
        """The token ids of `text`. Special tokens are added only where it is `framed`, as transformers' own call of the
        tokenizer does it, and none that the text begins or ends with: a chat template writes its own. Raises UsageError
        where it is no Unicode text."""
        check_unicode(text, "the text")
        ids = encoding.encode_all(self._backend, text)
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

        Raises UsageError where the template refuses these messages (roles it does not know, a system prompt…).
        """
        from jinja2.exceptions import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                list(messages), chat_template=template, tokenize=False, add_generation_prompt=reply
            )
        except TemplateError as error:
            raise UsageError(
                f"the model's chat template refuses this conversation: {error}",
                Words("leave out the system prompt", "/system none"),
                Flag("--chat-template", "FILE"),
            ) from error
        return text


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
