"""A small language model of openai-clip's shape, and small stand-ins for the ways in which six generators call theirs.

With checkouts of the generators at hand (`$MATE_PEERS`, one folder each, see `PEERS`) their own text-encoding code is cut out of
their files and run on the same small model: nothing else of theirs is imported.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

VOCABULARY, CONTEXT, WIDTH, DIM = 60, 77, 16, 12
WORDS = ["a", "person", "walks", "turns", "left", "right", "waves", "jumps", "slowly", "then"]
START, END = VOCABULARY - 2, VOCABULARY - 1  # the end has the highest number: it is found by argmax


class SmallClip(nn.Module):
    """openai-clip's text side: causal transformer, the feature of the end token through a projection."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.token_embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.positional_embedding = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.1)
            block = nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.0, norm_first=True)
            self.transformer = _Causal(nn.TransformerEncoder(block, 2, enable_nested_tensor=False))
            self.ln_final = nn.LayerNorm(WIDTH)
            self.text_projection = nn.Parameter(torch.randn(WIDTH, DIM) / WIDTH**0.5)
        self.eval().requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        return self.text_projection.dtype

    def encode_text(self, text: Tensor) -> Tensor:
        """(B, 77) -> (B, DIM)."""
        x = self.token_embedding(text) + self.positional_embedding
        x = self.ln_final(self.transformer(x.transpose(0, 1))).transpose(0, 1)
        return x[torch.arange(len(x)), text.argmax(-1)] @ self.text_projection


class _Causal(nn.Module):
    def __init__(self, inner: nn.TransformerEncoder) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """(L, B, W)."""
        return self.inner(x, mask=nn.Transformer.generate_square_subsequent_mask(len(x)))


class OnThisMachine(Tensor):
    """A tensor whose `.cuda()` stays where it is."""

    def cuda(self, *_: Any, **__: Any) -> Tensor:  # type: ignore[override]
        return self.as_subclass(Tensor)


def tokenize(texts: str | list[str], context_length: int = CONTEXT, truncate: bool = False) -> Tensor:
    """openai-clip's `tokenize` for `WORDS`."""
    rows = torch.zeros(len([texts] if isinstance(texts, str) else texts), context_length, dtype=torch.long)
    for row, text in zip(rows, [texts] if isinstance(texts, str) else texts, strict=True):
        ids = [START, *(1 + WORDS.index(word) for word in text.split()), END]
        row[: len(ids)] = torch.tensor(ids)
    return rows.as_subclass(OnThisMachine)


class SmallBert(nn.Module):
    """A DistilBERT with its tokenizer, in MDM's wrapper's shape."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import DistilBertConfig, DistilBertModel

        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            sizes = DistilBertConfig(vocab_size=VOCABULARY, dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=32)
            self.text_model = DistilBertModel(sizes)
        self.eval().requires_grad_(False)

    def tokenizer(self, texts: list[str], **_: Any) -> Any:
        """Token ids and mask, padded to the longest."""
        from transformers import BatchEncoding

        ids = tokenize(texts).as_subclass(Tensor)
        mask = (torch.arange(CONTEXT) <= ids.argmax(1, keepdim=True)).long()
        longest = int(mask.sum(1).max())
        return BatchEncoding({"input_ids": ids[:, :longest], "attention_mask": mask[:, :longest]})

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        tokens = self.tokenizer(texts)
        return self.text_model(**tokens).last_hidden_state, tokens.attention_mask.bool()


def small_hf_clip() -> Any:
    """A whole two-tower CLIP of Hugging Face's class."""
    from transformers import CLIPConfig, CLIPModel

    text = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {
        "intermediate_size": 32,
        "max_position_embeddings": CONTEXT,
        "eos_token_id": END,
        "bos_token_id": START,
        "pad_token_id": 0,
    }
    image = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 16,
        "patch_size": 8,
    }
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return (
            CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=DIM))
            .eval()
            .requires_grad_(False)
        )


class PaddingTokenizer:
    """The tokenizer as MLD calls it."""

    model_max_length = CONTEXT

    def __call__(self, texts: list[str], **_: Any) -> Any:
        return SimpleNamespace(input_ids=tokenize(texts).as_subclass(Tensor))


Encode = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class Peer:
    """A generator: `build` gives (the model that a patch goes into, its text encoding); `source` the same with its own code."""

    build: Callable[[], tuple[Any, Encode]]
    source: Callable[[Path], tuple[Any, Encode]]
    folder: str


def _pooled() -> tuple[Any, Encode]:  # MoMask, T2M-GPT
    clip = SmallClip()
    return clip, lambda texts: clip.encode_text(tokenize(texts, truncate=True).cuda()).float()


def _short() -> tuple[Any, Encode]:  # MDM with CLIP: 22 places, then zeros to 77
    clip = SmallClip()

    def encode(texts: list[str]) -> Tensor:
        ids = nn.functional.pad(tokenize(texts, 22, True).as_subclass(Tensor), (0, CONTEXT - 22))
        return clip.encode_text(ids).float()[None]

    return clip, encode


def _states() -> tuple[Any, Encode]:  # MDM with DistilBERT
    bert = SmallBert()
    return bert.text_model, lambda texts: bert(texts)[0].transpose(0, 1)


def _features() -> tuple[Any, Encode]:  # MLD
    clip = small_hf_clip()

    def encode(texts: list[str]) -> Tensor:
        made = clip.get_text_features(PaddingTokenizer()(texts).input_ids)
        return made if isinstance(made, Tensor) else made.pooler_output

    return clip, encode


def _words() -> tuple[Any, Encode]:  # MMM: the vector and every token's feature; MotionDiffuse: every token's feature
    clip = SmallClip()

    def encode(texts: list[str]) -> Tensor:
        ids = tokenize(texts, truncate=True).as_subclass(Tensor)
        x = (clip.token_embedding(ids) + clip.positional_embedding).transpose(0, 1)
        return clip.ln_final(clip.transformer(x)).transpose(0, 1)

    return clip, encode


# ---------------------------------------------------------------------------------------------------- the generators' own code


def cut(path: Path, *names: str) -> ast.stmt:
    """The class or function of that name in a source file; further names lead inside."""
    nodes: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    found: Any = None
    for name in names:
        found = next(node for node in nodes if getattr(node, "name", None) == name)
        nodes = found.body
    return found


def run(statements: list[ast.stmt], names: dict[str, Any]) -> dict[str, Any]:
    """Executes statements that were cut out of a file; returns the names they leave."""
    known = {
        "torch": torch,
        "nn": nn,
        "Tensor": Tensor,
        "clip": SimpleNamespace(tokenize=tokenize),
        "List": list,
        **names,
    }
    exec(compile(ast.Module(statements, []), "peer", "exec"), known)
    return known


def _method(path: Path, *names: str) -> Callable[..., Any]:
    return run([cut(path, *names)], {})[names[-1]]


def _own_momask(folder: Path) -> tuple[Any, Encode]:
    clip, encode = (
        SmallClip(),
        _method(folder / "models/mask_transformer/transformer.py", "MaskTransformer", "encode_text"),
    )
    return clip, lambda texts: encode(SimpleNamespace(clip_model=clip, parameters=clip.parameters), texts)


def _own_mdm(folder: Path) -> tuple[Any, Encode]:
    clip, encode = SmallClip(), _method(folder / "model/mdm.py", "MDM", "clip_encode_text")
    return clip, lambda texts: encode(
        SimpleNamespace(clip_model=clip, parameters=clip.parameters, dataset="humanml"), texts
    )


def _own_mdm_bert(folder: Path) -> tuple[Any, Encode]:
    bert = SmallBert()
    forward = _method(folder / "model/BERT/BERT_encoder.py", "BERT", "forward")
    encode = _method(folder / "model/mdm.py", "MDM", "bert_encode_text")
    return bert.text_model, lambda texts: encode(SimpleNamespace(clip_model=lambda x: forward(bert, x)), texts)[0]


def _own_t2m_gpt(folder: Path) -> tuple[Any, Encode]:
    clip, tree = SmallClip(), ast.parse((folder / "train_t2m_trans.py").read_text(encoding="utf-8"))
    wanted = ("clip.tokenize(", "clip_model.encode_text(")
    lines = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(wanted)
    ]
    assert len(lines) == 2
    statements: list[ast.stmt] = sorted(lines, key=lambda node: node.lineno)
    return clip, lambda texts: run(statements, {"clip_text": texts, "clip_model": clip})["feat_clip_text"]


def _own_mld(folder: Path) -> tuple[Any, Encode]:
    clip, forward = (
        small_hf_clip(),
        _method(folder / "mld/models/architectures/mld_clip.py", "MldTextEncoder", "forward"),
    )
    theirs = SimpleNamespace(
        # In transformers 5 the pooled vector comes in an object; MLD is written for the vector itself.
        text_model=SimpleNamespace(
            device="cpu",
            get_text_features=lambda ids: getattr(made := clip.get_text_features(ids), "pooler_output", made),
        ),
        tokenizer=PaddingTokenizer(),
        name="clip",
        max_length=CONTEXT,
    )
    return clip, lambda texts: forward(theirs, texts)[:, 0]


def _own_mmm(folder: Path) -> tuple[Any, Encode]:
    clip = SmallClip()
    theirs = run([cut(folder / "train_t2m_trans.py", "TextCLIP")], {})["TextCLIP"](clip)
    return theirs, lambda texts: theirs(tokenize(texts, truncate=True).cuda())[1]


def _own_motiondiffuse(folder: Path) -> tuple[Any, Encode]:
    clip, encode = (
        SmallClip(),
        _method(folder / "text2motion/models/transformer.py", "MotionTransformer", "encode_text"),
    )
    same = nn.Identity()
    theirs = SimpleNamespace(clip=clip, text_pre_proj=same, textTransEncoder=same, text_ln=same, text_proj=same)
    return clip, lambda texts: encode(theirs, texts, "cpu")[1]


PEERS = {
    "MoMask": Peer(_pooled, _own_momask, "momask-codes"),
    "T2M-GPT": Peer(_pooled, _own_t2m_gpt, "T2M-GPT"),
    "MDM": Peer(_short, _own_mdm, "motion-diffusion-model"),
    "MDM with DistilBERT": Peer(_states, _own_mdm_bert, "motion-diffusion-model"),
    "MLD": Peer(_features, _own_mld, "motion-latent-diffusion"),
    "MMM": Peer(_words, _own_mmm, "MMM"),
    "MotionDiffuse": Peer(_words, _own_motiondiffuse, "MotionDiffuse"),
}
