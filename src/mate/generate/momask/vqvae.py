"""The motion tokeniser: convolutional encoder and decoder around the residual quantiser.

Shapes: B batch, T frames, N = T // stride tokens, C features of a frame, W channels, D code dimension.
The network is MoMask's (there from T2M-GPT): strided convolutions down, dilated residual blocks, nearest-neighbour
upsampling. Ours: padding is masked at every convolution, so that a clip's output does not depend on what it is batched
with, and a loss on joint velocities.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.momask.config import QuantizerConfig, VQConfig
from mate.generate.momask.quantizer import ResidualQuantizer
from mate.motion.features import features_to_joints
from mate.motion.layout import HUMANML3D_FEATURES, FeatureSpec

PATH_UNIT = 0.1  # metres in the world that count as 1 when the decoder is refined
ROOT, CONTACTS = slice(0, 4), slice(-4, None)  # in the features of every skeleton


class Normalizer(nn.Module):
    """(x - mean) / std with both as buffers; `feat_bias` divides a *copy* of the std for root and contact features."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @torch.no_grad()
    def set(self, mean: Tensor, std: Tensor, feat_bias: float = 1.0) -> None:
        """Takes the statistics of raw features, (C,) each. Features that never vary get the std 1."""
        std = torch.where(std > 1e-5, std, torch.ones_like(std)).clone()
        std[ROOT] /= feat_bias
        std[CONTACTS] /= feat_bias
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, x: Tensor) -> Tensor:
        """Raw -> normalised."""
        return (x - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        """Normalised -> raw."""
        return x * self.std + self.mean


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, dilation: int, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x + F.dropout(self.point(F.relu(self.wide(_cut(F.relu(x), mask)))), self.dropout, self.training)


def _cut(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zeroes (B, W, T) outside of the mask (B, 1, T): padding then looks like the zeros beyond the clip's end."""
    return x if mask is None else x * mask


class Encoder(nn.Module):
    """Normalised features (B, C, T) -> latents (B, D, N)."""

    def __init__(self, features: int, dim: int, config: VQConfig):
        super().__init__()
        width = config.width
        dilations = [config.dilation**i for i in reversed(range(config.depth))]
        self.enter = nn.Conv1d(features, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(config.halvings))
        self.blocks = nn.ModuleList(
            nn.ModuleList(_ResidualBlock(width, dilation, config.dropout) for dilation in dilations)
            for _ in range(config.halvings)
        )
        self.leave = nn.Conv1d(width, dim, 3, padding=1)

    def forward(self, x: Tensor, masks: list[Tensor] | list[None]) -> Tensor:
        """`masks`: (B, 1, T / 2**level) for every level from the finest."""
        x = F.relu(self.enter(_cut(x, masks[0])))
        for level, (down, blocks) in enumerate(zip(self.down, self.blocks, strict=True)):
            x = down(_cut(x, masks[level]))
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x, masks[level + 1])
        return self.leave(_cut(x, masks[-1]))


class Decoder(nn.Module):
    """Latents (B, D, N) -> normalised features (B, C, T)."""

    def __init__(self, features: int, dim: int, config: VQConfig):
        super().__init__()
        width = config.width
        dilations = sorted((config.dilation**i for i in range(config.depth)), reverse=config.falling)
        self.enter = nn.Conv1d(dim, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(_ResidualBlock(width, dilation, config.dropout) for dilation in dilations)
            for _ in range(config.halvings)
        )
        self.up = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(config.halvings))
        self.last = nn.Conv1d(width, width, 3, padding=1)
        self.leave = nn.Conv1d(width, features, 3, padding=1)

    def forward(self, z: Tensor, masks: list[Tensor] | list[None]) -> Tensor:
        """`masks`: as in the encoder."""
        x = F.relu(self.enter(_cut(z, masks[-1])))
        for level, (blocks, up) in enumerate(zip(self.blocks, self.up, strict=True)):
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x, masks[len(masks) - 1 - level])
            x = up(_cut(x.repeat_interleave(2, dim=-1), masks[len(masks) - 2 - level]))
        return self.leave(_cut(F.relu(self.last(_cut(x, masks[0]))), masks[0]))


def joint_velocities(features: Tensor, spec: FeatureSpec = HUMANML3D_FEATURES) -> Tensor:
    """Velocities of the joints after the root, (B, T-1, J-1, 3) in the data's unit a frame, from raw features (B, T, C).

    They follow from local positions and root motion, not from the velocity block: this is what a viewer sees. Axes: the heading of
    the later frame. The root's rotation feature is half of the turning angle between two frames.
    """
    positions = features[..., spec.layout.positions].unflatten(-1, (-1, 3))
    before, after = positions[:, :-1], positions[:, 1:]
    angle = 2 * features[:, :-1, 0:1]
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y, z = before.unbind(-1)
    turned = torch.stack((x * cos + z * sin, y, z * cos - x * sin), -1)
    root = F.pad(features[:, :-1, 1:3].unsqueeze(2), (0, 1))[..., (0, 2, 1)]  # (vx, vz) -> (vx, 0, vz)
    return after - turned + root


class MotionVQ(nn.Module):
    """Features <-> tokens. `forward` is the training loss's work; `encode` and `decode` are what the other stages use."""

    def __init__(self, spec: FeatureSpec, config: VQConfig, quantizer: QuantizerConfig):
        super().__init__()
        self.config, self.spec = config, spec
        self.normalizer = Normalizer(spec.dim)
        self.encoder = Encoder(spec.dim, quantizer.dim, config)
        self.quantizer = ResidualQuantizer(quantizer)
        self.decoder = Decoder(spec.dim, quantizer.dim, config)

    def masks(self, mask: Tensor | None) -> list[Tensor] | list[None]:
        """(B, T) -> a mask (B, 1, T / 2**level) for every level. A token is valid if all its frames are."""
        if mask is None:
            return [None] * (self.config.halvings + 1)
        tokens = mask.unflatten(1, (-1, self.config.stride)).all(-1)  # (B, N)
        masks = []
        for level in range(self.config.halvings + 1):
            masks.append(tokens.repeat_interleave(self.config.stride >> level, dim=1).unsqueeze(1).float())
        return masks

    def forward(
        self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised features (B, T, C), T a multiple of the stride -> reconstruction (B, T, C), commitment loss, perplexity.

        Args:
            x: normalised features.
            mask: (B, T), True = valid. The last frames of a clip that fill no token are left out.
            generator: see `ResidualQuantizer.forward`.
        """
        masks = self.masks(mask)
        z = self.encoder(x.transpose(1, 2), masks).transpose(1, 2).float()  # (B, N, D)
        token_mask = None if mask is None else masks[-1].squeeze(1).bool()  # type: ignore[union-attr]
        # Distances and moving averages in bfloat16 would pick wrong codes.
        with torch.autocast(x.device.type, enabled=False):
            z, _, commitment, perplexity = self.quantizer(z, token_mask, generator)
        return self.decoder(z.transpose(1, 2), masks).transpose(1, 2).float(), commitment, perplexity

    @torch.no_grad()
    def encode(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Raw features (B, T, C) -> indices (B, T // stride, Q). Frames beyond a multiple of the stride are left out."""
        frames = features.shape[1] // self.config.stride * self.config.stride
        masks = self.masks(None if mask is None else mask[:, :frames])
        z = self.encoder(self.normalizer(features[:, :frames]).transpose(1, 2), masks).transpose(1, 2)
        return self.quantizer.encode(z.float())

    def decode(self, indices: Tensor, mask: Tensor | None = None) -> Tensor:
        """Indices (B, N, q) -> raw features (B, N * stride, C); `mask` (B, N), True = valid."""
        return self.decode_codes(self.quantizer.decode(indices), mask)

    def decode_codes(self, codes: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sums of codes (B, N, D) -> raw features (B, N * stride, C); `mask` (B, N), True = valid."""
        masks = self.masks(None if mask is None else mask.repeat_interleave(self.config.stride, dim=1))
        x = self.decoder(codes.transpose(1, 2), masks).transpose(1, 2)
        return self.normalizer.inverse(x.float())


def vq_losses(
    module: nn.Module, vq: MotionVQ, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
) -> dict[str, Tensor]:
    """The named losses of a batch (raw features (B, T, C), mask (B, T) or None), already weighted; perplexity for the log.

    `module` is `vq` or a wrapper of it (DDP) and makes the forward pass.
    """
    features, mask = batch
    x = vq.normalizer(features)
    out, commitment, perplexity = module(x, mask, generator)
    with torch.autocast(x.device.type, enabled=False):
        losses = {**_motion_losses(vq, features, x, out, mask), "commitment": vq.config.commitment * commitment}
    return {**losses, "perplexity": perplexity.detach()}


def _motion_losses(vq: MotionVQ, features: Tensor, x: Tensor, out: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """How far a reconstruction `out` is from normalised features `x`, frame by frame; `features` are the raw ones."""
    config, spec = vq.config, vq.spec
    positions = spec.layout.positions
    losses = {"reconstruction": _smooth_l1(out, x, mask)}
    if config.positions:
        losses["positions"] = config.positions * _smooth_l1(out[..., positions], x[..., positions], mask)
    if config.velocities:
        weight = torch.ones(spec.skeleton.joints - 1, 1, device=x.device)
        weight[[joint - 1 for joint in spec.contacts]] = config.foot_weight
        scale = weight / weight.mean() / config.velocity_unit * spec.metres
        made, real = joint_velocities(vq.normalizer.inverse(out), spec), joint_velocities(features, spec)
        both = None if mask is None else mask[:, 1:] & mask[:, :-1]
        losses["velocities"] = config.velocities * _smooth_l1(
            (made * scale).flatten(2), (real * scale).flatten(2), both
        )
    return losses


class DecoderStage(nn.Module):
    """Refines the decoder alone on whole paths: the tokens stay what they are, so nothing else has to be trained again.

    A tokeniser learns windows frame by frame; a turning rate that is off by two degrees a second costs it nothing there, and a straight
    walk becomes a curve. Here joint positions in the world count, where such errors add up.
    """

    def __init__(self, vq: MotionVQ) -> None:
        super().__init__()
        self.vq = vq
        for name, parameter in vq.named_parameters():
            parameter.requires_grad_(name.startswith("decoder."))

    def forward(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """Raw features (B, T, C) -> their normalised reconstruction (B, T, C)."""
        masks = self.vq.masks(mask)
        with torch.autocast(features.device.type, enabled=False):
            codes = self.vq.quantizer.decode(self.vq.encode(features, mask)).transpose(1, 2)
        return self.vq.decoder(codes, masks).transpose(1, 2).float()


def decoder_losses(
    module: nn.Module, vq: MotionVQ, batch: tuple[Tensor, Tensor | None], generator: torch.Generator
) -> dict[str, Tensor]:
    """The named losses of a batch for `DecoderStage`: those of the tokeniser without its codes, and the path in the world."""
    features, mask = batch
    made = module(features, mask)
    with torch.autocast(features.device.type, enabled=False):
        losses = _motion_losses(vq, features, vq.normalizer(features), made, mask)
        raw, spec = vq.normalizer.inverse(made), vq.spec
        world = (features_to_joints(raw, spec) - features_to_joints(features, spec)) / (PATH_UNIT / spec.metres)
        losses["path"] = _smooth_l1(world.flatten(2), torch.zeros_like(world).flatten(2), mask)
    return losses


def _smooth_l1(a: Tensor, b: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return F.smooth_l1_loss(a, b)
    each = F.smooth_l1_loss(a, b, reduction="none").mean(-1)
    return (each * mask).sum() / mask.sum().clamp(min=1)


def parameter_count(module: nn.Module) -> int:
    """Trainable numbers and codebooks, the size of what is shipped."""
    books = sum(buffer.numel() for name, buffer in module.named_buffers() if name.endswith(".codes"))
    return sum(p.numel() for p in module.parameters()) + books


def tokens_for(seconds: float, fps: float, stride: int) -> int:
    """Tokens that cover round(seconds * fps) frames."""
    return math.ceil(round(seconds * fps) / stride)
