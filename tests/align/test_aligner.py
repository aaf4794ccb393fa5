"""The motion encoder's shortcuts, against the long way."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mate.align.aligner import AlignerConfig, Crops, MotionEncoder

CONFIG = AlignerConfig(feature_dim=6, width=16, layers=3, heads=2, feedforward=24, window=2)


def motion_encoder(local_layers: int, window: int = 2) -> MotionEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MotionEncoder(replace(CONFIG, local_layers=local_layers, window=window)).eval()


@pytest.mark.parametrize("local_layers", [1, 2])
def test_the_summary_alone_is_what_the_whole_last_layer_says_of_it(local_layers: int) -> None:
    encoder = motion_encoder(local_layers)
    units, mask = torch.randn(3, 9, 16), torch.arange(9)[None] < torch.tensor([9, 4, 1])[:, None]
    with torch.no_grad():
        sequence, frames = encoder.encode_units(units, mask)
        x, padding = encoder._summarised(frames, mask)
        whole = encoder.sentence(encoder.layers(x, src_key_padding_mask=padding)[:, 0])
    torch.testing.assert_close(sequence, whole, atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 30), st.integers(0, 2), st.integers(0, 3))
def test_crops_are_encoded_as_if_the_rest_were_not_there(
    data: st.DataObject, count: int, local_layers: int, window: int
) -> None:
    encoder = motion_encoder(local_layers, window)
    units = torch.randn(count, 16, generator=torch.Generator().manual_seed(count))
    starts = st.integers(0, count - 1).flatmap(lambda s: st.tuples(st.just(s), st.integers(s + 1, count)))
    spans = data.draw(st.lists(starts, min_size=1, max_size=6))
    with torch.no_grad():
        crops = Crops(encoder, units, spans)
        frames, mask = crops(spans)
        sequence = encoder.sequence_feature(frames, mask)
        for n, (s, e) in enumerate(spans):
            alone = units[None, s:e]
            everything = torch.ones(1, e - s, dtype=torch.bool)
            torch.testing.assert_close(
                frames[n, : e - s], encoder.local_features(alone, everything)[0], atol=1e-5, rtol=1e-4
            )
            torch.testing.assert_close(sequence[n], encoder.encode_units(alone, everything)[0][0], atol=1e-5, rtol=1e-4)
            assert mask[n].sum() == e - s and (frames[n, e - s :] == 0).all()
