"""Every setting of the MoMask-type generator, one frozen dataclass a component, and the named presets.

"The release" is the authors' implementation of MoMask (github.com/EricGuo5513/momask-codes at 94a6636), the file in brackets. Where it does
otherwise than our own models, a setting says so; the preset `momask` has all of them as in the release.
"""

from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from mate.errors import MateError
from mate.training import TrainConfig


@dataclass(frozen=True)
class QuantizerConfig:
    """Residual vector quantisation with MoMask's codebook rule.

    Attributes:
        codes: entries of a codebook.
        dim: their dimension.
        layers: quantisers in the stack (MoMask: 1 base + 5 residual).
        shared: one codebook for all layers.
        decay: of the codebooks' running sums and counts.
        dropout: probability that a training step uses only a random number of the first layers.
        temperature: Gumbel noise on the choice of codes in training; 0: the nearest code. The release: 0.5 [models/vq/model.py].
        gradient_per_layer: the straight-through gradient reaches the encoder once for every layer, as in the release
            [models/vq/residual_vq.py], where each layer has its own bridge; False: once.
    """

    codes: int = 512
    dim: int = 512
    layers: int = 6
    shared: bool = False
    decay: float = 0.99
    dropout: float = 0.2
    temperature: float = 0.0
    gradient_per_layer: bool = False


@dataclass(frozen=True)
class VQConfig:
    """The motion tokeniser.

    Attributes:
        width: channels of the convolutions.
        depth: residual blocks a resolution.
        halvings: halvings of the time resolution; 2 gives one token for 4 frames.
        dilation: a block's dilation is this to the power of its place; the encoder's fall.
        falling: the decoder's dilations fall too, as in the release [models/vq/encdec.py]; False: they rise.
        dropout: at the end of each residual block, in training. The release: 0.2 [models/vq/resnet.py].
        window: frames of a training window.
        commitment: weight of the commitment loss.
        positions: weight of the extra loss on the local joint positions (MoMask's "explicit" loss).
        velocities: weight of the loss on joint velocities that follow from positions and root together; less jitter and sliding.
        velocity_unit: metres a frame that count as 1 in that loss.
        foot_weight: how many times the four foot joints count in that loss.
        feat_bias: MoMask's weight of the root and contact features in the reconstruction: their normaliser std is divided by it.
            The dataset's std is copied, never changed.
    """

    width: int = 512
    depth: int = 3
    halvings: int = 2
    dilation: int = 3
    falling: bool = False
    dropout: float = 0.0
    window: int = 64
    commitment: float = 0.02
    positions: float = 0.5
    velocities: float = 0.0
    velocity_unit: float = 0.01
    foot_weight: float = 1.0
    feat_bias: float = 5.0

    @property
    def stride(self) -> int:
        """Frames a token."""
        return 2**self.halvings


@dataclass(frozen=True)
class TextConfig:
    """How the pooled text vector becomes the condition.

    Attributes:
        hidden: width of a hidden layer before the condition token; 0: one linear layer, as in MoMask.
        dropout: on that hidden layer, in training.
        noise: Gaussian noise on the pooled vector in training, its expected length as a fraction of the vectors' spread; makes
            unseen wordings that lie near seen ones safe.
        drop: probability that a training sample loses its text, for classifier-free guidance.
        normalize: pooled vectors are centred and scaled first; False: taken as they are, as in the release.
        learned_null: a learned token stands for "no text"; False: a zero vector goes through the projection, as in the release
            [models/mask_transformer/transformer.py, mask_cond].
    """

    hidden: int = 0
    dropout: float = 0.0
    noise: float = 0.0
    drop: float = 0.1
    normalize: bool = True
    learned_null: bool = True


@dataclass(frozen=True)
class TransformerConfig:
    """A bidirectional transformer over motion tokens.

    Attributes:
        width: of the residual stream.
        layers: blocks.
        heads: attention heads.
        ff: width of the feed-forward layers.
        dropout: in training.
        code_dim: dimension of the token embedding before it is widened.
        share: (residual transformer) the output layer of a quantiser is also the embedding of its codes, MoMask's "share weight".
        text: see `TextConfig`.
        post_norm: normalise after every residual sum, none at the end (the release: nn.TransformerEncoderLayer); False: before.
        prefix_positions: the condition tokens take part in the position count; False: only motion tokens do (the release).
        inner_dropout: dropout on the attention weights and inside the feed-forward layers too (the release).
        head_eps: of the LayerNorm before the logits. The release: 1e-12.
        padding_code: (residual transformer) one more code that stands for nothing can be drawn, as in the release, whose output
            layer holds the padding token as well.
        cosine_layers: (residual transformer) training draws low layers more often [models/mask_transformer/tools.py, q_schedule];
            False: all alike.
    """

    width: int = 384
    layers: int = 8
    heads: int = 6
    ff: int = 1024
    dropout: float = 0.2
    code_dim: int = 512
    share: bool = True
    text: TextConfig = field(default_factory=TextConfig)
    post_norm: bool = False
    prefix_positions: bool = True
    inner_dropout: bool = False
    head_eps: float = 1e-5
    padding_code: bool = False
    cosine_layers: bool = False


@dataclass(frozen=True)
class LengthConfig:
    """The length predictor: a distribution over token counts from the pooled text.

    Attributes:
        hidden: width of the two hidden layers.
        layers: widths of the hidden layers of the release's estimator [models/vq/model.py], each with LayerNorm and LeakyReLU, on the
            pooled vector as it is; (): ours, two layers of `hidden`.
        dropout: in training.
        noise: see `TextConfig.noise`.
    """

    hidden: int = 512
    layers: tuple[int, ...] = ()
    dropout: float = 0.2
    noise: float = 0.0


@dataclass(frozen=True)
class SamplingConfig:
    """How a prompt becomes tokens.

    Attributes:
        steps: of confidence-based unmasking.
        guidance: classifier-free guidance of the masked transformer; 1 is none.
        temperature: of the token choice.
        top_k: fraction of the codebook that is filtered out before the choice (MoMask: 0.9 keeps the best tenth).
        residual_guidance: guidance of the residual transformer.
        residual_temperature: of the residual layers' choice; 0 takes the likeliest code.
        residual_expected: the decoder gets the expected code of each residual layer under the predicted probabilities, not the chosen
            one (MoMask: the chosen one). Where the prediction is unsure, a chosen code is noise and the expected one is near nothing.
        length_temperature: of the length predictor's distribution.
        length_top_k: fraction of the token counts that is filtered out before the choice. The release: 0.
        to_the_end: the schedule's times are 0 ... 1 with both ends, so that the last step redoes a single token (the release);
            False: 0 ... (steps - 1) / steps.
    """

    steps: int = 10
    guidance: float = 4.0
    temperature: float = 1.0
    top_k: float = 0.9
    residual_guidance: float = 5.0
    residual_temperature: float = 1.0
    residual_expected: bool = False
    length_temperature: float = 1.0
    length_top_k: float = 0.5
    to_the_end: bool = False


@dataclass(frozen=True)
class MoMaskConfig:
    """A whole generator and the training of its stages.

    Attributes:
        min_seconds, max_seconds: lengths that it can make.
        batch_frames: frames a batch for the quantiser (batch = batch_frames / window).
        batch_tokens: tokens a batch for the transformers; clips of like lengths share a batch.
        batch_texts: texts a batch for the length predictor.
        train_vq, train_decoder, train_masked, train_residual, train_length: the stages' training.
    """

    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    vq: VQConfig = field(default_factory=VQConfig)
    masked: TransformerConfig = field(default_factory=TransformerConfig)
    residual: TransformerConfig = field(default_factory=TransformerConfig)
    length: LengthConfig = field(default_factory=LengthConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    min_seconds: float = 0.5
    max_seconds: float = 10.0
    batch_frames: int = 256 * 64
    batch_tokens: int = 64 * 49
    batch_texts: int = 512
    train_vq: TrainConfig = field(default_factory=TrainConfig)
    train_decoder: TrainConfig = field(default_factory=TrainConfig)
    train_masked: TrainConfig = field(default_factory=TrainConfig)
    train_residual: TrainConfig = field(default_factory=TrainConfig)
    train_length: TrainConfig = field(default_factory=TrainConfig)


# So much noise is what makes a base token's text carry over to wordings that training never showed.
_LAPTOP_TEXT = TextConfig(hidden=256, dropout=0.1, noise=0.8)

_LAPTOP = MoMaskConfig(
    quantizer=QuantizerConfig(dim=128, layers=5),
    vq=VQConfig(width=192, depth=2, velocities=0.5, foot_weight=3.0, feat_bias=5.0),
    masked=TransformerConfig(width=256, layers=5, heads=4, ff=640, dropout=0.1, code_dim=128, text=_LAPTOP_TEXT),
    residual=TransformerConfig(
        width=192,
        layers=2,
        heads=4,
        ff=512,
        dropout=0.1,
        code_dim=128,
        text=replace(_LAPTOP_TEXT, hidden=0, noise=0.3),
        cosine_layers=True,
    ),
    length=LengthConfig(hidden=128, dropout=0.1, noise=0.15),
    sampling=SamplingConfig(
        steps=5, guidance=3.0, residual_guidance=1.0, residual_temperature=0.0, residual_expected=True
    ),
    batch_frames=48 * 64,
    batch_tokens=40 * 50,
    train_vq=TrainConfig(steps=20_000, lr=8e-4, warmup=200, bf16=True),
    train_decoder=TrainConfig(steps=4_000, lr=3e-4, warmup=50, bf16=True),
    train_masked=TrainConfig(steps=20_000, lr=8e-4, warmup=300, weight_decay=0.01, ema=0.999, bf16=True),
    train_residual=TrainConfig(steps=10_000, lr=8e-4, warmup=300, weight_decay=0.01, ema=0.999, bf16=True),
    train_length=TrainConfig(steps=1_500, lr=1e-3, warmup=50, weight_decay=0.01, ema=0.99),
)

_RELEASED_TEXT = TextConfig(normalize=False, learned_null=False)
_RELEASED = TransformerConfig(post_norm=True, prefix_positions=False, inner_dropout=True, head_eps=1e-12)

_MOMASK = MoMaskConfig(
    quantizer=QuantizerConfig(temperature=0.5, gradient_per_layer=True),
    vq=VQConfig(falling=True, dropout=0.2),
    masked=replace(_RELEASED, text=_RELEASED_TEXT),
    residual=replace(_RELEASED, text=replace(_RELEASED_TEXT, drop=0.2), padding_code=True, cosine_layers=True),
    length=LengthConfig(layers=(512, 256, 128)),
    sampling=SamplingConfig(length_top_k=0.0, to_the_end=True),
    max_seconds=9.8,
    train_vq=TrainConfig(steps=100_000, lr=2e-4, warmup=2000, device="cuda"),
    train_decoder=TrainConfig(steps=10_000, lr=1e-4, warmup=500, device="cuda"),
    train_masked=TrainConfig(steps=180_000, lr=2e-4, warmup=2000, device="cuda"),
    train_residual=TrainConfig(steps=180_000, lr=2e-4, warmup=2000, device="cuda"),
    train_length=TrainConfig(steps=20_000, lr=1e-4, warmup=200, device="cuda"),
)

PRESETS: dict[str, MoMaskConfig] = {
    # Trains within the hour on two CPU cores; 15 MB in fp16.
    "laptop": _LAPTOP,
    # The same tokeniser with half of the masked transformer; 11 MB in fp16.
    "compact": replace(
        _LAPTOP,
        masked=TransformerConfig(width=160, layers=5, heads=4, ff=480, dropout=0.1, code_dim=128, text=_LAPTOP_TEXT),
    ),
    # A row of the table of generators (`mate train table`): a quarter of an hour on one core, beside the tokeniser its rows share.
    "table": replace(
        _LAPTOP,
        quantizer=QuantizerConfig(dim=128, layers=4),
        vq=replace(_LAPTOP.vq, width=128),
        masked=replace(_LAPTOP.masked, width=192, layers=4, ff=512),
        residual=replace(_LAPTOP.residual, width=128, ff=352),
        train_vq=replace(_LAPTOP.train_vq, steps=4_000),
        train_decoder=replace(_LAPTOP.train_decoder, steps=800),
        train_masked=replace(_LAPTOP.train_masked, steps=3_000, lr=1.2e-3, warmup=150, ema=0.995),
        train_residual=replace(_LAPTOP.train_residual, steps=800, lr=1.2e-3, warmup=100, ema=0.99),
        train_length=replace(_LAPTOP.train_length, steps=500),
    ),
    # MoMask for HumanML3D as released, in sizes and behaviour: 19.4 + 12.0 + 13.4 million parameters with CLIP. For a GPU.
    "momask": _MOMASK,
    # The release for KIT-ML: the same networks; batches of 16 motions for the transformers, 500 times through its training split, and
    # guidance 2 (README.md); 196 frames as for HumanML3D, here at 12.5 a second (utils/get_opt.py).
    "momask-kit": replace(
        _MOMASK,
        sampling=replace(_MOMASK.sampling, guidance=2.0),
        max_seconds=15.68,
        batch_tokens=16 * 49,
        train_masked=replace(_MOMASK.train_masked, steps=150_000),
        train_residual=replace(_MOMASK.train_residual, steps=150_000),
    ),
    # Seconds to train: for tests and for trying a pipeline.
    "tiny": MoMaskConfig(
        quantizer=QuantizerConfig(codes=64, dim=32, layers=3),
        vq=VQConfig(width=48, depth=1, velocities=0.5, feat_bias=5.0),
        masked=TransformerConfig(width=48, layers=2, heads=2, ff=96, dropout=0.0, code_dim=32),
        residual=TransformerConfig(width=48, layers=2, heads=2, ff=96, dropout=0.0, code_dim=32),
        length=LengthConfig(hidden=32, dropout=0.0),
        batch_frames=8 * 64,
        batch_tokens=8 * 24,
        batch_texts=32,
        train_vq=TrainConfig(steps=60, lr=1e-3, warmup=5),
        train_decoder=TrainConfig(steps=20, lr=3e-4, warmup=2),
        train_masked=TrainConfig(steps=60, lr=1e-3, warmup=5),
        train_residual=TrainConfig(steps=60, lr=1e-3, warmup=5),
        train_length=TrainConfig(steps=60, lr=1e-3, warmup=5),
    ),
}


def preset(name: str) -> MoMaskConfig:
    """A named preset. Raises MateError for an unknown name."""
    if name not in PRESETS:
        raise MateError(f"got the preset {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


T = TypeVar("T")


def to_dict(config: MoMaskConfig) -> dict[str, Any]:
    """The configuration as JSON-able dictionaries."""
    return asdict(config)


def from_dict(kind: type[T], values: dict[str, Any]) -> T:
    """The inverse of `to_dict`. Settings that the values lack (an older version wrote them) take their defaults.

    Raises:
        MateError: settings that this version does not know.
    """
    unknown = sorted(values.keys() - {f.name for f in fields(kind)})  # type: ignore[arg-type]
    if unknown:
        raise MateError(
            f"the configuration has settings that this version does not know: {', '.join(unknown)}; update mate-motion"
        )
    built = {}
    defaults = kind()
    for name, value in values.items():
        default = getattr(defaults, name)
        if is_dataclass(default):
            value = from_dict(type(default), value)
        elif isinstance(default, tuple):
            value = tuple(value)
        built[name] = value
    return kind(**built)


def with_training(config: MoMaskConfig, **changes: Any) -> MoMaskConfig:
    """The configuration with the same change of `TrainConfig` fields in all stages."""
    stages = ("train_vq", "train_decoder", "train_masked", "train_residual", "train_length")
    return replace(config, **{stage: replace(getattr(config, stage), **changes) for stage in stages})
