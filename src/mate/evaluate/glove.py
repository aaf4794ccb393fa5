"""The word vectors of the T2M evaluator: `our_vab_data.npy`, `our_vab_words.pkl`, `our_vab_idx.pkl`, as its authors publish them.

Two of the three files are pickles. They are read once, by a reader that knows plain containers, numbers, strings and NumPy arrays and
refuses everything else, and kept as `our_vab.safetensors` and `our_vab.json` from then on.
"""

import contextlib
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mate.checkpoints import sha256
from mate.errors import MateError
from mate.files import atomic_path

VECTORS, WORDS, INDEX = "our_vab_data.npy", "our_vab_words.pkl", "our_vab_idx.pkl"
CONVERTED = ("our_vab.safetensors", "our_vab.json")

# Parts of speech, in the order of the evaluator's one-hot input.
POS = (
    "VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV",
    "Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP", "OTHER",
)  # fmt: skip
# Words whose own class stands in the place of their part of speech. Part of what the evaluator was trained on.
_CLASSES = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop sit lift lower raise wash stand "
    "kneel stroll rub bend balance flap jog shuffle lean rotate spin spread climb",
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
CLASS_OF = {word: kind for kind, words in _CLASSES.items() for word in words.split()}

_BUILTINS = {
    kind.__name__: kind
    for kind in (set, frozenset, bytearray, list, dict, tuple, str, bytes, int, float, bool, complex)
}


# Where NumPy's arrays and scalars say they are made, in its versions 1 and 2.
_NUMPY = {
    "ndarray": "numpy",
    "dtype": "numpy",
    "_reconstruct": "multiarray",
    "scalar": "multiarray",
    "_frombuffer": "numeric",
}


class _PlainReader(pickle.Unpickler):
    """Reads builtin values and NumPy arrays; a pickle that names anything else is refused before it is looked up."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name in ("builtins", "__builtin__") and global_name in _BUILTINS:
            return _BUILTINS[global_name]
        home = _NUMPY.get(global_name)
        if home and module_name in (
            "numpy" if home == "numpy" else f"numpy.{core}.{home}" for core in ("core", "_core")
        ):
            return getattr(np if home == "numpy" else import_module(f"numpy._core.{home}"), global_name)
        if (module_name, global_name) == ("_codecs", "encode"):  # how old pickles write bytes
            return lambda text, codec: str(text).encode({"latin1": "latin1"}[codec])
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")


def read_pickle(path: str | Path) -> Any:
    """What a pickle of builtin values and NumPy arrays holds. Nothing of the file is run.

    Raises:
        MateError: no such file, a damaged one, or one that holds anything else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MateError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _PlainReader(io.BytesIO(content)).load()
    except Exception as error:  # a broken pickle can raise any kind
        raise MateError(
            f"{path} is no pickle of plain values and NumPy arrays ({error}); it was not run; get the published file again"
        ) from error


@dataclass(frozen=True, eq=False)
class Glove:
    """Word vectors and their words.

    Attributes:
        vectors: (V, W) float32.
        rows: word -> row.
        files: SHA-256 of the published files that they come from, by name.
    """

    vectors: np.ndarray
    rows: Mapping[str, int]
    files: Mapping[str, str]

    def encode(self, tags: str) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (L, W) and parts of speech (L, 15, one-hot), both float32, of `word/POS` pairs with a space between them.

        An unknown word takes the vector of `unk` and the class OTHER.

        Raises:
            MateError: no pairs, or a word without its part of speech.
        """
        vectors, classes = [], []
        for pair in tags.split():
            word, slash, pos = pair.rpartition("/")
            if not slash:
                raise MateError(
                    f"got {pair!r} in {tags[:60]!r}, expected word/POS pairs as in texts/*.txt; `mate.data.captions.tag` makes rough ones"
                )
            known = word in self.rows
            vectors.append(self.vectors[self.rows[word if known else "unk"]])
            pos = CLASS_OF.get(word, pos) if known else "OTHER"
            classes.append(POS.index(pos) if pos in POS else POS.index("OTHER"))
        if not vectors:
            raise MateError("got a caption without words, expected word/POS pairs as in texts/*.txt")
        return np.stack(vectors), np.eye(len(POS), dtype=np.float32)[classes]


def load_glove(folder: str | Path, cache: str | Path | None = None) -> Glove:
    """The word vectors in a folder; the published files are converted once.

    Args:
        folder: has the published three files, or what an earlier call made of them.
        cache: where to keep the converted files; beside the published ones by default. A folder that cannot be written is no error: the
            pickles are read again next time.

    Raises:
        MateError: files are missing, damaged, of another form, or hold anything but words and numbers.
    """
    root, kept = Path(folder), Path(cache or folder)
    sources = [root / name for name in (VECTORS, WORDS, INDEX)]
    published = all(path.is_file() for path in sources)
    hashes = {path.name: sha256(path) for path in sources} if published else None
    if all((kept / name).is_file() for name in CONVERTED):
        found = _read_converted(kept)
        if hashes is None or found.files == hashes:
            return found
    if hashes is None:
        missing = ", ".join(path.name for path in sources if not path.is_file())
        raise MateError(
            f"{root} lacks {missing}; expected the glove folder of the T2M evaluator: see docs/evaluation.md"
        )
    glove = _convert(root, hashes)
    with contextlib.suppress(MateError, OSError):
        _write_converted(glove, kept)
    return glove


def _convert(root: Path, hashes: Mapping[str, str]) -> Glove:
    try:
        vectors = np.load(root / VECTORS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {root / VECTORS}: {error}; get the published file again") from error
    words, index = read_pickle(root / WORDS), read_pickle(root / INDEX)
    words = words.tolist() if isinstance(words, np.ndarray) else words
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise MateError(
            f"{root / WORDS}: got {type(words).__name__}, expected a list of words; get the published file again"
        )
    found = [index.get(word) for word in words] if isinstance(index, dict) else []
    rows = {word: int(row) for word, row in zip(words, found, strict=False) if isinstance(row, int | np.integer)}
    fits = vectors.ndim == 2 and vectors.dtype.kind == "f" and len(rows) == len(set(words))
    if not fits or not all(0 <= row < len(vectors) for row in rows.values()):
        raise MateError(
            f"{root}: the files do not fit each other: vectors {vectors.shape}, {len(words)} words, {len(rows)} of them in {INDEX}; "
            "get the published files again"
        )
    missing = [word for word in ("sos", "eos", "unk") if word not in rows]
    if missing:
        raise MateError(f"{root}: the vocabulary lacks {', '.join(missing)}; get the published files again")
    return Glove(vectors.astype(np.float32), rows, dict(hashes))


def _write_converted(glove: Glove, folder: Path) -> None:
    from safetensors.numpy import save_file

    with atomic_path(folder / CONVERTED[0]) as path:
        save_file({"vectors": glove.vectors}, path)
    with atomic_path(folder / CONVERTED[1]) as path:
        text = json.dumps({"files": glove.files, "words": glove.rows}, indent=0, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def _read_converted(folder: Path) -> Glove:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        vectors = load_file(folder / CONVERTED[0])["vectors"]
        content = json.loads((folder / CONVERTED[1]).read_text(encoding="utf-8"))
        rows, files = content["words"], content["files"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise MateError(
            f"{folder}: cannot read {' and '.join(CONVERTED)} ({error}); delete both, they are made again"
        ) from error
    if not rows or max(rows.values()) >= len(vectors):
        raise MateError(f"{folder}: {' and '.join(CONVERTED)} do not fit each other; delete both, they are made again")
    return Glove(vectors, rows, files)
