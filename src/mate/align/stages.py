"""What is trained in stages 1 and 3, with their criteria."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mate.align.aligner import Aligner
from mate.align.config import WORD_LOSSES, AlignConfig
from mate.align.localization import prior
from mate.align.losses import align_loss, cross_loss, reconstruction_loss, sentence_loss
from mate.align.prototypes import Prototypes
from mate.align.sampler import Batch
from mate.text.encoder import Tokens
from mate.text.tuning import tune
from mate.text.vocabulary import MotionVocabulary


class RetrievalStage(nn.Module):
    """Stage 1: L_rec + omega_2 * L_sent with the language model frozen; its pooled vectors are computed once."""

    def __init__(self, aligner: Aligner, pooled: Tensor, config: AlignConfig) -> None:
        super().__init__()
        self.aligner, self.config = aligner, config
        self.pooled = pooled

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        features = self.aligner.normalize(batch.features) * batch.mask.unsqueeze(-1)
        sequence, _, valid = self.aligner.motion(features, batch.mask)
        text = self.aligner.project_text(self.pooled[batch.captions.to(self.pooled.device)].to(features.device))
        return _sentence_terms(self.aligner, self.config, features, batch, sequence, valid, text)


class AlignStage(nn.Module):
    """Stage 3: L_all. Holds the trainable rows and the prototypes beside the retrieval model."""

    def __init__(self, aligner: Aligner, vocabulary: MotionVocabulary, config: AlignConfig) -> None:
        super().__init__()
        self.aligner, self.config = aligner, config
        self.prototypes = Prototypes(len(vocabulary), config.model.width, config.tau, config.seed)
        self.encoder = aligner.text_encoder
        self.tuned = tune(self.encoder, config.train, vocabulary.token_ids, config.lora_rank, config.seed)
        self.rows, self.layers = self.tuned.rows, nn.ParameterList(self.tuned.layers)
        longest = max(len(pieces) for pieces in vocabulary.pieces)
        pieces = torch.zeros(len(vocabulary), longest, dtype=torch.long)
        weights = torch.zeros(len(vocabulary), longest)
        for number, own in enumerate(vocabulary.pieces):
            pieces[number, : len(own)] = torch.tensor(own)
            weights[number, : len(own)] = 1.0 / len(own)
        self.register_buffer("pieces", pieces, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def word_embeddings(self, words: Tensor) -> Tensor:
        """WE(w) of vocabulary words (n,): the mean of their pieces' rows, (n, embedding_dim)."""
        rows = self.encoder.embeddings(self.pieces[words])  # type: ignore[index]
        return (rows * self.weights[words].unsqueeze(-1)).sum(1)  # type: ignore[index]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        aligner, config = self.aligner, self.config
        features = aligner.normalize(batch.features) * batch.mask.unsqueeze(-1)
        sequence, frames, valid = aligner.motion(features, batch.mask)
        terms: dict[str, Tensor] = {}
        if batch.sentences:
            tokens = Tokens(batch.ids, batch.text_mask, batch.ids)
            text = aligner.project_text(self.encoder.forward_tokens(tokens).pooled)
            terms = _sentence_terms(aligner, config, features, batch, sequence, valid, text)
        if not WORD_LOSSES & set(config.losses):
            return terms

        words = aligner.word(self.word_embeddings(batch.words))  # Q = Proj(WE(w)), (n, D)
        # Every word asks every motion: its own with its sub-text's prior, the others with none.
        count, clips, units = len(words), len(frames), frames.shape[1]
        own_motion = torch.arange(clips, device=words.device)[:, None] == batch.motion[None]  # (B, n)
        hint = prior(batch.start, batch.end, units, config.prior) * batch.hinted.unsqueeze(-1)  # (n, U)
        hints = torch.where(own_motion.unsqueeze(-1), hint, torch.zeros_like(hint))  # (B, n, U)
        read, _ = aligner.attention(words.expand(clips, -1, -1), frames, valid, hints)  # (B, n, D)
        own = read[batch.motion, torch.arange(count, device=words.device)]  # f^{m_i}_{w_i}, (n, D)

        negative = batch.negative if config.negatives == "absent" else None
        pairs = (
            None if negative is None else negative[:, batch.words].T
        )  # [i, j]: word i is not in what word j was read from
        named: dict[str, Callable[[], Tensor]] = {
            "self": lambda: self.prototypes(own, batch.words, negative),
            "cross": lambda: cross_loss(own, read, batch.motion, batch.absent),
            "align": lambda: align_loss(words, own, batch.same, config.tau, pairs),
        }
        return terms | {name: config.omega_word * term() for name, term in named.items() if name in config.losses}


def _sentence_terms(
    aligner: Aligner, config: AlignConfig, features: Tensor, batch: Batch, sequence: Tensor, valid: Tensor, text: Tensor
) -> dict[str, Tensor]:
    """L_rec and omega_2 * L_sent, where they are in use."""
    terms: dict[str, Tensor] = {}
    if "rec" in config.losses and aligner.decoder is not None:
        decoded = aligner.decoder(sequence, valid)
        frames = min(decoded.shape[1], features.shape[1])
        terms["rec"] = reconstruction_loss(decoded[:, :frames], features[:, :frames], batch.mask[:, :frames])
    if "sent" in config.losses:
        terms["sent"] = config.omega_sentence * sentence_loss(text, sequence, batch.together, config.tau_sentence)
    return terms
