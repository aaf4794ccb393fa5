"""Every setting of the MDM-type generator, one frozen dataclass a component, and the named presets."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mate.errors import MateError
from mate.generate.momask.config import LengthConfig, TextConfig
from mate.training import TrainConfig

BLOCKS = ("root", "positions", "rotations", "velocities", "contacts")
ARCHITECTURES = ("encoder", "decoder", "decoder+token")
SAMPLERS = ("ddpm", "ddim", "dpm++")


@dataclass(frozen=True)
class DenoiserConfig:
    """The transformer that predicts the clean motion.

    Attributes:
        architecture: "encoder": text and time make one token in front of the frames; "decoder": the frames look at the text by
            cross-attention; "decoder+token": that, and a token of the time in front. MDM's `trans_enc`, `trans_dec` and
            `trans_dec` with `emb_trans_dec`.
        words: the text is every token's vector (MDM with DistilBERT), not one pooled vector (with CLIP).
        adaptive: ours: normalisation before each branch, scaled and shifted by text and time in every block (Peebles and Xie's DiT).
            Learns in minutes what the released form, normalisation after each branch, learns in hours.
        frames: frames a token; the windows of neighbouring tokens overlap by half where it is more than 1 (ours; MDM: 1).
        width: of the residual stream.
        layers: blocks.
        heads: attention heads.
        ff: width of the feed-forward layers.
        dropout: in training.
        text: hidden layer, noise and dropped texts of the condition. "No text" is the zero vector.
    """

    architecture: str = "encoder"
    words: bool = False
    adaptive: bool = False
    frames: int = 1
    width: int = 512
    layers: int = 8
    heads: int = 4
    ff: int = 1024
    dropout: float = 0.1
    text: TextConfig = field(default_factory=TextConfig)


@dataclass(frozen=True)
class DiffusionConfig:
    """The noise of training.

    Attributes:
        steps: noise levels; the cosine schedule.
        shift: ours: the signal-to-noise ratio is divided by its square. Neighbouring frames are alike, so that a motion is seen through
            more noise than a picture; with 1, the released form, few of the levels hide it.
        velocities: weight of the loss on differences between neighbouring frames; less jitter.
    """

    steps: int = 1000
    shift: float = 1.0
    velocities: float = 0.0


@dataclass(frozen=True)
class SamplingConfig:
    """How noise becomes a motion.

    Attributes:
        sampler: "ddpm" (as MDM was released), "ddim", or "dpm++" (DPM-Solver++, second order).
        steps: evaluations of the denoiser; at most `DiffusionConfig.steps`.
        guidance: clean = none + guidance * (text - none); 1 is none.
        length_temperature: of the length predictor's distribution.
    """

    sampler: str = "ddim"
    steps: int = 50
    guidance: float = 2.5
    length_temperature: float = 1.0


@dataclass(frozen=True)
class MDMConfig:
    """A whole generator and its training.

    Attributes:
        features: the groups of HumanML3D's numbers that are denoised. Joints follow from root and positions alone.
        feat_bias: weight of root and contacts: their std is divided by it (MDM: 1).
        min_seconds, max_seconds: lengths that it can make.
        batch_frames: frames a batch of the denoiser; clips of like lengths share a batch.
        batch_texts: texts a batch of the length predictor.
        train_denoiser, train_length: the stages' training.
    """

    features: tuple[str, ...] = BLOCKS
    feat_bias: float = 1.0
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    min_seconds: float = 0.5
    max_seconds: float = 9.8
    batch_frames: int = 64 * 196
    batch_texts: int = 512
    train_denoiser: TrainConfig = field(default_factory=TrainConfig)
    train_length: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Raises MateError for a setting that is no choice, or for choices that exclude each other."""
        _choice("architecture", self.denoiser.architecture, ARCHITECTURES)
        _choice("sampler", self.sampling.sampler, SAMPLERS)
        for name in self.features:
            _choice("features", name, BLOCKS)
        if not {"root", "positions"} <= set(self.features):
            raise MateError(
                f"got the features {', '.join(self.features)}; root and positions make the motion, name both"
            )
        if self.denoiser.adaptive and self.denoiser.architecture != "encoder":
            raise MateError(f"got adaptive with the architecture {self.denoiser.architecture!r}, expected 'encoder'")
        if self.denoiser.frames != 1 and self.denoiser.frames % 2:
            raise MateError(f"got {self.denoiser.frames} frames a token, expected 1 or an even number")
        if not 1 <= self.sampling.steps <= self.diffusion.steps:
            raise MateError(
                f"got {self.sampling.steps} sampling steps, expected 1 to {self.diffusion.steps}, the noise levels of training"
            )


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise MateError(f"got {name} {value!r}, expected one of {', '.join(known)}")


_PAPER_TRAINING = TrainConfig(
    steps=600_000, lr=1e-4, final_lr=1.0, warmup=1, betas=(0.9, 0.999), clip=0.0, ema=0.9999, device="cuda"
)

_LAPTOP = MDMConfig(
    features=("root", "positions", "contacts"),
    feat_bias=3.0,
    denoiser=DenoiserConfig(
        adaptive=True, frames=4, width=192, layers=6, heads=4, ff=512, dropout=0.05,
        text=TextConfig(hidden=256, dropout=0.1, noise=0.15),
    ),
    diffusion=DiffusionConfig(velocities=0.5, shift=2.0),
    sampling=SamplingConfig(sampler="ddim", steps=20),
    length=LengthConfig(hidden=128, dropout=0.1, noise=0.15),
    max_seconds=10.0,
    batch_frames=40 * 100,
    train_denoiser=TrainConfig(steps=16_000, lr=1e-3, warmup=200, weight_decay=0.01, ema=0.998, bf16=True),
    train_length=TrainConfig(steps=1_500, lr=1e-3, warmup=50, weight_decay=0.01, ema=0.99),
)  # fmt: skip

_MDM = MDMConfig(train_denoiser=_PAPER_TRAINING, train_length=TrainConfig(steps=20_000, lr=1e-4, device="cuda"))

PRESETS: dict[str, MDMConfig] = {
    # Trains within the hour on two CPU cores.
    "laptop": _LAPTOP,
    # A row of the table of generators (`mate train table`): about a quarter of an hour on one core.
    "table": replace(
        _LAPTOP,
        denoiser=replace(_LAPTOP.denoiser, layers=4),
        diffusion=replace(_LAPTOP.diffusion, shift=4.0),
        batch_frames=24 * 100,
        train_denoiser=replace(_LAPTOP.train_denoiser, steps=7_000, ema=0.995),
        train_length=replace(_LAPTOP.train_length, steps=500),
    ),
    # The released MDM for HumanML3D, 17.9 million parameters with CLIP. For a GPU.
    "mdm": _MDM,
    # And for KIT-ML: the same network, training and guidance (github.com/GuyTevet/motion-diffusion-model at d4fd88c, README.md and
    # utils/parser_util.py); 196 frames, here at 12.5 a second (sample/generate.py).
    "mdm-kit": replace(_MDM, max_seconds=15.68),
    # The same with 50 noise levels, which are all walked: the authors' faster version.
    "mdm-50": MDMConfig(
        diffusion=DiffusionConfig(steps=50),
        sampling=SamplingConfig(sampler="ddpm"),
        train_denoiser=_PAPER_TRAINING,
        train_length=TrainConfig(steps=20_000, lr=1e-4, device="cuda"),
    ),
    # And with cross-attention to the words of a BERT-type encoder (`--encoder distilbert-base-uncased`).
    "mdm-bert": MDMConfig(
        denoiser=DenoiserConfig(architecture="decoder", words=True),
        diffusion=DiffusionConfig(steps=50),
        sampling=SamplingConfig(sampler="ddpm"),
        train_denoiser=_PAPER_TRAINING,
        train_length=TrainConfig(steps=20_000, lr=1e-4, device="cuda"),
    ),
    # Seconds to train: for tests and for trying a pipeline.
    "tiny": MDMConfig(
        features=("root", "positions", "contacts"),
        denoiser=DenoiserConfig(adaptive=True, frames=4, width=32, layers=2, heads=2, ff=64, dropout=0.0),
        sampling=SamplingConfig(steps=4),
        length=LengthConfig(hidden=32, dropout=0.0),
        max_seconds=10.0,
        batch_frames=8 * 64,
        batch_texts=32,
        train_denoiser=TrainConfig(steps=60, lr=1e-3, warmup=5, ema=0.9),
        train_length=TrainConfig(steps=60, lr=1e-3, warmup=5),
    ),
}  # fmt: skip


def preset(name: str) -> MDMConfig:
    """A named preset. Raises MateError for an unknown name."""
    if name not in PRESETS:
        raise MateError(f"got the preset {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def to_dict(config: MDMConfig) -> dict[str, Any]:
    """The configuration as JSON-able dictionaries; `mate.generate.momask.config.from_dict` is the inverse."""
    return asdict(config)


def with_training(config: MDMConfig, **changes: Any) -> MDMConfig:
    """The configuration with the same change of `TrainConfig` fields in both stages."""
    return replace(
        config,
        train_denoiser=replace(config.train_denoiser, **changes),
        train_length=replace(config.train_length, **changes),
    )
