"""What a word patch does to sentences that have nothing to do with motion.

Every sentence is encoded by the language model as published and with the patch in place. The sentences are plain English about
cooking, money, weather, law and the like; none of their words is a word of movement.
"""

from typing import Any

import numpy as np
import torch

from mate.align.losses import cosines
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch

# Two wordings of one statement stand side by side: plain sentence similarity should find the partner.
PAIRS = (
    ("The soup needs more salt.", "There is too little salt in the soup."),
    ("Interest rates fell in March.", "In March, borrowing became cheaper."),
    ("It will rain in the north tomorrow.", "Showers are expected in northern areas tomorrow."),
    ("The court rejected the appeal.", "The judges refused the appeal."),
    ("My laptop has a broken screen.", "The display of my computer is damaged."),
    ("She teaches chemistry at a small college.", "She is a chemistry lecturer at a little college."),
    ("The museum is closed on Mondays.", "On Mondays you cannot visit the museum."),
    ("Vaccines reduce the risk of disease.", "The danger of illness is lower after vaccination."),
    ("This novel was written in 1912.", "The book dates from 1912."),
    ("Bread is made of flour and water.", "Flour and water are the ingredients of bread."),
    ("The city council approved the budget.", "The budget was accepted by the municipal council."),
    ("Copper is a good conductor.", "Electricity flows easily in copper."),
    ("The patient has a high temperature.", "The sick man suffers from fever."),
    ("Coffee contains caffeine.", "There is caffeine in coffee."),
    ("The company sold its factory in Spain.", "The Spanish plant was sold by the firm."),
    ("He forgot the password of his account.", "He does not remember his login password."),
    ("Whales are mammals.", "A whale belongs to the mammals."),
    ("The contract ends in December.", "The agreement is valid until December."),
    ("Her garden is full of roses.", "There are many roses in her garden."),
    ("Old paper turns yellow in sunlight.", "Sunlight makes ageing paper yellow."),
    ("The painting was sold for two million euros.", "Somebody paid two million euros for the picture."),
    ("Tea is cheaper than wine here.", "Wine costs more than tea in this place."),
    ("The theory explains most of the data.", "Most observations agree with the theory."),
    ("The minister denied the report.", "The report was called untrue by the minister."),
)


@torch.no_grad()
def damage(encoder: TextEncoder, patch: WordPatch) -> dict[str, Any]:
    """Compares a language model's sentence vectors before and after a patch.

    Args:
        encoder: the base language model, not patched; it is left as it was.

    Returns:
        drift: 1 - cosine of a sentence with itself, mean and maximum. similarity_correlation: Spearman's, of all pairwise
        similarities before and after. partner_before, partner_after: how often a sentence's nearest neighbour is its other wording.

    Raises:
        MateError: the patch is for another model.
    """
    from scipy.stats import spearmanr

    texts = [text for pair in PAIRS for text in pair]
    before = encoder.encode(texts).pooled.float()
    handle = encoder.apply(patch)
    try:
        after = encoder.encode(texts).pooled.float()
    finally:
        handle.revert()
    drift = 1.0 - torch.cosine_similarity(before, after, dim=-1)
    similarities = [cosines(vectors, vectors).cpu().numpy() for vectors in (before, after)]
    upper = np.triu_indices(len(texts), 1)
    correlation = spearmanr(similarities[0][upper], similarities[1][upper])[0]
    partners = [_partners(matrix) for matrix in similarities]
    return {
        "sentences": len(texts),
        "drift_mean": float(drift.mean()),
        "drift_max": float(drift.max()),
        "similarity_correlation": float(np.asarray(correlation)),
        "partner_before": partners[0],
        "partner_after": partners[1],
    }


def _partners(similarity: np.ndarray) -> float:
    """How often the nearest other sentence is the partner: sentences 2 n and 2 n + 1 are partners."""
    others = similarity - 2.0 * np.eye(len(similarity))
    return float((others.argmax(1) == np.arange(len(similarity)) ^ 1).mean())
