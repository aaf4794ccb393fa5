"""The nearest words of a word, before and after a word patch, and a plane to draw them on.

A word's vector is the mean of its pieces' rows of the word-embedding table: what the patch changes. Words with the same
stem are left out (walk, walks): they are near before and after and would hide the rest.

Shapes: V words, D features, K neighbours.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mate.data.captions import words
from mate.errors import MateError
from mate.text.vocabulary import is_motion_word, stem

if TYPE_CHECKING:
    from mate.text.encoder import TextEncoder
    from mate.text.patch import WordPatch

COUNT = 10


class Neighbours:
    """The words to choose neighbours from, with their vectors in the base and in the patched table.

    Args:
        base, patched: the same language model without and with the patch.
        vocabulary: distinct lower-case words.
    """

    def __init__(self, base: "TextEncoder", patched: "TextEncoder", vocabulary: Sequence[str]) -> None:
        self._encoders = base, patched
        self.vocabulary = tuple(vocabulary)
        self._stems = np.array([stem(word) for word in vocabulary])
        self._vectors = tuple(_vectors(encoder, vocabulary) for encoder in self._encoders)

    def of(self, word: str, count: int = COUNT) -> dict[str, Any]:
        """The neighbours of a word: names, cosines, and places on a plane.

        The plane: the two main directions of the unit vectors of everything shown, before and after together.

        Returns:
            `word`, `moved` (cosine of its own vector before and after), `before` and `after` (the nearest words with their
            cosines, nearest first), `points` (word, cosine and [x, y] before and after; the word itself comes first).

        Raises:
            MateError: not one word.
        """
        found = words(word)
        if len(found) != 1:
            raise MateError(f"got {word[:60]!r}, expected one word, such as 'left'")
        word = found[0].text
        own = [_vectors(encoder, [word])[0] for encoder in self._encoders]
        others = np.flatnonzero((self._stems != stem(word)) & (np.array(self.vocabulary) != word))
        cosines = [vectors[others] @ vector for vectors, vector in zip(self._vectors, own, strict=True)]
        nearest = [np.argsort(-values, kind="stable")[:count] for values in cosines]
        shown = list(dict.fromkeys(int(n) for pair in zip(*nearest, strict=True) for n in pair))
        places = _plane(
            [np.vstack([vector, vectors[others[shown]]]) for vector, vectors in zip(own, self._vectors, strict=True)]
        )
        names = [word, *(self.vocabulary[others[n]] for n in shown)]
        near = [np.concatenate([[1.0], values[shown]]) for values in cosines]
        return {
            "word": word,
            "moved": round(float(own[0] @ own[1]), 4),
            **{
                when: [
                    {"word": self.vocabulary[others[n]], "cosine": round(float(values[n]), 4)} for n in order
                ]
                for when, values, order in zip(("before", "after"), cosines, nearest, strict=True)
            },
            "points": [
                {
                    "word": name,
                    "before": [round(float(x), 4) for x in places[0][i]],
                    "after": [round(float(x), 4) for x in places[1][i]],
                    "cosine_before": round(float(near[0][i]), 4),
                    "cosine_after": round(float(near[1][i]), 4),
                }
                for i, name in enumerate(names)
            ],
        }  # fmt: skip


def motion_words(patch: "WordPatch", encoder: "TextEncoder") -> list[str]:
    """The whole words among the rows of a patch that may say something about movement, in alphabetical order."""
    pieces = (str(encoder.tokenizer.id_to_token(int(number)) or "") for number in patch.token_ids)
    return sorted(
        {piece for piece in (*pieces, *patch.words) if len(piece) > 2 and piece.isalpha() and is_motion_word(piece)}
    )


def _vectors(encoder: "TextEncoder", names: Sequence[str]) -> np.ndarray:
    """(V, D) float32 unit vectors: means over the words' pieces."""
    tokens = encoder.tokenize(list(names))
    table = encoder.table.detach()
    inside = ((tokens.offsets[..., 1] > tokens.offsets[..., 0]) & tokens.mask).to(table.device)
    rows = table[tokens.ids.to(table.device)].float() * inside.unsqueeze(-1)
    means = (rows.sum(1) / inside.sum(1, keepdim=True).clamp(min=1)).cpu().numpy()
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)


def _plane(groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Groups of (N, D) -> the same in the two main directions of all of them together, (N, 2) each; signs are fixed."""
    together = np.concatenate(groups)
    centred = together - together.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    flat = np.zeros((len(together), 2))
    flat[:, : len(directions)] = centred @ directions.T
    return np.split(flat, len(groups))
