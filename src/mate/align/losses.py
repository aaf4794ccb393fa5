"""The criteria of the paper as pure functions of tensors.

    L_word = L_self + L_cross + L_align
    L_all  = L_rec + omega_1 * L_word + omega_2 * L_sent

All are computed in float32. Shapes: n words, K vocabulary, B motions (and texts), T frames, D features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def self_loss(
    features: Tensor, prototypes: Tensor, words: Tensor, tau: float, negative: Tensor | None = None
) -> Tensor:
    """Stability and discriminability: every word's feature is close to its own prototype and far from the others.

    L_self = mean_i -log [ exp(cos(f_i, p_{w_i}) / tau) / sum_k exp(cos(f_i, p_k) / tau) ]

    Args:
        features: (n, D) f^{m_i}_{w_i}.
        prototypes: (K, D) f^p.
        words: (n,) the number of each word.
        negative: (n, K) bool, the words that a feature is to be far from; None: all others (the paper's sum over k).
    """
    similarity = cosines(features, prototypes) / tau
    if negative is not None:
        own = F.one_hot(words, len(prototypes)).bool()
        similarity = similarity.masked_fill(~(negative | own), float("-inf"))
    return F.cross_entropy(similarity, words)


def cross_loss(own: Tensor, elsewhere: Tensor, motion: Tensor, absent: Tensor) -> Tensor:
    """Plausibility: a word that is not in a motion reads nothing there that resembles a word that is.

    L_cross = mean over (i, j) in N of |cos(f^{m_i}_{w_i}, f^{m_i}_{w_j})| + |cos(f^{m_i}_{w_i}, f^{m_j}_{w_i})|

    The source defines N by the first term only. Ours: each term has its own set, pairs where m_i lacks the meaning of w_j
    for the first and pairs where m_j lacks that of w_i for the second; each is averaged over its set.

    Args:
        own: (n, D) f^{m_i}_{w_i}.
        elsewhere: (B, n, D) [b, j] the feature of word j read in motion b.
        motion: (n,) the motion of each word.
        absent: (B, n) bool, True where word j's meaning is not in motion b.
    """
    own, elsewhere = F.normalize(own.float(), dim=-1), F.normalize(elsewhere.float(), dim=-1)
    with torch.autocast(own.device.type, enabled=False):
        # Word j read in the motion of word i, picked from all motions: the gradient of elsewhere[motion] would be added up in any
        # order on several threads, and that tensor would have n^2 D numbers.
        in_own = torch.einsum("id,bjd->ibj", own, elsewhere)[torch.arange(len(own), device=own.device), motion].abs()
        in_other = torch.einsum("id,bid->ib", own, elsewhere).abs()  # word i read in motion b
    return _mean(in_own, absent[motion]) + _mean(in_other, absent.T)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


def multi_positive_nce(similarity: Tensor, positive: Tensor) -> Tensor:
    """InfoNCE where an item may have several positives: they share the target, and none is a negative of another.

    -log of the softmax mass on the positives; with one positive a row it is the usual InfoNCE.

    Args:
        similarity: (n, m) logits.
        positive: (n, m) bool, at least one True a row.
    """
    similarity = similarity.float()
    mass = torch.logsumexp(similarity.masked_fill(~positive, float("-inf")), 1)
    return (torch.logsumexp(similarity, 1) - mass).mean()


def symmetric_nce(left: Tensor, right: Tensor, positive: Tensor, tau: float, negative: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of (n, D) against (m, D) features; `positive` (n, m) says which belong together, `negative` which do not.

    Pairs that are neither are left out; negative None: all pairs that are not positive.
    """
    similarity = cosines(left, right) / tau
    if negative is not None:
        similarity = similarity.masked_fill(~(negative | positive), float("-inf"))
    return (multi_positive_nce(similarity, positive) + multi_positive_nce(similarity.T, positive.T)) / 2


def align_loss(words: Tensor, features: Tensor, same: Tensor, tau: float, negative: Tensor | None = None) -> Tensor:
    """L_align = symmetric InfoNCE( Proj(WE(w_i)), f^{m_i}_{w_i} ).

    Args:
        words: (n, D) projected word embeddings. features: (n, D) what they read from their motions.
        same: (n, n) bool, words with one stem: not negatives of each other.
        negative: (n, n) bool, [i, j] word i is not in what feature j was read from; None: all but `same`.
    """
    return symmetric_nce(words, features, same, tau, negative)


def sentence_loss(text: Tensor, motion: Tensor, positive: Tensor, tau: float) -> Tensor:
    """L_sent = InfoNCE(f^t, f^m), both ways; duplicates in the batch (`positive` (B, B)) are not negatives of each other."""
    return symmetric_nce(text, motion, positive, tau)


def reconstruction_loss(decoded: Tensor, features: Tensor, mask: Tensor) -> Tensor:
    """L_rec = || decode(f^m) - m ||, as a smooth L1 over valid frames (the norm is ours).

    Args:
        decoded, features: (B, T, 263) normalised. mask: (B, T) True = valid.
    """
    error = F.smooth_l1_loss(decoded.float(), features.float(), reduction="none").mean(-1)
    return _mean(error, mask)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """(n, D), (m, D) -> (n, m) cosines in float32."""
    with torch.autocast(left.device.type, enabled=False):
        return F.normalize(left.float(), dim=-1) @ F.normalize(right.float(), dim=-1).T
