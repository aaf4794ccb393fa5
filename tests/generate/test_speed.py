"""The benchmark of the generators: both ways make the same motions, and the operations are counted right."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mate.generate.linear import Linear, packed
from mate.generate.mdm.config import MDMConfig
from mate.generate.mdm.config import preset as mdm_preset
from mate.generate.momask.config import MoMaskConfig
from mate.generate.momask.config import preset as momask_preset
from mate.generate.speed import TEXT, clip_text, mdm_runs, measure_generate, momask_runs, operations, products
from mate.text.encoder import TextEncoder


def small_momask(share: bool = True) -> MoMaskConfig:
    released = momask_preset("momask")
    small = {"width": 48, "heads": 2, "ff": 96, "layers": 2, "code_dim": 32, "share": share}
    return replace(
        released,
        quantizer=replace(released.quantizer, codes=64, dim=32, layers=3),
        vq=replace(released.vq, width=24, depth=1),
        masked=replace(released.masked, **small),
        residual=replace(released.residual, **small),
        max_seconds=1.6,
    )


def small_mdm() -> MDMConfig:
    released = mdm_preset("mdm-50")
    return replace(
        released,
        denoiser=replace(released.denoiser, width=48, heads=2, ff=96, layers=2),
        diffusion=replace(released.diffusion, steps=6),
        sampling=replace(released.sampling, steps=6),
        max_seconds=1.6,
    )


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return clip_text(TEXT, layers=1, width=64)


@pytest.mark.parametrize("share", [True, False])
def test_momask_makes_the_motions_of_the_procedure(encoder: TextEncoder, share: bool) -> None:
    runs = momask_runs(small_momask(share), encoder, 3, 32)
    with torch.no_grad():
        expected, found = runs["procedure"](), runs["fp32"]()
    assert expected.shape == (3, 32, 263)
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3  # each has random numbers of its own
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_mdm_makes_the_motions_of_the_procedure(encoder: TextEncoder) -> None:
    runs = mdm_runs(small_mdm(), encoder, 32, 3)
    with torch.no_grad():
        expected, found, few = runs["procedure"](), runs["fp32"](), runs["few"]()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert few.shape == expected.shape and float((few - expected).abs().max()) > 1e-2


@pytest.mark.parametrize("packing", [True, False])
def test_operations_are_counted(packing: bool) -> None:
    layer = Linear(24, 40).eval()
    q = torch.randn(2, 4, 10, 8)

    def run() -> torch.Tensor:
        if not packing:
            return layer(torch.randn(2, 5, 24))
        with packed(layer):
            layer(torch.randn(2, 5, 24), gelu=True)
        return nn.functional.scaled_dot_product_attention(q, q, q)

    with torch.no_grad():
        linear, attention = 2 * 10 * 24 * 40, 4 * 2 * 4 * 10 * 10 * 8
        assert operations(run) == linear + (attention if packing else 0)
        runs, count = products(16, 32, 3, 7)
        assert {operations(each) for each in runs.values()} == {count}


def test_the_benchmark_measures_a_small_run(encoder: TextEncoder) -> None:
    threads = torch.get_num_threads()
    rows, notes = measure_generate(1, 1, (1, 2), 3, small_momask(), small_mdm(), encoder)
    assert torch.get_num_threads() == threads
    assert [row["batch"] for row in rows] == [1] * 5 + [2] * 5 + [1] * 4
    assert all(row["seconds a sentence"] > 0 and row["times the procedure"] > 0 for row in rows)
    exact = [row["greatest difference"] for row in rows if row["what"].endswith("fp32")]
    assert len(exact) == 3 and max(exact) < 1e-4
    assert [row["of the limit"] for row in rows if row["what"].startswith("matrix")] == ["100%"] * 3
    assert any("3 steps of DPM-Solver++" in row["what"] for row in rows) and "one thread" in notes[0]
