"""BERT's encoder, inference only, for the embedded default language model.

The same numbers as `transformers.BertModel` without its pooler (tested), under the same parameter names; importing
`transformers` costs several seconds at every start of the command line, this file nothing beyond torch.
Other language models go through `transformers`.

Shapes: B texts, L tokens, D hidden size, H heads.
Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class BertConfig:
    """The sizes in BERT's config.json that the encoder needs."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"


def _table(rows: int, d: int) -> nn.Embedding:
    """An embedding that is left uninitialised: on the meta device a normal initialisation imports torch's compiler (3 s)."""
    return nn.Embedding.from_pretrained(torch.empty(rows, d), freeze=False)


class BertEncoder(nn.Module):
    """Token ids -> contextual token features. There is no dropout: this model is never trained, only read through."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.hidden_act != "gelu":
            raise ValueError(f"got activation {config.hidden_act!r}, this encoder knows gelu only")
        d, eps = config.hidden_size, config.layer_norm_eps
        self.config = config
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": _table(config.vocab_size, d),
                "position_embeddings": _table(config.max_position_embeddings, d),
                "token_type_embeddings": _table(config.type_vocab_size, d),
                "LayerNorm": nn.LayerNorm(d, eps=eps),
            }
        )
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))}
        )

    def get_input_embeddings(self) -> nn.Module:
        """The word-embedding layer, as in transformers."""
        return self.embeddings["word_embeddings"]

    def set_input_embeddings(self, layer: nn.Module) -> None:
        """Puts another word-embedding layer in place."""
        self.embeddings["word_embeddings"] = layer

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids (B, L), mask (B, L) bool True=valid -> last hidden states (B, L, D)."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.embeddings["word_embeddings"](ids) + self.embeddings["position_embeddings"](positions)
        x = x + self.embeddings["token_type_embeddings"](torch.zeros_like(positions))
        x = self.embeddings["LayerNorm"](x)
        attended = mask[:, None, None, :]  # (B, 1, 1, L), broadcast over heads and queries
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            x = layer(x, attended)
        return x


class BertLayer(nn.Module):
    """Self-attention and a two-layer perceptron, each followed by a residual sum and layer normalisation."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        d, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(d, d) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(d, d), "LayerNorm": nn.LayerNorm(d, eps=eps)}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(d, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, d), "LayerNorm": nn.LayerNorm(d, eps=eps)})

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projections, output = self.attention["self"], self.attention["output"]
        query, key, value = (
            projections[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[index]
            for name in ("query", "key", "value")
        )  # (B, H, L, D / H)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        x = output["LayerNorm"](x + output["dense"](read))  # type: ignore[index]
        return self.output["LayerNorm"](x + self.output["dense"](F.gelu(self.intermediate["dense"](x))))
