"""Tiny, randomly initialised language models of every supported class, saved as Hugging Face folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "person",
    "walk",
    "##s",
    "forward",
    "turn",
    "left",
    "right",
    ",",
    "then",
]


def save_tokenizer(folder: Path, limit: int = 32, vocabulary: Sequence[str] = VOCABULARY) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=limit,
    ).save_pretrained(folder)


def tiny_model(kind: str, folder: Path, limit: int = 32, vocabulary: Sequence[str] = VOCABULARY) -> Path:
    """A randomly initialised model of a Hugging Face class, saved in its folder layout."""
    import transformers

    hf: Any = transformers

    torch.manual_seed(0)
    common: dict[str, Any] = {"vocab_size": len(vocabulary), "pad_token_id": 0}
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    if kind == "bert":
        model = hf.BertModel(hf.BertConfig(**common, **sizes))
    elif kind == "roberta":
        model = hf.RobertaModel(hf.RobertaConfig(**common, **sizes, max_position_embeddings=40))
    elif kind == "mpnet":
        model = hf.MPNetModel(hf.MPNetConfig(**common, **sizes))
    elif kind == "distilbert":
        model = hf.DistilBertModel(hf.DistilBertConfig(**common, dim=32, n_layers=2, n_heads=4, hidden_dim=64))
    elif kind == "clip":
        config = hf.CLIPTextConfig(
            **common, **sizes, projection_dim=24, max_position_embeddings=32, bos_token_id=2, eos_token_id=3
        )
        model = hf.CLIPTextModelWithProjection(config)
    elif kind == "whole clip":
        text = {**common, **sizes, "max_position_embeddings": 32, "bos_token_id": 2, "eos_token_id": 3}
        vision = {**sizes, "image_size": 8, "patch_size": 4}
        model = hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    elif kind == "whole t5":
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
        model = hf.T5ForConditionalGeneration(hf.T5Config(**common, **sizes))
    else:
        model = hf.T5EncoderModel(hf.T5Config(**common, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4))
    model.eval().save_pretrained(folder)
    save_tokenizer(folder, limit, vocabulary)
    return folder


KINDS = ("bert", "roberta", "mpnet", "distilbert", "clip", "t5")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """kind -> folder."""
    return {kind: tiny_model(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
