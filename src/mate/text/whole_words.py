"""Words of several word pieces as tokens of their own: one row a word, which no other word shares.

"anticlockwise" is anti ##cl ##ock ##wise to a language model, and half of "counterclockwise": whoever moves its pieces moves other words.
Here the word becomes a new token of tokenizer and table; its pieces stay as they were.

Limits, all of them the tokenizers': a word whose spelling is a token already cannot get another; in a model that tells capitals apart, the
capitalised word stays pieces; T5's tokenizer writes a lone space between a new word and a comma or full stop behind it.

Shapes: W words, V vocabulary size, D embedding size.
"""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.text.patch import embedding_layer, language_models

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer


class AddedWords:
    """Words that were added to a model and its tokenizer; `remove` takes them out again, bit for bit.

    Attributes:
        ids: (W,) int64, the new tokens.
    """

    def __init__(self, ids: Tensor, undo: list[Callable[[], None]]) -> None:
        self.ids = ids
        self._undo = undo

    def remove(self) -> None:
        """Puts the old table and tokenizer back. A second call does nothing."""
        while self._undo:
            self._undo.pop()()


def extend_tokenizer(tokenizer: "Tokenizer", words: Sequence[str]) -> Tensor:
    """Adds words to a tokenizer, in place; their tokens (W,).

    Raises:
        MateError: it has one of them already.
    """
    _refuse_known(words, tokenizer.token_to_id)
    tokenizer.add_tokens(_tokens(words))
    return torch.tensor([tokenizer.token_to_id(word) for word in words])


def _tokens(words: Sequence[str]) -> "list[AddedToken]":
    """Whole words, each with the space before it.

    Without the space, tokenizers that write a word's space into the word (RoBERTa's, T5's) would leave a lone space in front.
    """
    from tokenizers import AddedToken

    return [AddedToken(word, single_word=True, lstrip=True, normalized=True) for word in words]


@torch.no_grad()
def add_words(model: object, words: Sequence[str], rows: Tensor, tokenizer: object | None = None) -> AddedWords:
    """Gives words tokens and rows of their own, in place.

    Args:
        model: a `TextEncoder`, a sentence-transformers or a Hugging Face model.
        words: W lower-case words.
        rows: (W, D).
        tokenizer: the model's Hugging Face tokenizer; a `TextEncoder` and a sentence-transformers model bring their own.

    Raises:
        MateError: the model or its tokenizer takes no new tokens, or has one of the words already.
    """
    _check_model(model)
    layer = embedding_layer(model)
    old = layer.weight
    assert isinstance(old, nn.Parameter)
    if len(rows) != len(words) or rows.shape[1:] != old.shape[1:]:
        raise MateError(f"got {len(words)} words and rows {tuple(rows.shape)}, expected ({len(words)}, {old.shape[1]})")
    ids, undo = _extend_tokenizer(model, tokenizer, words)
    table = torch.zeros(max(len(old), int(ids.max()) + 1), old.shape[1], dtype=old.dtype, device=old.device)
    table[: len(old)] = old
    table[ids.to(old.device)] = rows.to(old)
    new = nn.Parameter(table, requires_grad=old.requires_grad)
    # Several layers may share the table (T5's encoder and decoder). An output head keeps the old one: it names no new words.
    sharing = [
        module
        for root in language_models(model)
        for module in root.modules()
        if isinstance(module, nn.Embedding) and module.weight is old
    ]
    for module in sharing:
        module.weight, module.num_embeddings = new, len(new)

    def put_back() -> None:
        old.data = old.data.to(new.device)
        for module in sharing:
            module.weight, module.num_embeddings = old, len(old)

    undo.append(put_back)
    for config in _configs(model):
        if config.vocab_size == len(old) != len(new):
            config.vocab_size = len(new)
            undo.append(lambda config=config: setattr(config, "vocab_size", len(old)))
    return AddedWords(ids, undo)


def mean_rows(table: Tensor, pieces: Sequence[Tensor]) -> Tensor:
    """What words give at first: the means of their pieces' rows, (W, D)."""
    if not pieces:
        return table.new_zeros(0, table.shape[1]).float()
    ids = torch.cat(list(pieces)).to(table.device)
    starts = torch.tensor([0, *(len(own) for own in pieces)], device=table.device).cumsum(0)[:-1]
    return nn.functional.embedding_bag(ids, table.detach().float(), starts, mode="mean")


def _configs(model: object) -> list[Any]:
    """The Hugging Face configurations in a model that say how many tokens there are."""
    found: list[Any] = []
    for root in language_models(model):
        config = getattr(root, "config", None)
        for part in (config, getattr(config, "text_config", None)):
            known = callable(getattr(part, "to_dict", None)) and hasattr(part, "vocab_size")
            if known and not any(part is other for other in found):
                found.append(part)
    return found


def _check_model(model: object) -> None:
    for root in language_models(model):
        if isinstance(getattr(root, "token_embedding", None), nn.Embedding):
            raise MateError(
                "an openai-clip or open_clip model takes no new words: its tokenizer is fixed, and it takes the highest token for the "
                "end of the text; use a patch of rows 'pieces', or the same model from Hugging Face"
            )
        # transformers reads eos_token_id 2, an old mistake in CLIP's configurations, as "the end is the highest token". TextEncoder
        # does not go that way.
        end = getattr(getattr(root, "text_model", root), "eos_token_id", None)
        is_clip = type(root).__name__.startswith("CLIP")
        if is_clip and end == 2 and not hasattr(model, "forward_tokens"):
            raise MateError(
                "this CLIP takes the highest token for the end of the text (eos_token_id 2 in its configuration), so it takes no new "
                "words; set eos_token_id to the tokenizer's own, or load it with mate's TextEncoder"
            )


def _extend_tokenizer(model: Any, tokenizer: Any, words: Sequence[str]) -> tuple[Tensor, list[Callable[[], None]]]:
    """The new tokens' ids, and how to take them out again."""
    from tokenizers import Tokenizer

    own = getattr(model, "tokenizer", None)
    if tokenizer is None and isinstance(own, Tokenizer):  # a TextEncoder: it gets another tokenizer
        extended = Tokenizer.from_str(own.to_str())
        ids = extend_tokenizer(extended, words)
        model.tokenizer = extended
        return ids, [lambda: setattr(model, "tokenizer", own)]
    theirs: Any = own if tokenizer is None else tokenizer
    if not callable(getattr(theirs, "add_tokens", None)) or not callable(getattr(theirs, "get_vocab", None)):
        raise MateError(
            f"the patch gives words tokens of their own, and {type(theirs).__name__} takes no new tokens; "
            "give the model's Hugging Face tokenizer: patch.apply(model, tokenizer)"
        )
    known = theirs.get_vocab()
    _refuse_known(words, known.get)
    before = copy.deepcopy(theirs)
    theirs.add_tokens(_tokens(words))
    ids = theirs.convert_tokens_to_ids(list(words))

    def put_back() -> None:
        theirs.__dict__.clear()
        theirs.__dict__.update(before.__dict__)

    return torch.tensor(ids), [put_back]


def _refuse_known(words: Sequence[str], known: Callable[[str], int | None]) -> None:
    there = [word for word in words if known(word) is not None]
    if there:
        raise MateError(
            f"the tokenizer has tokens for {', '.join(there[:3])} already, so they cannot get new ones; "
            "use the model as published, and revert any other patch first"
        )
