"""Figures before and after alignment: retrieval on held-out clips, and how far left is from right.

Shapes: N clips, D features.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.align.aligner import Aligner
from mate.align.corpus import Corpus
from mate.align.losses import cosines
from mate.data.captions import mirror_caption
from mate.text.encoder import TextEncoder

RANKS = (1, 3, 10)
# Texts that differ in nothing but the side.
LEFT_RIGHT = (
    "a person turns left",
    "a person walks forward and turns left",
    "a person raises the left hand",
    "a person waves with the left hand",
    "a person walks clockwise",
)


def recall(similarity: Tensor, relevant: Tensor) -> dict[str, float]:
    """R@k: the share of queries with a relevant answer among the k most similar.

    Args:
        similarity: (queries, answers). Ties count against the query. relevant: same shape, bool, at least one True a row.
    """
    best = similarity.masked_fill(~relevant, float("-inf")).max(1, keepdim=True).values
    ahead = ((similarity >= best) & ~relevant).sum(1)
    return {f"R@{k}": float((ahead < k).float().mean()) for k in RANKS}


@torch.no_grad()
def evaluate(aligner: Aligner, corpus: Corpus) -> dict[str, Any]:
    """Retrieval over a whole split with every clip's first caption.

    Returns:
        text_to_motion, motion_to_text: R@1/3/10 where clips that show the same count as hits; `exact`: where only the clip
        itself does; `unseen_wording`: text to motion with the first caption in a held-out wording, where the set has such;
        left_right_accuracy: the share of clips whose caption is nearer than its mirrored wording (None without such captions).
    """
    motions = aligner.encode_motion([np.asarray(corpus.features(n)) for n in range(len(corpus))])
    texts = [item.captions[0] for item in corpus.items]
    similarity = _encode(aligner, texts) @ motions.T
    fits = corpus.together(range(len(corpus)), texts).to(similarity.device)
    own = torch.eye(len(corpus), dtype=torch.bool, device=similarity.device)
    figures: dict[str, Any] = {
        "clips": len(corpus),
        "text_to_motion": recall(similarity, fits),
        "motion_to_text": recall(similarity.T, fits.T),
        "exact": recall(similarity, own),
    }
    unseen = [
        (n, item.captions[item.kinds.index("unseen")]) for n, item in enumerate(corpus.items) if "unseen" in item.kinds
    ]
    if unseen:
        rows = [n for n, _ in unseen]
        figures["unseen_wording"] = recall(_encode(aligner, [text for _, text in unseen]) @ motions.T, fits[rows])
    figures["left_right_accuracy"] = _sides(aligner, texts, motions)
    if unseen:
        rows = [n for n, _ in unseen]
        figures["left_right_accuracy_unseen_wording"] = _sides(aligner, [text for _, text in unseen], motions[rows])
    return figures


def _sides(aligner: Aligner, texts: list[str], motions: Tensor) -> float | None:
    pairs = [(n, text, mirror_caption(text)) for n, text in enumerate(texts)]
    pairs = [(n, text, other) for n, text, other in pairs if text != other]
    if not pairs:
        return None
    chosen = motions[[n for n, _, _ in pairs]]
    right = (_encode(aligner, [text for _, text, _ in pairs]) * chosen).sum(1)
    wrong = (_encode(aligner, [other for _, _, other in pairs]) * chosen).sum(1)
    return float((right > wrong).float().mean())


def _encode(aligner: Aligner, texts: list[str]) -> Tensor:
    """f^t of texts that may repeat, (len(texts), D)."""
    distinct = sorted(set(texts))
    place = {text: n for n, text in enumerate(distinct)}
    pooled = aligner.text_encoder.pooled(distinct, 64).to(aligner.device)
    return aligner.project_text(pooled)[[place[text] for text in texts]]


@torch.no_grad()
def left_right_cosines(encoder: TextEncoder) -> dict[str, float]:
    """Cosines of the language model's pooled vectors of texts that differ in the side alone, and of the contextual words themselves."""
    mirrored = [mirror_caption(text) for text in LEFT_RIGHT]
    pooled = encoder.encode([*LEFT_RIGHT, *mirrored]).pooled
    count = len(LEFT_RIGHT)
    sentence = cosines(pooled[:count], pooled[count:]).diagonal()
    figures = {
        f"{text} / {other}": round(float(value), 4)
        for text, other, value in zip(LEFT_RIGHT, mirrored, sentence, strict=True)
    }
    words = encoder.word_features(["turn left", "turn right"])
    figures["word left / word right"] = round(float(cosines(words.vectors[0], words.vectors[1])[1, 1]), 4)
    figures["mean over texts"] = round(float(sentence.mean()), 4)
    return figures
