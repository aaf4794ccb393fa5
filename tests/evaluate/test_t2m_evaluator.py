"""The T2M evaluator: the reference's numbers, whatever the batch; its files, and what is refused of them."""

import json
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluate import t2m_files as files

from mate.checkpoints import sha256
from mate.errors import MateError
from mate.evaluate.glove import CLASS_OF, CONVERTED, Glove, load_glove, read_pickle
from mate.evaluate.t2m_evaluator import PUBLISHED, T2MEvaluator, check_width

# Components 0, 1, 255 and 511 and the length of the reference's embeddings of `files.motions` and `files.CAPTIONS`.
GOLDEN = {
    263: {
        "motions": (
            [
                [-0.4282156, -0.6005711, 0.518362, 0.8087441],
                [-0.4085189, -0.597463, 0.4278758, 0.7687685],
                [-0.3886814, -0.6503276, 0.3300185, 0.7629195],
                [-0.5372339, -0.6993996, 0.3852262, 0.7725885],
            ],
            [18.34783, 18.51847, 18.45864, 18.56449],
        ),
        "texts": (
            [
                [1.0361906, -0.1466775, -1.1212521, 0.876139],
                [1.159382, -0.3389449, -0.9650314, 0.9871062],
                [1.1274264, -0.1098692, -1.0433908, 0.9308585],
                [0.9255759, -0.181538, -1.0011311, 0.836211],
            ],
            [18.14344, 18.0244, 17.99792, 17.99195],
        ),
    },
    251: {
        "motions": (
            [
                [-0.2651033, -0.8509184, 0.1044965, 0.6006821],
                [-0.3133856, -0.7474784, 0.1402168, 0.7171544],
                [-0.3770108, -0.8567806, 0.1764789, 0.652867],
                [-0.2946657, -0.9327723, 0.2053632, 0.6698431],
            ],
            [18.76399, 18.94985, 19.04342, 19.08047],
        ),
        "texts": (
            [
                [-0.097895, -1.2949817, -0.1442493, -1.1206865],
                [-0.1346999, -1.3511509, -0.0653866, -1.0984398],
                [-0.1590898, -1.2145975, -0.2074025, -1.0960431],
                [-0.0668879, -1.3028392, -0.2911924, -1.1390588],
            ],
            [18.28944, 18.28234, 18.35114, 18.26073],
        ),
    },
}


def evaluator(width: int = 263, sizes=files.TINY) -> T2MEvaluator:
    glove = Glove(files.vectors(sizes["word"]), {word: row for row, word in enumerate(files.WORDS)}, {})
    return T2MEvaluator(files.weights(width, sizes), glove, *files.normalisation(width))


@pytest.mark.parametrize("width", GOLDEN)
def test_embeddings_are_the_references(width):
    """Golden numbers of the reference implementation, EricGuo5513/momask-codes at 94a6636 (the same modules as in text-to-motion).

    Procedure: its three modules of models/t2m_eval_modules.py are built in the released sizes (512, 512, 1024, 512), loaded with
    `files.weights(width, files.RELEASED)` and set to eval(). Motions are normalised with `files.normalisation`, cropped to a multiple of
    4 frames, padded with zeros to 196, sorted by falling length and embedded (without the last four features); captions go through its
    WordVectorizer with `files.vectors` for `files.WORDS`, with sos and eos, cut after 20 words, padded to 22, sorted likewise; then the
    order is put back. PyTorch 2, CPU, float32.
    """
    found = evaluator(width, files.RELEASED)
    for embedded, (some, lengths) in (
        (found.embed_motions(files.motions(width)), GOLDEN[width]["motions"]),
        (found.embed_texts(files.CAPTIONS), GOLDEN[width]["texts"]),
    ):
        assert embedded.dtype == np.float32 and embedded.shape == (4, 512)
        np.testing.assert_allclose(embedded[:, [0, 1, 255, 511]], some, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), lengths, rtol=1e-6)


def test_the_batch_does_not_matter():
    """Nor the order: every sample has its own embedding, though the padding is part of what the last movement sees."""
    found = evaluator()
    motions = files.motions(263, [196, 40, 192, 63, 4, 7, 199, 100])
    whole = found.embed_motions(motions)
    for batch_size in (1, 3):
        np.testing.assert_allclose(found.embed_motions(motions, batch_size), whole, atol=1e-6)
    np.testing.assert_allclose(found.embed_motions(motions[::-1]), whole[::-1], atol=1e-6)
    texts = found.embed_texts(files.CAPTIONS)
    np.testing.assert_allclose(found.embed_texts(files.CAPTIONS[::-1], 1), texts[::-1], atol=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 1e-2 and np.abs(texts[0] - texts[1]).max() > 1e-2
    assert found.embed_motions([]).shape == found.embed_texts([]).shape == (0, 8)


def test_what_the_evaluator_does_not_look_at():
    """Foot contacts, frames after the last whole unit, words after the twentieth."""
    found = evaluator()
    (motion,) = files.motions(263, [63])
    changed = motion.copy()
    changed[:, -4:] += 1.0
    changed[60:] += 1.0
    assert np.array_equal(found.embed_motions([motion]), found.embed_motions([changed]))
    changed[59] += 1.0
    assert not np.allclose(found.embed_motions([motion]), found.embed_motions([changed]), atol=1e-4)
    long = files.CAPTIONS[3]
    assert np.array_equal(found.embed_texts([long]), found.embed_texts([" ".join(long.split()[:20])]))


def test_words_and_their_classes():
    """`left` is a place whatever its tag says, an unknown word is OTHER whatever its tag says, an unknown tag is OTHER."""
    rows = {word: row for row, word in enumerate(files.WORDS)}
    glove = Glove(files.vectors(6), rows, {})
    vectors, classes = glove.encode("left/VERB zebra/NOUN man/PROPN circle/NOUN /PUNCT")
    assert classes.argmax(1).tolist() == [9, 14, 14, 1, 14] and classes.sum() == 5
    assert np.array_equal(vectors, glove.vectors[[rows["left"], rows["unk"], rows["man"], rows["circle"], rows["unk"]]])
    assert len(CLASS_OF) == 12 + 13 + 10 + 34 + 12


# Files


def test_the_released_folder_is_read(tmp_path):
    folder = files.write_release(tmp_path / "t2m")
    found = T2MEvaluator.from_files(folder)
    assert found.width == 263
    np.testing.assert_array_equal(
        found.embed_motions(files.motions(263)), evaluator().embed_motions(files.motions(263))
    )
    np.testing.assert_array_equal(found.embed_texts(files.CAPTIONS), evaluator().embed_texts(files.CAPTIONS))
    about = found.description
    assert about["name"] == "t2m-263"
    assert set(about["files"]) == {
        "finest.tar",
        "mean",
        "std",
        "our_vab_data.npy",
        "our_vab_words.pkl",
        "our_vab_idx.pkl",
    }
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in about["files"].values())
    assert about["published"] == dict.fromkeys(("our_vab_words.pkl", "our_vab_idx.pkl", "mean", "std"), False)
    json.dumps(about)


def test_published_means_are_known(shared_data):
    """MDM's copies of the evaluators' means and deviations are recognised by their hashes, and fit the widths."""
    for kind, width in (("t2m", 263), ("kit", 251)):
        for name in ("mean", "std"):
            path = shared_data / "humanml3d-golden" / f"{kind}_{name}.npy"
            if not path.is_file():
                pytest.skip(f"no {path.name}")
            assert sha256(path) in PUBLISHED[name]
            assert np.load(path).shape == (width,)


def test_files_may_lie_elsewhere(tmp_path):
    """KIT's width; the glove folder beside; mean and deviation by themselves or under MDM's names."""
    folder = files.write_release(tmp_path / "checkpoints" / "kit", 251)
    (folder / "glove").rename(tmp_path / "words")
    for name in ("mean", "std"):
        (folder / "Comp_v6_KLD01" / "meta" / f"{name}.npy").rename(folder / f"kit_{name}.npy")
    with pytest.raises(MateError, match="cannot find the folder of word vectors"):
        T2MEvaluator.from_files(folder)
    assert T2MEvaluator.from_files(folder, tmp_path / "words").width == 251
    (tmp_path / "words").rename(tmp_path / "glove")
    assert T2MEvaluator.from_files(folder).width == 251
    for name in ("mean", "std"):
        (folder / f"kit_{name}.npy").rename(tmp_path / f"my_{name}.npy")
    with pytest.raises(MateError, match="cannot find mean"):
        T2MEvaluator.from_files(folder)
    assert T2MEvaluator.from_files(folder, mean=tmp_path / "my_mean.npy", std=tmp_path / "my_std.npy").width == 251
    with pytest.raises(MateError, match="is no folder"):
        T2MEvaluator.from_files(tmp_path / "nothing")


class Harm:
    """Runs a command when it is unpickled by a reader that runs what it reads."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_file_is_run(tmp_path):
    ran = tmp_path / "ran"
    folder = files.write_release(tmp_path / "t2m")
    (folder / "glove" / "our_vab_idx.pkl").write_bytes(pickle.dumps(Harm(ran)))
    with pytest.raises(MateError, match=r"names (posix|nt)\.system.*it was not run"):
        T2MEvaluator.from_files(folder)
    files.write_glove(folder / "glove", files.TINY["word"])
    torch.save(Harm(ran), folder / "text_mot_match" / "model" / "finest.tar")
    with pytest.raises(MateError, match="no checkpoint of plain weights"):
        T2MEvaluator.from_files(folder)
    assert not ran.exists()


@pytest.mark.parametrize(
    "attack",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\ngetattr\n.",
        b"cnumpy\nload\n.",
        b"cnumpy\nlib.npyio.load\n.",
        b"cnumpy._core.multiarray\nfromfile\n.",
        b"ccollections\nOrderedDict\n.",
        b"c_codecs\nencode\n(Vx\nVhex\ntR.",
        b"cmate.evaluate.glove\nread_pickle\n.",
        b"",
        b"not a pickle",
    ],
)
def test_other_pickles_are_refused(attack, tmp_path):
    path = tmp_path / "some.pkl"
    path.write_bytes(attack)
    with pytest.raises(MateError, match="no pickle of plain values"):
        read_pickle(path)


@pytest.mark.parametrize("how", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_are_read(how, tmp_path):
    path = tmp_path / "some.pkl"
    content = {
        "a": [1, 2.5, "x", b"y", None, True, {3}],
        "b": np.arange(6.0).reshape(2, 3),
        "c": np.float32(2),
        "d": np.array(["w"]),
    }
    path.write_bytes(pickle.dumps(content, protocol=how))
    found = read_pickle(path)
    assert found["a"] == content["a"] and np.array_equal(found["b"], content["b"])
    assert found["c"] == 2 and found["d"].tolist() == ["w"]


def test_the_vocabulary_is_converted_once(tmp_path):
    folder = files.write_glove(tmp_path / "glove", 6)
    first = load_glove(folder)
    kept = {name: (folder / name).stat().st_mtime_ns for name in CONVERTED}
    second = load_glove(folder)
    assert kept == {name: (folder / name).stat().st_mtime_ns for name in CONVERTED}
    assert second.rows == first.rows and second.files == first.files
    assert np.array_equal(first.vectors, second.vectors) and first.vectors.dtype == second.vectors.dtype == np.float32
    # The converted files are enough; with other published files beside them they are made again.
    for name in first.files:
        (folder / name).rename(tmp_path / name)
    assert load_glove(folder).files == first.files
    files.write_glove(folder, 6)
    np.save(folder / "our_vab_data.npy", 2 * files.vectors(6))
    assert np.array_equal(load_glove(folder).vectors, 2 * first.vectors)
    other = tmp_path / "kept"
    load_glove(folder, cache=other)
    assert sorted(path.name for path in other.iterdir()) == sorted(CONVERTED)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path):
    folder = files.write_glove(tmp_path / "glove", 6)
    (tmp_path / "file").write_text("")
    assert load_glove(folder, cache=tmp_path / "file" / "below").rows["man"] == 4
    assert not list(folder.glob("*.json"))


def damage_checkpoint(folder: Path) -> None:
    path = folder / "text_mot_match" / "model" / "finest.tar"
    path.write_bytes(path.read_bytes()[:-2000])


def drop_part(folder: Path) -> None:
    torch.save({"movement_encoder": {}, "epoch": 1}, folder / "text_mot_match" / "model" / "finest.tar")


def drop_tensor(folder: Path) -> None:
    state = files.weights(263, files.TINY)
    del state["text_encoder"]["pos_emb.bias"]
    torch.save(state, folder / "text_mot_match" / "model" / "finest.tar")


def wrong_mean(folder: Path) -> None:
    np.save(folder / "Comp_v6_KLD01" / "meta" / "mean.npy", np.zeros(251))


def zero_std(folder: Path) -> None:
    np.save(folder / "Comp_v6_KLD01" / "meta" / "std.npy", np.zeros(263))


def object_vectors(folder: Path) -> None:
    np.save(folder / "glove" / "our_vab_data.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def few_vectors(folder: Path) -> None:
    np.save(folder / "glove" / "our_vab_data.npy", files.vectors(6)[:3])


def narrow_vectors(folder: Path) -> None:
    np.save(folder / "glove" / "our_vab_data.npy", files.vectors(5))


def no_unknown(folder: Path) -> None:
    (folder / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(["sos", "eos", "man"]))


def words_are_numbers(folder: Path) -> None:
    (folder / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps([1, 2]))


def no_index(folder: Path) -> None:
    (folder / "glove" / "our_vab_idx.pkl").unlink()


def broken_conversion(folder: Path) -> None:
    load_glove(folder / "glove")
    (folder / "glove" / CONVERTED[1]).write_text("{}")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_checkpoint, "finest.tar is no checkpoint of plain weights"),
        (drop_part, "lacks motion_encoder, text_encoder"),
        (drop_tensor, "pos_emb.bias"),
        (wrong_mean, r"mean has shape \(251,\)"),
        (zero_std, "std has shape .* normalise nothing"),
        (object_vectors, "cannot read .*our_vab_data.npy"),
        (few_vectors, "do not fit each other"),
        (narrow_vectors, "word vectors of width 5, expected 6"),
        (no_unknown, "lacks unk"),
        (words_are_numbers, "expected a list of words"),
        (no_index, "lacks our_vab_idx.pkl"),
        (broken_conversion, "delete both"),
    ],
)
def test_damaged_files_are_named(harm, message, tmp_path):
    folder = files.write_release(tmp_path / "t2m")
    harm(folder)
    with pytest.raises(MateError, match=message):
        T2MEvaluator.from_files(folder)


# Input


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (np.zeros((60, 272)), "width 272 .MotionStreamer., expected 263 .HumanML3D"),
        (np.zeros((60, 67)), "width 67 .MARDM., .*cannot be compared"),
        (np.zeros((60, 22, 3)), r"motion 1: got shape \(60, 22, 3\)"),
        (np.zeros((3, 263)), "motion 1: got 3 frames, expected 4 to 196"),
        (np.zeros((200, 263)), "motion 1: got 200 frames"),
        (np.full((60, 263), np.nan), "motion 1: NaN"),
    ],
)
def test_bad_motions_are_named(motion, message):
    with pytest.raises(MateError, match=message):
        evaluator().embed_motions([np.zeros((60, 263)), motion])


@pytest.mark.parametrize(
    ("tags", "message"), [("", "caption 1: got a caption without words"), ("a man", "caption 1: got 'a'")]
)
def test_bad_captions_are_named(tags, message):
    with pytest.raises(MateError, match=message):
        evaluator().embed_texts(["a/DET", tags])


def test_widths():
    check_width(263, 263)
    with pytest.raises(MateError, match="width 100, expected 263"):
        check_width(100, 263)
