"""The whole alignment at toy size: it learns, it resumes, it leaves the language model as it was but for its words."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mate.align.aligner import Aligner, AlignerConfig, MotionEncoder
from mate.align.config import AlignConfig
from mate.align.corpus import Corpus, batches
from mate.align.recipe import AlignResult, align
from mate.align.report import recall
from mate.align.sampler import Sampler
from mate.align.score import Pair, read_pairs, score_pairs
from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch
from mate.text.vocabulary import build_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = AlignerConfig(
    width=32,
    layers=2,
    local_layers=1,
    heads=4,
    feedforward=64,
    decoder_layers=1,
    dropout=0.0,
    minimum_seconds=0.4,
    grid=1,
)
QUICK = AlignConfig(
    retrieval_steps=60, steps=40, batch_size=16, lr=3e-3, rows_lr=3e-3, warmup=5, model=MODEL, bf16=False
)


@pytest.fixture(scope="module")
def run(toy_set: Path, tiny_bert: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AlignResult]:
    out = tmp_path_factory.mktemp("aligned")
    return out, align([toy_set], out, tiny_bert, QUICK, quiet=True)


def test_alignment_learns_and_reports(run: tuple[Path, AlignResult]) -> None:
    out, result = run
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads(json.dumps(result.report))
    after = report["retrieval"]["after"]["test"]["text_to_motion"]
    assert after["R@1"] >= 0.5 and after["R@1"] <= after["R@3"] <= after["R@10"]
    assert report["retrieval"]["after"]["test"]["left_right_accuracy"] > 0.7
    assert report["left_right_cosine"]["before"] != report["left_right_cosine"]["after"]
    assert set(report["losses"]["align"]) == {"rec", "sent", "self", "cross", "align"}
    assert (out / "runs" / "align" / "logs").is_dir()


def test_the_patch_moves_motion_words_only(run: tuple[Path, AlignResult], tiny_bert: str) -> None:
    patch = WordPatch.load(run[1].patch)
    encoder = TextEncoder.from_pretrained(tiny_bert)
    words = {encoder.tokenizer.id_to_token(number) for number in patch.token_ids.tolist()}
    assert words == {"walks", "waves", "jumps", "kicks", "left", "right", "then"}
    base = encoder.table.clone()
    assert (patch.rows != base[patch.token_ids]).any(1).all()
    with encoder.apply(patch):
        assert not torch.equal(encoder.table, base)
    assert torch.equal(encoder.table, base)
    assert patch.metadata["base_model"] == tiny_bert and patch.metadata["license"] == "Apache-2.0"


def test_segments_are_written_and_near_the_truth(run: tuple[Path, AlignResult]) -> None:
    rows = [json.loads(line) for line in (run[0] / "segments.jsonl").read_text().splitlines()]
    assert len(rows) == 10
    assert all(row["sub_texts"][0].startswith("a person") and len(row["seconds"]) == 3 for row in rows)
    assert all(0.8 < row["seconds"][1] < row["seconds"][2] - 0.3 for row in rows)


def test_segments_are_those_of_every_clip_by_itself(run: tuple[Path, AlignResult], toy_set: Path) -> None:
    """The recipe encodes shared sub-texts once and together; a clip alone gets the same boundaries and cosines."""
    model, corpus = Aligner.from_pretrained(run[0] / "frozen"), Corpus.open([toy_set], "train")
    for row in map(json.loads, (run[0] / "segments.jsonl").read_text().splitlines()):
        [(units, cosines, groups)] = model.segments(np.asarray(corpus.features(row["item"])), [row["sub_texts"]])
        assert (units.tolist(), groups) == (row["units"], row["groups"])
        np.testing.assert_allclose(cosines, row["cosines"], atol=1e-4)


def test_the_model_folder_comes_back(run: tuple[Path, AlignResult], toy_set: Path) -> None:
    model = Aligner.from_pretrained(run[1].model)
    assert model.config.language_model_patched and not model.training
    corpus = Corpus.open([toy_set], "test")
    motion = np.asarray(corpus.features(2))
    texts = [corpus.items[2].captions[0], "a person kicks right", corpus.items[2].captions[0]]
    scores = model.score(motion, texts)
    assert scores.shape == (3,) and scores[0] == scores[2] > scores[1]
    whole = model.score(motion, texts, "sentence")
    assert whole[1] == scores[1] and whole[0] != scores[0], "one sub-text: the same; several: on their own segments"
    for dtype, share in ((torch.float16, 0.55), (torch.int8, 0.4)):
        small = model.save_pretrained(run[0] / "small", "card", run[1].patch, dtype)
        np.testing.assert_allclose(Aligner.from_pretrained(small).score(motion, texts), scores, atol=2e-2)
        assert (small / "README.md").read_text() == "card"
        bytes_of = [(folder / "model.safetensors").stat().st_size for folder in (run[1].model, small)]
        assert bytes_of[1] < share * bytes_of[0]


def test_a_tampered_model_is_refused(run: tuple[Path, AlignResult], tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(run[1].model, copy)
    content = bytearray((copy / "patch.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "patch.safetensors").write_bytes(content)
    with pytest.raises(MateError, match=r"patch\.safetensors was changed"):
        Aligner.from_pretrained(copy)


def test_a_finished_run_is_not_repeated_and_other_settings_are_refused(
    run: tuple[Path, AlignResult], toy_set: Path, tiny_bert: str
) -> None:
    out, first = run
    again = align([toy_set], out, tiny_bert, QUICK, quiet=True)
    assert torch.equal(WordPatch.load(again.patch).rows, WordPatch.load(first.patch).rows) or torch.allclose(
        WordPatch.load(again.patch).rows, WordPatch.load(first.patch).rows
    )
    assert again.report["losses"] == first.report["losses"]
    with pytest.raises(MateError, match=r"other settings \(steps\)"):
        align([toy_set], out, tiny_bert, replace(QUICK, steps=41), quiet=True)


def test_first_stages_of_another_run_are_taken_over(
    run: tuple[Path, AlignResult], toy_set: Path, tiny_bert: str, tmp_path: Path
) -> None:
    """A run that starts from another one ends where it would have ended by itself."""
    out, first = run
    begun = replace(QUICK, start=str(out))
    result = align([toy_set], tmp_path / "again", tiny_bert, begun, quiet=True)
    assert (tmp_path / "again" / "segments.jsonl").read_text() == (out / "segments.jsonl").read_text()
    assert result.report["losses"] == {"align": first.report["losses"]["align"]}
    assert torch.equal(WordPatch.load(result.patch).rows, WordPatch.load(first.patch).rows)
    assert result.report["retrieval"]["before"] == first.report["retrieval"]["before"]
    with pytest.raises(MateError, match="other seed"):
        align([toy_set], tmp_path / "seed", tiny_bert, replace(begun, seed=1), quiet=True)
    with pytest.raises(MateError, match="no finished run"):
        align([toy_set], tmp_path / "none", tiny_bert, replace(QUICK, start=str(tmp_path)), quiet=True)


@pytest.mark.parametrize(
    "change",
    [
        {"losses": ("self", "rec")},
        {"losses": ("sent",)},
        {"train": "nothing"},
        {"segmentation": "uniform"},
        {"prior": "none"},
    ],
)
def test_ablations_run(change: dict, toy_set: Path, tiny_bert: str, tmp_path: Path) -> None:
    result = align(
        [toy_set], tmp_path / "out", tiny_bert, replace(QUICK, retrieval_steps=2, steps=2, **change), quiet=True
    )
    assert result.patch.exists() == (change.get("train", "rows") == "rows")
    if "losses" in change:
        assert set(result.report["losses"]["align"]) == set(change["losses"])
    assert Aligner.from_pretrained(result.model).config.language_model_patched == result.patch.exists()


def test_what_cannot_be_aligned(toy_set: Path, tiny_bert: str, tmp_path: Path) -> None:
    with pytest.raises(MateError, match="losses"):
        align([toy_set], tmp_path, tiny_bert, replace(QUICK, losses=("rec",)))
    with pytest.raises(MateError, match="segmentation"):
        align([toy_set], tmp_path, tiny_bert, replace(QUICK, segmentation="random"))
    with pytest.raises(MateError, match="splitter"):
        align([toy_set], tmp_path, tiny_bert, replace(QUICK, splitter="no such file"))
    with pytest.raises(MateError, match=r"train\.txt"):
        align([tmp_path / "nothing"], tmp_path, tiny_bert, QUICK)


def test_splits_stand_beside_the_set_and_may_be_corrected(toy_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(toy_set, folder)
    (folder / "splits.jsonl").unlink(missing_ok=True)
    first = Corpus.open([folder], "train")
    caption = next(caption for caption, parts in first.parts.items() if len(parts) == 2)
    rows = {row["text"]: row for row in map(json.loads, (folder / "splits.jsonl").read_text().splitlines())}
    assert rows.keys() == set(first.captions)
    assert [caption[start:end] for start, end in rows[caption]["spans"]] == [part.text for part in first.parts[caption]]

    rows[caption] = {"text": caption, "sub_texts": [caption], "splitter": rows[caption]["splitter"]}
    (folder / "splits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    assert caption not in Corpus.open([folder], "train").sub_texts

    ready = tmp_path / "ready.jsonl"
    ready.write_text("".join(json.dumps({"text": text, "sub_texts": [text]}) + "\n" for text in first.captions[1:]))
    with pytest.raises(MateError, match="holds no split of"):
        _ = Corpus.open([folder], "train", str(ready)).parts
    ready.write_text(
        ready.read_text() + json.dumps({"text": first.captions[0], "sub_texts": [first.captions[0]]}) + "\n"
    )
    assert Corpus.open([folder], "train", str(ready)).sub_texts == {}


def test_a_word_of_another_stretch_is_a_negative(toy_set: Path, tiny_bert: str) -> None:
    corpus, encoder = Corpus.open([toy_set], "train"), TextEncoder.from_pretrained(tiny_bert)
    vocabulary = build_vocabulary(corpus.captions, encoder)
    segments = {
        (number, caption): (np.array([0, 4, 8]), [[0], [1]])
        for number, item in enumerate(corpus.items)
        for caption in item.captions
        if len(corpus.parts[caption]) == 2
    }
    assert segments
    sampler = Sampler(corpus, vocabulary, encoder, replace(QUICK, words_per_motion=8), "align", segments)
    pairs = 0
    for batch in map(sampler, range(4)):
        for i, j in np.ndindex(len(batch.words), len(batch.words)):
            if batch.motion[i] == batch.motion[j] and not batch.same[i, j]:
                overlapping = (batch.start < batch.end[i]) & (batch.end > batch.start[i])
                here = (batch.motion == batch.motion[i]) & overlapping & batch.same[j]
                apart = not overlapping[j]
                assert bool(batch.negative[i, batch.words[j]]) == (apart and not here.any())
                pairs += apart
    assert pairs


def test_frame_features_know_their_surroundings_alone() -> None:
    config = AlignerConfig(width=32, layers=3, heads=2, feedforward=32, dropout=0.0, local_layers=2, window=2)
    encoder = MotionEncoder(config).train()
    features = torch.randn(2, 100, 263, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 100, dtype=torch.bool)
    mask[1, 40:] = False
    features = features * mask.unsqueeze(-1)
    trained = encoder(features, mask)
    encoder.eval()  # PyTorch takes another path here
    with torch.no_grad():
        sequence, frames, valid = encoder(features, mask)
        alone, own, _ = encoder(features[1:, :40], mask[1:, :40])
        changed = features.clone()
        changed[0, 80:] = 0
        later, moved, _ = encoder(changed, mask)
    assert torch.allclose(trained[0], sequence, atol=1e-5) and torch.allclose(
        trained[1][valid], frames[valid], atol=1e-5
    )
    assert torch.allclose(alone, sequence[1:], atol=1e-5) and torch.allclose(own[0], frames[1, :10], atol=1e-5), (
        "padding is seen"
    )
    units = (frames[0] - moved[0]).abs().amax(-1) > 1e-6
    assert units[20:].all() and not units[: 20 - 2 * config.window].any()
    assert not torch.allclose(later[0], sequence[0], atol=1e-4), "the sequence feature sees all"
    twice = torch.cat([features[:1, :48], features[:1, :48]], 1)
    with torch.no_grad():
        _, frames, _ = encoder(twice, torch.ones(1, 96, dtype=torch.bool))
    assert torch.allclose(frames[0, 5], frames[0, 17], atol=1e-5), "a frame feature says when it is"


def test_batches_are_functions_of_their_number(toy_set: Path, tiny_bert: str) -> None:
    corpus, encoder = Corpus.open([toy_set], "train"), TextEncoder.from_pretrained(tiny_bert)
    vocabulary = build_vocabulary(corpus.captions, encoder)
    one, other = (Sampler(corpus, vocabulary, encoder, QUICK, "align") for _ in range(2))
    one(0)
    first, second = one(3), other(3)
    for name, part in vars(first).items():
        again = getattr(second, name)
        assert torch.equal(part, again) if isinstance(part, torch.Tensor) else part == again, name
    stems = vocabulary.stem_ids[first.words]
    for word, (motion, stem) in enumerate(zip(first.motion.tolist(), stems.tolist(), strict=True)):
        assert not first.absent[motion, word], "a word drawn from a motion's own caption is not absent from it"
        assert (first.same[word] == (stems == stem)).all()
        assert not first.negative[word, first.words[word]], "a word is no negative of itself"
    drawn = first.negative[:, first.words]  # [i, j]: word j is not in the stretch of word i
    assert (drawn >= first.absent[first.motion]).all(), "a word that is not in the motion is in no stretch of it"
    assert first.absent.any() and first.together.diagonal().all()
    epoch = batches([5, 3, 9, 1, 7], 2, 0, 0)
    assert len(epoch) == 3 and set(np.concatenate(epoch).tolist()) == set(range(5))


def test_a_content_without_a_style_does_not_make_clips_the_same(toy_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(toy_set, folder)
    rows = [json.loads(line) for line in (folder / "meta.jsonl").read_text().splitlines()]
    (folder / "meta.jsonl").write_text("".join(json.dumps({**row, "content": "move"}) + "\n" for row in rows))
    corpus = Corpus.open([folder], "train")
    texts = [item.captions[0] for item in corpus.items]
    together = corpus.together(range(len(corpus)), texts)
    expected = torch.tensor([[a == b for b in texts] for a in texts])
    assert torch.equal(together, expected)
    assert {"left", "right"} - corpus.present_stems[0] == {"right"}, "sides are judged by a clip's own captions"


def test_recall_counts_ties_against_the_query() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.5], [0.5, 0.5, 0.5]])
    assert recall(similarity, torch.eye(2, 3, dtype=torch.bool)) == {"R@1": 0.5, "R@3": 1.0, "R@10": 1.0}


def test_pairs_files(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"motion": "a.npy", "texts": ["walks", "sits"]}\n\n{"motion": "b.npy", "texts": ["runs"]}\n')
    assert read_pairs(path) == [Pair("a.npy", ("walks", "sits"), 1), Pair("b.npy", ("runs",), 3)]
    for content in (
        "",
        "walk\n",
        '{"motion": "a.npy"}\n',
        '{"motion": "a.npy", "texts": []}\n',
        '{"motion": "a", "texts": [" "]}\n',
    ):
        path.write_text(content)
        with pytest.raises(MateError, match=r"pairs|line 1"):
            read_pairs(path)


def test_scoring_motion_files(run: tuple[Path, AlignResult], tmp_path: Path) -> None:
    model = Aligner.from_pretrained(run[1].model)
    joints = np.random.default_rng(0).normal(size=(40, 22, 3)).astype(np.float32)
    joints[..., 1] += 1.0
    np.save(tmp_path / "motion.npy", joints)
    pairs = [Pair(str(tmp_path / "motion.npy"), ("a person walks left", "a person waves left, then jumps left"), 1)] * 2
    first, second = score_pairs(model, pairs)
    assert first == second and len(first.similarities) == 2 and all(-1 <= value <= 1 for value in first.similarities)
    with pytest.raises(MateError, match="line 4"):
        list(score_pairs(model, [Pair(str(tmp_path / "absent.npy"), ("walks",), 4)]))


def test_the_score_command(run: tuple[Path, AlignResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mate.cli.app import main

    np.save(tmp_path / "motion.npy", np.random.default_rng(0).normal(size=(40, 22, 3)).astype(np.float32))
    rows = [
        {"motion": str(tmp_path / "motion.npy"), "texts": texts}
        for texts in (["walks", "waves, then kicks"], ["jumps"])
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = ["--model", str(run[1].model)]
    for scoring in ("localized", "sentence"):
        assert main(["score", "--pairs", str(tmp_path / "pairs.jsonl"), "--json", "--scoring", scoring, *model]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["motion"] for row in found] == [row["motion"] for row in rows]
        assert [len(row["similarities"]) for row in found] == [2, 1]
    assert main(["score", str(tmp_path / "motion.npy"), "walks", "jumps", *model]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for wrong in (["score"], ["score", "absent.npy", "walks", *model], ["score", str(tmp_path / "motion.npy")]):
        assert main(wrong) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and not captured.out
