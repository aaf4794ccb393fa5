"""What the worker does: motions from prompts, words found in motions. Loads PyTorch when it is first asked to work.

Shapes: T frames, J = 22 joints, W words.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mate.checkpoints import MODEL_TYPES, read_config, resolve, sha256
from mate.errors import MateError
from mate.studio.jobs import Job

if TYPE_CHECKING:
    from mate.align.aligner import Aligner
    from mate.align.grounding import Grounding
    from mate.generate.timeline import Step
    from mate.studio.neighbours import Neighbours
    from mate.text.encoder import TextEncoder

Variant = Literal["patched", "plain", "file"]
LABELS: dict[Variant, str] = {"patched": "with the patch", "plain": "without the patch", "file": "from the file"}
PATCH = "patch.safetensors"
FPS = 20.0


@dataclass(frozen=True)
class ModelInfo:
    """A generator that the page offers.

    Attributes:
        name: what the page calls it. folder: where it is; never leaves the server.
        patch: whether it was made with a word patch, so that it can run without.
    """

    name: str
    folder: Path
    license: str
    min_seconds: float
    max_seconds: float
    guidance: float
    patch: bool

    def to_json(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "name": self.name,
            "license": self.license,
            "min_seconds": self.min_seconds,
            "max_seconds": self.max_seconds,
            "guidance": self.guidance,
            "patch": self.patch,
        }


@dataclass(frozen=True)
class Take:
    """One motion with what the words of its caption mean in it.

    Attributes:
        joints: (T, 22, 3) float32, metres.
        grounding: with the segmentation's hint and without; None where the caption has no words that could be found.
        note: why there is no grounding.
        facts: prompt, seed, model, license, ...: what downloads carry.
    """

    variant: Variant
    joints: np.ndarray
    fps: float
    grounding: "tuple[Grounding, Grounding] | None"
    note: str
    facts: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Everything but the joints, which travel as bytes."""
        return {
            "variant": self.variant,
            "label": LABELS[self.variant],
            "frames": len(self.joints),
            "fps": self.fps,
            "seconds": round(len(self.joints) / self.fps, 3),
            "grounding": None if self.grounding is None else grounding_json(*self.grounding),
            "note": self.note,
            "facts": self.facts,
        }


@dataclass(frozen=True)
class Result:
    """What a finished job leaves: a caption and one or two takes."""

    caption: str
    takes: tuple[Take, ...]

    @property
    def nbytes(self) -> int:
        """The memory of its arrays."""
        return sum(
            take.joints.nbytes
            + sum(3 * word.attention.nbytes for found in take.grounding or () for word in found.words)
            for take in self.takes
        )

    def to_json(self) -> dict[str, Any]:
        """As the page gets it."""
        return {"caption": self.caption, "takes": [take.to_json() for take in self.takes]}


def model_info(name: str) -> ModelInfo:
    """A model's facts from its config.json alone; needs no PyTorch.

    Raises:
        MateError: no such model, or not a generator.
    """
    folder = resolve(name)
    config = read_config(folder)
    kind = config["model_type"]
    if kind not in MODEL_TYPES or kind in ("aligner", "evaluator"):
        raise MateError(f"{name} is a model of type {kind!r}, expected a generator (`mate train generator`)")
    settings = config.get("config", {})
    return ModelInfo(
        folder.resolve().name,
        folder,
        str(config.get("license", "not stated")),
        float(settings.get("min_seconds", 0.5)),
        float(settings.get("max_seconds", 10.0)),
        float(settings.get("sampling", {}).get("guidance", 1.0)),
        (folder / PATCH).is_file(),
    )


class Engine:
    """The models, and what they are asked to do. Only the worker's thread calls `load`, `generate` and `ground`.

    Language models are never changed while they are in use: with and without a patch are two of them, so that asking for
    neighbours from another thread is safe.

    Args:
        models: what to offer: names of packaged generators, model folders or hub ids.
        threads: CPU threads; None: all.
        max_seconds: the longest motion that a prompt of several actions may choose to be.

    Attributes:
        models: name -> the generators on offer, in the order given.
        loading: what is being loaded; "" when all is ready.
        failure: why nothing can be loaded; "" while all is well.
    """

    def __init__(self, models: Sequence[str], threads: int | None = None, max_seconds: float = 60.0) -> None:
        infos = [model_info(name) for name in models]
        self.models = {info.name: info for info in infos}
        if not infos or len(self.models) < len(infos):
            raise MateError(f"got the models {', '.join(models) or 'none'}; expected one or more of different names")
        self.loading, self.failure = "starting", ""
        self._threads, self._max_seconds = threads, max_seconds
        self._generators: dict[str, Any] = {}
        self._encoders: dict[tuple[str, str], TextEncoder] = {}
        self._aligner: Aligner | None = None
        self._neighbours: Neighbours | None = None
        self._lock = threading.RLock()  # neighbours are asked for outside the worker's thread

    # ------------------------------------------------------------------ loading

    def load(self) -> None:
        """Loads what the first motion needs, and makes a short one: PyTorch's first steps are slow."""
        self.loading = "PyTorch"
        import torch

        if self._threads:
            torch.set_num_threads(self._threads)
        self.loading = "the model that finds words in motions"
        self.aligner  # noqa: B018
        first = next(iter(self.models.values()))
        self.loading = f"the model {first.name}"
        generator = self._generator(first, first.patch)
        self.loading = "warming up"
        generator.sample(["a person walks"], [first.min_seconds], 0)
        self.loading = ""

    @property
    def aligner(self) -> "Aligner":
        """The packaged retrieval model."""
        if self._aligner is None:
            from mate.align.aligner import Aligner
            from mate.align.score import default_model as retrieval

            folder = retrieval()
            self._aligner = Aligner.from_pretrained(folder)
            patch = folder / PATCH
            key = (self._aligner.config.encoder, sha256(patch) if patch.is_file() else "")
            self._encoders[key] = self._aligner.text_encoder  # the default generator reads with the same one
        return self._aligner

    @property
    def neighbours(self) -> "Neighbours":
        """The word table before and after the retrieval model's patch. Raises MateError before it is loaded."""
        with self._lock:
            if self._neighbours is None:
                if self._aligner is None:
                    raise MateError("the models are still being loaded; try again in a few seconds")
                from mate.align.score import default_model as retrieval
                from mate.studio.neighbours import Neighbours, motion_words
                from mate.text.patch import WordPatch

                patched = self._aligner.text_encoder
                base = self._encoder(self._aligner.config.encoder, None)
                words = motion_words(WordPatch.load(retrieval() / PATCH), patched)
                self._neighbours = Neighbours(base, patched, words)
            return self._neighbours

    def _encoder(self, name: str, patch: Path | None) -> "TextEncoder":
        """Language models are shared: one for each name and patch, whoever reads with it."""
        from mate.text.encoder import TextEncoder

        key = (name, sha256(patch) if patch is not None else "")
        with self._lock:
            if key not in self._encoders:
                self._encoders[key] = TextEncoder.from_pretrained(name, patch=patch)
            return self._encoders[key]

    def _generator(self, info: ModelInfo, patched: bool) -> Any:
        """The generator, reading with or without its patch."""
        if info.name not in self._generators:
            from mate.checkpoints import from_pretrained

            made: Any = from_pretrained(info.folder)
            made.only_humanml3d("the studio")
            self._generators[info.name] = made
        generator = self._generators[info.name]
        language = str(read_config(info.folder)["text_encoder"])
        generator.encoder = self._encoder(language, info.folder / PATCH if patched and info.patch else None)
        return generator

    # ------------------------------------------------------------------ work

    def generate(
        self,
        job: Job,
        model: str,
        prompt: str,
        seconds: float | None,
        seed: int,
        guidance: float | None,
        variants: Sequence[Variant],
        whole: bool = False,
    ) -> Result:
        """One motion for each variant, with the same seed and of the same lengths, and where the prompt's words are in it.

        A prompt of several sub-texts is made one after the other, as `mate generate` does, unless `whole`.

        Raises:
            MateError: a prompt or a length that the model cannot take. Cancelled: the job was cancelled.
        """
        info = self.models[model]
        steps: list[Step] = []
        takes: list[Take] = []
        for number, variant in enumerate(variants):
            start, share = number / len(variants), 1 / len(variants)
            phase = "generating" if len(variants) == 1 else f"generating {LABELS[variant]}"
            job.report(start, f"loading {model}" if model not in self._generators else phase)
            generator = self._generator(info, variant == "patched")

            def step(done: int, total: int, start: float = start, share: float = share, phase: str = phase) -> None:
                job.report(start + 0.8 * share * done / total, phase)

            # What the first of a pair chooses holds for the second: the same cuts at the same times, so that they can be compared.
            if not takes and not whole:
                steps = self._steps(generator, prompt, seconds, seed)
            if steps:
                joints = generator.timeline(steps, seed, guidance, step=step)
            else:
                lengths = None if seconds is None else [seconds]
                [joints] = generator.sample([prompt], lengths, seed, guidance, step=step)
                seconds = len(joints) / generator.fps
            facts = {
                "prompt": prompt,
                "seed": str(seed),
                "model": info.name,
                "license": info.license,
                "guidance": f"{info.guidance if guidance is None else guidance:g}",
                "patch": LABELS[variant] if info.patch else "this model has none",
                "generator": "mate",
            }
            if steps:
                facts["sub_texts"] = " | ".join(one.text for one in steps)
            job.report(start + 0.8 * share, "finding the words")
            takes.append(self._take(job, variant, joints, float(generator.fps), prompt, facts))
        return Result(prompt, tuple(takes))

    def _steps(self, generator: Any, prompt: str, seconds: float | None, seed: int) -> "list[Step]":
        """The timeline of a prompt; empty where it is made as one: one sub-text, or a generator that makes whole motions only."""
        from mate.generate.sub_texts import BySubTexts

        if not hasattr(generator, "timeline"):
            return []
        steps = BySubTexts(generator).steps(prompt, seconds, seed)
        length = sum(step.seconds for step in steps)
        if length > self._max_seconds:
            raise MateError(
                f"the {len(steps)} actions of the prompt would take {length:.0f} s, at most {self._max_seconds:g} s are possible; "
                "leave some out, or give a length"
            )
        return steps

    def ground(self, job: Job, takes: Sequence[Take], caption: str) -> Result:
        """Motions that exist already under a caption; what was found in them before does not matter.

        Raises:
            MateError: a caption without words, a motion that is too short. Cancelled: the job was cancelled.
        """
        done = []
        for number, old in enumerate(takes):
            job.report(number / len(takes), "finding the words")
            take = self._take(job, old.variant, old.joints, old.fps, caption, old.facts)
            if take.grounding is None:
                raise MateError(take.note)
            done.append(take)
        return Result(caption, tuple(done))

    def _take(
        self, job: Job, variant: Variant, joints: np.ndarray, fps: float, caption: str, facts: dict[str, str]
    ) -> Take:
        from mate.align.grounding import ground
        from mate.motion.features import process_motion
        from mate.motion.retarget import resample

        aligner = self.aligner
        try:
            rate = aligner.config.fps
            seen = joints if abs(fps - rate) < 1e-6 else resample(joints, fps, rate)
            if len(seen) < 2:
                raise MateError(f"the motion has {len(seen)} frame(s), expected at least 2")
            features = process_motion(seen, precise=True)
            guided = ground(aligner, features, caption)
            job.report(job.progress)
            alone = ground(aligner, features, caption, omega=0.0, joints="none")
        except MateError as error:
            return Take(variant, joints, fps, None, str(error), facts)
        return Take(variant, joints, fps, (guided, alone), "", facts)


def grounding_json(guided: "Grounding", alone: "Grounding") -> dict[str, Any]:
    """A grounding as the page reads it.

    Args:
        guided: with the hint from the segmentation, as the model was trained. alone: the same with omega = 0.

    Returns:
        `segments` (sub-texts, start and end in seconds) and for every word its characters, `attention` and `alone` (T,),
        `prior` (T,) in [0, 1], the hint that is in `attention` and not in `alone`, and `joints` (22,) shares by occlusion.
    """
    return {
        "frames": guided.frames,
        "fps": guided.fps,
        "omega": guided.omega,
        "segments": [
            {"text": " / ".join(part.texts), "start": round(part.start, 3), "end": round(part.end, 3)}
            for part in guided.segments
        ],
        "words": [
            {
                "text": word.text,
                "characters": [word.start, word.end],
                "motion_word": word.motion_word,
                "segment": word.segment,
                "agreement": round(word.agreement, 4),
                "attention": _rounded(word.attention),
                "alone": _rounded(other.attention),
                "prior": _rounded(word.prior),
                "joints": _rounded(word.joints),
            }
            for word, other in zip(guided.words, alone.words, strict=True)
        ],
    }


def _rounded(values: np.ndarray | None) -> list[float]:
    return [] if values is None else [round(float(value), 5) for value in values]


def body_points(take: Take) -> bytes:
    """The points of the drawn body, (T, P, 3) little-endian float32; the first 22 of each frame are the joints."""
    from mate.formats.figure import body_figure
    from mate.motion.motion import Motion

    points, _ = body_figure(Motion(take.joints, take.fps))
    return np.ascontiguousarray(points, dtype="<f4").tobytes()


def figure_json() -> dict[str, Any]:
    """The drawn body: joint names, parents and capsules, the same as in GLB and MP4 files."""
    from mate.formats.figure import body_figure
    from mate.motion.motion import Motion
    from mate.motion.skeleton import HUMANML3D

    rest = np.zeros((1, HUMANML3D.joints, 3), dtype=np.float32)
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            rest[0, joint] = rest[0, parent] + HUMANML3D.rest_offsets[joint]
    points, capsules = body_figure(Motion(rest, FPS))
    return {
        "points": points.shape[1],
        "joints": list(HUMANML3D.joint_names),
        "parents": list(HUMANML3D.parents),
        "capsules": [
            {
                "a": capsule.a,
                "b": capsule.b,
                "radius_a": capsule.radius_a,
                "radius_b": capsule.radius_b,
                "color": list(capsule.color),
                "joint_a": capsule.bone_a,
                "joint_b": capsule.bone_b,
                "length": round(float(np.linalg.norm(points[0, capsule.b] - points[0, capsule.a])), 4),
            }
            for capsule in capsules
        ],
    }
