"""What of the language model moves in an alignment, and that it comes back from what was written; thinner and noisier captions."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mate.align.aligner import Aligner, AlignerConfig
from mate.align.config import AlignConfig
from mate.align.corpus import Corpus
from mate.align.recipe import align
from mate.align.relabel import flip_sides, thin
from mate.align.sampler import Batch
from mate.align.stages import AlignStage
from mate.data.captions import mirror_caption
from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch

MODEL = AlignerConfig(
    width=16,
    layers=2,
    local_layers=1,
    heads=2,
    feedforward=32,
    decoder_layers=1,
    dropout=0.0,
    minimum_seconds=0.4,
    grid=1,
)
FEW = AlignConfig(
    retrieval_steps=2,
    steps=4,
    batch_size=8,
    lr=3e-3,
    rows_lr=1e-2,
    layers_lr=1e-3,
    lora_lr=1e-2,
    warmup=1,
    model=MODEL,
    bf16=False,
)
TEXTS = ["a person walks left", "a person waves , then kicks right"]
MOVED = {"walks", "waves", "jumps", "kicks", "left", "right", "then"}


def parameters(encoder: TextEncoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.model.named_parameters()}


@pytest.mark.parametrize("kind", ["layers", "all", "lora"])
def test_a_tuned_language_model_is_a_folder_of_its_own(
    kind: str, toy_set: Path, tiny_bert: str, tmp_path: Path
) -> None:
    result = align([toy_set], tmp_path / "out", tiny_bert, replace(FEW, train=kind), quiet=True)  # type: ignore[arg-type]
    assert not result.patch.exists() and result.language_model == tmp_path / "out" / "language_model"
    before, encoder = TextEncoder.from_pretrained(tiny_bert), TextEncoder.from_pretrained(str(result.language_model))
    old, new = parameters(before), parameters(encoder)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    table = "embeddings.word_embeddings.weight"
    if kind == "lora":
        assert changed == {name for name in old if name.endswith(("query.weight", "value.weight"))}
        difference = (
            new["encoder.layer.0.attention.self.query.weight"] - old["encoder.layer.0.attention.self.query.weight"]
        )
        assert torch.linalg.matrix_rank(difference, rtol=1e-4) <= FEW.lora_rank
    else:
        assert (table in changed) == (kind == "all") and len(changed) > len(old) / 2
    moved = (old[table] != new[table]).any(1).nonzero().flatten().tolist()
    assert {before.tokenizer.id_to_token(number) for number in moved} == (MOVED if kind == "all" else set())
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())

    # The retrieval model finds its language model beside itself, wherever both are.
    corpus = Corpus.open([toy_set], "test")
    motion = np.asarray(corpus.features(2))
    scores = Aligner.from_pretrained(result.model).score(motion, TEXTS)
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    model = Aligner.from_pretrained(tmp_path / "elsewhere" / "retrieval")
    np.testing.assert_array_equal(model.score(motion, TEXTS), scores)
    assert model.text_encoder.model_id == str((tmp_path / "elsewhere" / "language_model").resolve())
    weights = tmp_path / "elsewhere" / "language_model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(MateError, match="changed or is damaged"):
        Aligner.from_pretrained(tmp_path / "elsewhere" / "retrieval")


@pytest.mark.parametrize("kind", ["all", "lora"])
def test_an_interrupted_tuning_continues(
    kind: str, toy_set: Path, tiny_bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(FEW, train=kind)  # type: ignore[arg-type]
    whole = align([toy_set], tmp_path / "whole", tiny_bert, config, quiet=True)
    forward, calls = AlignStage.forward, []

    def stopping(stage: AlignStage, batch: Batch) -> dict[str, torch.Tensor]:
        calls.append(batch)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return forward(stage, batch)

    monkeypatch.setattr(AlignStage, "forward", stopping)
    with pytest.raises(KeyboardInterrupt):
        align([toy_set], tmp_path / "parts", tiny_bert, config, quiet=True)
    assert not (tmp_path / "parts" / "language_model").exists()
    parts = align([toy_set], tmp_path / "parts", tiny_bert, config, quiet=True)
    assert len(calls) == FEW.steps
    one, other = (parameters(TextEncoder.from_pretrained(str(run.language_model))) for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nothing_is_really_nothing(toy_set: Path, tiny_bert: str, tmp_path: Path) -> None:
    result = align([toy_set], tmp_path / "out", tiny_bert, replace(FEW, train="nothing"), quiet=True)
    assert not result.patch.exists() and result.language_model is None
    encoder = Aligner.from_pretrained(result.model).text_encoder
    old, new = parameters(TextEncoder.from_pretrained(tiny_bert)), parameters(encoder)
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_spreading_is_part_of_a_run_when_asked_for(toy_set: Path, tiny_bert: str, tmp_path: Path) -> None:
    plain = align([toy_set], tmp_path / "out", tiny_bert, FEW, quiet=True)
    patch = WordPatch.load(plain.patch)
    spread = align([toy_set], tmp_path / "out", tiny_bert, replace(FEW, spread=True), quiet=True)
    made = WordPatch.load(spread.patch)
    assert "spread" in made.metadata and "spread" not in patch.metadata
    assert spread.report["rows_spread"] == len(made.token_ids) - len(patch.token_ids)
    assert set(patch.token_ids.tolist()) <= set(made.token_ids.tolist())


@pytest.mark.slow
def test_the_default_language_model_tuned_comes_back_bit_for_bit(tmp_path: Path) -> None:
    from mate.text.patch_export import export_tuned
    from mate.text.tuning import settle, tune

    encoder = TextEncoder.from_pretrained()
    tuned = tune(encoder, "all", torch.tensor([2187, 2157]))
    optimizer = torch.optim.SGD([*tuned.layers, *([] if tuned.rows is None else [tuned.rows])], lr=0.1)
    encoder.encode(TEXTS).pooled[:, 0].sum().backward()
    optimizer.step()
    settle(encoder, tuned)
    folder = export_tuned(encoder, "all-MiniLM-L6-v2", tmp_path / "out", "all", {"license": "Apache-2.0"})
    again = TextEncoder.from_pretrained(str(folder))
    assert type(again.model) is type(encoder.model) and again.max_tokens == encoder.max_tokens
    one, other = parameters(encoder), parameters(again)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(again.encode(TEXTS).pooled, encoder.encode(TEXTS).pooled)
    assert not torch.equal(again.encode(TEXTS).pooled, TextEncoder.from_pretrained().encode(TEXTS).pooled)
    assert again.table_sha256 == encoder.table_sha256 != TextEncoder.from_pretrained().table_sha256


# ---------------------------------------------------------------------- the captions


def test_flipped_clips_say_the_other_side_throughout(toy_set: Path) -> None:
    corpus = Corpus.open([toy_set], "train")
    few, many = (flip_sides(corpus, share, 0)[0] for share in (0.2, 0.6))
    changed = [
        {n for n, (old, new) in enumerate(zip(corpus.items, other.items, strict=True)) if old != new}
        for other in (few, many)
    ]
    assert changed[0] < changed[1] and 0.3 * len(corpus) < len(changed[1]) < 0.9 * len(corpus)
    for n in changed[1]:
        old, new = corpus.items[n], many.items[n]
        assert new.captions == tuple(mirror_caption(caption) for caption in old.captions) != old.captions
        assert "left" in old.group or "right" in old.group
        assert new.group == f"0/{new.captions[0]}"
    assert flip_sides(corpus, 0.6, 1)[0].items != many.items, "another seed, other clips"
    assert all(old != new for old, new in zip(corpus.items, flip_sides(corpus, 1.0, 0)[0].items, strict=True))
    with pytest.raises(MateError, match="0 to 1"):
        flip_sides(corpus, 1.5, 0)


def test_thinned_words_stay_in_so_many_clips(toy_set: Path) -> None:
    corpus = Corpus.open([toy_set], "train")
    kept = {}
    for number in (5, 2, 0):
        thinned, facts = thin(corpus, {"kick": number}, 0)
        said = {corpus.datasets[0].names[item.index] for item in thinned.items if "kicks" in item.captions[0]}
        assert len(said) == number == facts["kick"]
        kept[number] = said
        assert not any("kicks" in caption for caption in thinned.captions) or number
        assert all(item.captions and len(item.captions) == len(item.kinds) for item in thinned.items)
        assert {item.index for item in corpus.items if "kicks" not in item.captions[0]} <= {
            item.index for item in thinned.items
        }
    assert kept[2] < kept[5]
    assert thin(corpus, {}, 0)[0] is corpus
    several = [
        replace(item, captions=(*item.captions, "a person moves"), kinds=("seen", "seen")) for item in corpus.items
    ]
    both = replace(corpus, items=tuple(several))
    assert len(thin(both, {"kicks left": 0}, 0)[0]) == len(both), "another caption is left"
    assert any("kicks right" in caption for caption in thin(both, {"kicks left": 0}, 0)[0].captions)
    for limits, message in (
        ({"somersault": 3}, "no training caption"),
        ({"kick": -1}, "0 or more"),
        ({"person": 0}, "leaves no"),
    ):
        with pytest.raises(MateError, match=message):
            thin(corpus, limits, 0)


def test_noise_and_thinning_in_a_run(toy_set: Path, tiny_bert: str, tmp_path: Path) -> None:
    config = replace(FEW, flip_sides=0.5, thin={"kicks": 0})
    _ = Corpus.open([toy_set], "train").parts  # written by now, whatever ran before
    splits = (toy_set / "splits.jsonl").read_bytes()
    result = align([toy_set], tmp_path / "out", tiny_bert, config, quiet=True)
    assert (toy_set / "splits.jsonl").read_bytes() == splits, (
        "captions that were swapped on purpose stay out of the set"
    )
    assert result.report["flipped_clips"] > 3 and result.report["thinned_to_clips"] == {"kicks": 0}
    assert result.report["clips"] + result.report["clips_left_out"] == 32
    encoder = TextEncoder.from_pretrained(tiny_bert)
    words = {encoder.tokenizer.id_to_token(number) for number in WordPatch.load(result.patch).token_ids.tolist()}
    assert words == MOVED - {"kicks"}, "a word held out does not move"


# ---------------------------------------------------------------------- the command


def test_the_command_runs_on_a_plain_folder_by_path(
    toy_set: Path, tiny_bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mate.cli.app import main

    folder = tmp_path / "HumanML3D"
    shutil.copytree(toy_set, folder)
    for name in ("meta.jsonl", "dataset.json", "splits.jsonl", "all.txt"):  # what HumanML3D itself does not have
        (folder / name).unlink(missing_ok=True)
    (tmp_path / "thin.json").write_text('{"jumps": 2}')
    small = [
        "--encoder",
        tiny_bert,
        "--steps",
        "2",
        "--retrieval-steps",
        "2",
        "--batch-size",
        "8",
        "--no-bf16",
        "--json",
    ]
    wanted = [
        "--train",
        "lora",
        "--lora-lr",
        "0.01",
        "--flip-sides",
        "0.25",
        "--thin",
        "kicks=3",
        "--thin",
        str(tmp_path / "thin.json"),
    ]
    assert main(["align", str(folder), "-o", str(tmp_path / "out"), *small, *wanted]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["train"] == "lora" and report["config"]["lora_lr"] == 0.01
    assert report["thinned_to_clips"]["jumps"] == 2 and report["thinned_to_clips"]["kicks"] <= 3
    assert report["flipped_clips"] > 0
    assert (tmp_path / "out" / "language_model" / "config.json").is_file()
    for wrong, message in (
        (["--frozen", "--train", "all"], "choose one"),
        (["--thin", "kicks"], "WORD=N"),
        (["--thin", "nonsense=3"], "no training caption"),
    ):
        assert main(["align", str(folder), "-o", str(tmp_path / "wrong"), *small, *wrong]) == 2
        assert message in capsys.readouterr().err
