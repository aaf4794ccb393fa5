"""The tokeniser: padding, normalisation and the velocity that its loss sees."""

from dataclasses import replace

import torch

from mate.generate.momask.config import QuantizerConfig, VQConfig
from mate.generate.momask.vqvae import (
    DecoderStage,
    MotionVQ,
    Normalizer,
    decoder_losses,
    joint_velocities,
    tokens_for,
    vq_losses,
)
from mate.motion.features import features_to_joints
from mate.motion.layout import HUMANML3D_FEATURES

VQ = VQConfig(width=16, depth=2, velocities=0.5)
QUANTIZER = QuantizerConfig(codes=16, dim=8, layers=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model() -> MotionVQ:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        vq = MotionVQ(HUMANML3D_FEATURES, VQ, QUANTIZER).train()
    vq(torch.randn(8, 32, 263, generator=seeded()), generator=seeded())
    return vq.eval()


def test_padding_does_not_reach_the_valid_frames() -> None:
    vq = model()
    x = torch.randn(2, 64, 263, generator=seeded(1))
    mask = torch.ones(2, 64, dtype=torch.bool)
    mask[0, 40:] = False
    alone = vq.encode(x[:1, :40])
    assert torch.equal(vq.encode(torch.where(mask[..., None], x, 7.0), mask)[:1, :10], alone)
    tokens = vq.encode(x, mask)
    valid = mask.unflatten(1, (-1, 4)).all(-1)
    together = vq.decode(torch.where(valid[..., None], tokens, 3), valid)[0, :40]
    torch.testing.assert_close(together, vq.decode(alone)[0], rtol=1e-5, atol=1e-5)


def test_loss_ignores_padding() -> None:
    x = torch.randn(2, 64, 263, generator=seeded(1))
    mask = torch.ones(2, 64, dtype=torch.bool)
    mask[0, 40:] = False
    one, other = (vq_losses(vq, vq, (torch.where(mask[..., None], x, pad), mask), seeded())
                  for vq, pad in ((model(), 0.0), (model(), 5.0)))  # fmt: skip
    for name in ("reconstruction", "commitment", "positions", "velocities"):
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_normaliser_leaves_the_datasets_arrays_alone() -> None:
    mean, std = torch.randn(263, generator=seeded()), torch.rand(263, generator=seeded()) + 0.1
    kept = std.clone()
    one, two = Normalizer(263), Normalizer(263)
    one.set(mean, std, feat_bias=5.0)
    two.set(mean, std, feat_bias=5.0)
    assert torch.equal(std, kept)
    assert torch.equal(one.std, two.std)
    torch.testing.assert_close(one.std[:4], kept[:4] / 5)
    torch.testing.assert_close(one.std[259:], kept[259:] / 5)
    torch.testing.assert_close(one.std[4:259], kept[4:259])
    x = torch.randn(3, 5, 263, generator=seeded(1))
    torch.testing.assert_close(one.inverse(one(x)), x, rtol=1e-4, atol=1e-5)


def test_joint_velocities_are_those_of_the_joints_that_a_viewer_sees() -> None:
    features = torch.randn(1, 20, 263, generator=seeded()) * 0.1
    joints = features_to_joints(features)
    world = (joints[:, 1:] - joints[:, :-1])[:, :, 1:]
    made = joint_velocities(features)
    # The two differ by the heading only: heights agree, and so do lengths in the plane.
    torch.testing.assert_close(made[..., 1], world[..., 1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made[..., (0, 2)].norm(dim=-1), world[..., (0, 2)].norm(dim=-1), rtol=1e-4, atol=1e-5)


def test_encode_leaves_out_the_frames_that_fill_no_token() -> None:
    assert model().encode(torch.randn(1, 43, 263)).shape == (1, 10, 2)
    assert tokens_for(2.0, 20.0, 4) == 10
    assert tokens_for(2.05, 20.0, 4) == 11


def test_zero_weights_switch_losses_off() -> None:
    vq = MotionVQ(HUMANML3D_FEATURES, replace(VQ, velocities=0.0, positions=0.0), QUANTIZER)
    losses = vq_losses(vq, vq, (torch.randn(2, 32, 263), None), seeded())
    assert set(losses) == {"reconstruction", "commitment", "perplexity"}
    assert not losses["perplexity"].requires_grad


def test_refining_the_decoder_leaves_the_tokens_alone() -> None:
    vq = model()
    x = 0.1 * torch.randn(4, 64, 263, generator=seeded(1))
    before, weights = vq.encode(x), {name: value.clone() for name, value in vq.state_dict().items()}
    stage = DecoderStage(vq).train()
    optimizer = torch.optim.Adam([p for p in stage.parameters() if p.requires_grad], 3e-3)
    paths = []
    for _ in range(30):
        losses = decoder_losses(stage, vq, (x, None), seeded())
        sum(losses.values(), torch.zeros(())).backward()
        optimizer.step()
        optimizer.zero_grad()
        paths.append(float(losses["path"].detach()))
    assert paths[-1] < 0.8 * paths[0]
    assert torch.equal(vq.eval().encode(x), before)
    moved = {name for name, value in vq.state_dict().items() if not torch.equal(value, weights[name])}
    assert moved and all(name.startswith("decoder.") for name in moved)
