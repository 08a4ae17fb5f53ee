"""Whether a draft belongs to a target: the hash that a trained head records, and the tokenizers of two models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from specmemo_chat.catalog.gguf import part_names, read_gguf
from specmemo_chat.errors import Flag, ModelError, UsageError, Words

# Of every weight file this many blocks of this size are hashed, evenly spread: whoever trains a model further changes
# every tensor of it, and a model of 140 GB is checked in a moment.
_BLOCKS = 64
_BLOCK_BYTES = 1 << 16


def weights_hash(folder: Path) -> str:
    """A hash (hex) of the weights in `folder`, or of a GGUF model: names and sizes of the files, and samples of their
    bytes.

    Raises ModelError where there are none to read.
    """
    if folder.is_file():
        files = [folder.with_name(name) for name in part_names(folder.name)]
    else:
        files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise ModelError(f"{folder} holds no weights")
    digest = hashlib.sha256()
    for file in files:
        try:
            size = file.stat().st_size
            digest.update(f"{file.name} {size}\n".encode())
            with file.open("rb") as stream:
                if size <= _BLOCKS * _BLOCK_BYTES:
                    digest.update(stream.read())
                    continue
                for block in range(_BLOCKS):
                    stream.seek((size - _BLOCK_BYTES) * block // (_BLOCKS - 1))
                    digest.update(stream.read(_BLOCK_BYTES))
        except OSError as error:
            raise ModelError(f"{file} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def check_hash(head: Path, recorded: str, target: Path) -> None:
    """Raise ModelError where a head recorded another target than the one in `target`. A head without a record passes:
    published ones have none."""
    if recorded and recorded != weights_hash(target):
        raise ModelError(
            f"the draft head in {head} was trained for other weights than those in {target}",
            Words("train it again with specmemo train-draft", "in a shell: specmemo train-draft"),
            Flag("--draft", "ngram"),
        )


def check_tokenizers(draft: Path, target: Path) -> None:
    """Raise UsageError, with the reason, unless a token id means the same text in both folders' tokenizers.

    Tokens that only one of them has are allowed: models of one family differ in their last special tokens.
    """
    remedies = "give a smaller model of the same family", Flag("--draft", "ngram")
    refused = f"the model in {draft} cannot draft for the one in {target}"
    ours, theirs = _tokens(target), _tokens(draft)
    if ours is None or theirs is None:
        # SentencePiece models without a fast tokenizer: the same file or nothing.
        files = [folder / "tokenizer.model" for folder in (draft, target)]
        if all(file.exists() for file in files) and files[0].read_bytes() == files[1].read_bytes():
            return
        which = draft if theirs is None else target
        raise UsageError(f"{refused}: {which} has no tokenizer.json to compare", *remedies)
    for token in sorted(ours.keys() & theirs.keys()):
        # SentencePiece's blank is a plain one in some of a GGUF file's tokens.
        if ours[token].replace("▁", " ") != theirs[token].replace("▁", " "):
            raise UsageError(
                f"{refused}: their tokenizers differ, token {token} is {theirs[token]!r} in the draft and "
                f"{ours[token]!r} in the target",
                *remedies,
            )
    common, least = len(ours.keys() & theirs.keys()), min(len(ours), len(theirs))
    if common < least:
        raise UsageError(f"{refused}: only {common} of {least} token ids are known to both tokenizers", *remedies)


def _tokens(folder: Path) -> dict[int, str] | None:
    """The text of every token id, None without a tokenizer.json. Raises ModelError where it cannot be read."""
    if folder.is_file():
        return dict(enumerate(read_gguf(folder).metadata.get("tokenizer.ggml.tokens", ())))
    file = folder / "tokenizer.json"
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        vocabulary = values["model"]["vocab"]
        if isinstance(vocabulary, dict):
            tokens = {int(token): str(text) for text, token in vocabulary.items()}
        else:
            tokens = {token: str(entry[0]) for token, entry in enumerate(vocabulary)}
        tokens.update({int(entry["id"]): str(entry["content"]) for entry in values.get("added_tokens") or ()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{file} cannot be read: {error}", "download the model again") from error
    return tokens
