"""The batches of both training stages: clips, captions, and words with the segments that they are about."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mate.align.config import WORD_LOSSES, AlignConfig
from mate.align.corpus import Corpus, batches
from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.vocabulary import MotionVocabulary
from mate.training import mix_seed

CACHE_BYTES = 1 << 30  # motion features that a training stage keeps in memory


@dataclass(frozen=True)
class Batch:
    """B clips with one caption each, and n words drawn from the captions.

    Attributes:
        features: (B, T, 263) raw, zero-padded. mask: (B, T). tokens: of the captions, or caption numbers where text is frozen.
        together: (B, B) bool, text i fits motion j.
        words: (n,) numbers in the vocabulary. motion: (n,) the clip of each.
        start, end: (n,) segment of the word's sub-text in latent units.
        sentences: whether L_sent and L_rec are computed.
        hinted: (n,) bool, whether the prior helps the word to find its frames.
        absent: (B, n) bool, the meaning of word j is not in motion b. same: (n, n) bool, words of one stem.
        negative: (n, K) bool, the vocabulary's words that are not in the stretch of the motion that word i is about.
    """

    features: Tensor
    mask: Tensor
    ids: Tensor
    text_mask: Tensor
    captions: Tensor
    together: Tensor
    words: Tensor
    motion: Tensor
    start: Tensor
    end: Tensor
    sentences: bool
    hinted: Tensor
    absent: Tensor
    same: Tensor
    negative: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        tensors = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **tensors)


class Sampler:
    """Batch number -> batch: a pure function of (seed, number), so that a resumed run sees what an uninterrupted one sees."""

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: MotionVocabulary,
        encoder: TextEncoder,
        config: AlignConfig,
        stage: str,
        segments: dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]] | None = None,
    ) -> None:
        self.corpus, self.vocabulary, self.config = corpus, vocabulary, config
        self.sentence_every = config.sentence_every if WORD_LOSSES & set(config.losses) else 1
        self.batch_size = config.retrieval_batch_size if stage == "retrieval" else config.batch_size
        self.segments = segments or {}
        self.seed = mix_seed(config.seed, stage) % 2**32
        self.longest = round(config.max_seconds * config.model.fps)
        self.lengths = [min(item.frames, self.longest) for item in corpus.items]
        self.tokens = encoder.tokenize(corpus.captions, truncate=True)
        self.pad_id = encoder.pad_id
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHE_BYTES
        self.stem_ids = vocabulary.stem_ids
        stems = dict(zip(vocabulary.stems, vocabulary.stem_ids.tolist(), strict=True))
        count = int(self.stem_ids.max()) + 1
        self.present = np.zeros((len(corpus), count), dtype=bool)  # [item, stem]
        for row, found in zip(self.present, corpus.present_stems, strict=True):
            row[[stems[name] for name in found if name in stems]] = True
        self.found = [vocabulary.find(caption) for caption in corpus.captions]
        # Rare words are drawn more often than they are written, frequent ones less: weight 1 / sqrt(count).
        self.weights = 1.0 / np.sqrt(np.array(vocabulary.counts, dtype=np.float64))

    def __call__(self, number: int) -> Batch:
        corpus, generator = self.corpus, np.random.default_rng([self.seed, number])
        chosen = self._items(number)
        captions, features = [], []
        for index in chosen:
            item = corpus.items[index]
            caption = item.captions[int(generator.integers(len(item.captions)))]
            captions.append(caption)
            motion = self._features(index)
            if len(motion) > self.longest and caption not in corpus.sub_texts:
                first = int(generator.integers(len(motion) - self.longest + 1))
                motion = motion[first : first + self.longest]
            features.append(motion)
        lengths = torch.tensor([len(motion) for motion in features])
        padded = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
        for row, motion in zip(padded, features, strict=True):
            row[: len(motion)] = torch.from_numpy(motion)
        mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
        numbers = torch.tensor([corpus.caption_number[caption] for caption in captions])
        text_mask = self.tokens.mask[numbers.to(self.tokens.mask.device)].cpu()
        width = int(text_mask.sum(1).max())
        ids = self.tokens.ids[numbers.to(self.tokens.ids.device)].cpu()
        words, motion_of, start, end, elsewhere = self._words(
            chosen, captions, numbers.tolist(), lengths.tolist(), generator
        )
        present = self.present[np.asarray(chosen)]
        stems = self.stem_ids[words]
        foreign = torch.from_numpy(~present[motion_of.numpy()] | elsewhere)  # (n, stems)
        return Batch(
            features=padded,
            mask=mask,
            ids=ids[:, :width],
            text_mask=text_mask[:, :width],
            captions=numbers,
            together=corpus.together(chosen, captions),
            words=words,
            motion=motion_of,
            start=start,
            end=end,
            sentences=number % self.sentence_every == 0,
            hinted=torch.from_numpy(generator.random(len(words)) >= self.config.hint_dropout),
            absent=~torch.from_numpy(present)[:, stems],
            same=stems[:, None] == stems[None],
            negative=foreign[:, self.stem_ids],
        )

    def _features(self, index: int) -> np.ndarray:
        """Raw features (T, 263); kept in memory as long as there is room."""
        if index not in self._cache:
            motion = np.array(self.corpus.features(index))
            if self._room < motion.nbytes:
                return motion
            self._room -= motion.nbytes
            self._cache[index] = motion
        return self._cache[index]

    def _items(self, number: int) -> list[int]:
        size = min(self.batch_size, len(self.corpus))
        per_epoch = -(-len(self.corpus) // size)
        epoch = number // per_epoch
        if self._epoch[0] != epoch:
            self._epoch = (epoch, batches(self.lengths, size, self.seed, epoch))
        return self._epoch[1][number % per_epoch].tolist()

    def _words(
        self,
        chosen: list[int],
        captions: list[str],
        numbers: list[int],
        lengths: list[int],
        generator: np.random.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, np.ndarray]:
        """Draws words from the captions; each with the segment of the sub-text that contains it, and the stems of other segments alone."""
        rows: list[tuple[int, int, float, float]] = []
        elsewhere: list[np.ndarray] = []
        for place, (index, caption, number, length) in enumerate(zip(chosen, captions, numbers, lengths, strict=True)):
            found = self.found[number]
            if not found:
                continue
            weights = self.weights[[word for _, word in found]]
            drawn = generator.choice(
                len(found), min(self.config.words_per_motion, len(found)), replace=False, p=weights / weights.sum()
            )
            units = max(1, length // self.config.model.stride)
            bounds = [self._bounds(index, caption, spoken.start, units) for spoken, _ in found]
            stems = self.stem_ids[[word for _, word in found]].numpy()
            for which in sorted(drawn.tolist()):
                rows.append((found[which][1], place, *bounds[which]))
                start, end = bounds[which]
                own = np.array([first < end and last > start for first, last in bounds])
                others = np.zeros(self.present.shape[1], dtype=bool)
                others[stems[~own]] = True
                others[stems[own]] = False
                elsewhere.append(others)
        if (
            not rows
        ):  # a batch without a single motion word: one dummy that no loss can use would be worse than an error
            raise MateError("a whole batch of captions holds no motion word; check the captions of the data set")
        columns = list(zip(*rows, strict=True))
        return (
            torch.tensor(columns[0]),
            torch.tensor(columns[1]),
            torch.tensor(columns[2]),
            torch.tensor(columns[3]),
            np.stack(elsewhere),
        )

    def _bounds(self, index: int, caption: str, offset: int, units: int) -> tuple[float, float]:
        """The segment, in latent units, of the sub-text that contains the character `offset`: the whole clip where there is but one."""
        known = self.segments.get((index, caption))
        if known is None:
            return 0.0, float(units)
        boundaries, groups = known
        parts = self.corpus.parts[caption]
        own = next((part.order for part in parts if part.start <= offset < part.end), None)
        place = next((n for n, group in enumerate(groups) if own in group), None)
        return (0.0, float(units)) if place is None else (float(boundaries[place]), float(boundaries[place + 1]))
