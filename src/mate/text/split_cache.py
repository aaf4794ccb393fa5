"""Splitters with one interface, and their answers in a file that people can read and correct.

A splitter turns a caption into its sub-texts: the rules of `mate.text.subtexts`, a language model behind an endpoint
(`mate.text.llm_splitter`), or a ready-made file. Whatever answers, sub-texts are verbatim, non-empty spans of the caption that
do not overlap, in order of time; anything else is refused.

A file of splits holds one JSON object a line, by spans or by words:
    {"text": "a person sits after walking", "spans": [[20, 27], [0, 13]], "sub_texts": ["walking", "a person sits"]}
`spans` are character offsets (end exclusive) in order of time. Where only `sub_texts` is given, the spans are found.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from mate.errors import MateError
from mate.files import atomic_path
from mate.text.subtexts import SubText, split

# Part of the name under which answers are kept: raised whenever the rules change what they answer.
RULES = "rules-2"


class Splitter(Protocol):
    """What turns a caption into sub-texts. `name` says which answers may be reused: another name is another splitter."""

    @property
    def name(self) -> str: ...

    def __call__(self, text: str) -> list[SubText]: ...


class RuleSplitter:
    """The deterministic splitter, `mate.split`."""

    name = RULES

    def __call__(self, text: str) -> list[SubText]:
        """Raises MateError where the caption is empty."""
        return split(text)


class FileSplitter:
    """Ready-made splits, by caption."""

    def __init__(self, path: str | Path) -> None:
        """Raises MateError where the file is missing or a line is no split."""
        self.path = Path(path)
        self.name = f"file {self.path.name}"
        self._parts = {text: parts for text, parts, _ in read_splits(self.path)}

    def __call__(self, text: str) -> list[SubText]:
        """Raises MateError where the file does not hold the caption."""
        if text not in self._parts:
            raise MateError(
                f"{self.path} holds no split of {text!r}; add a line for it, or split with the rules instead"
            )
        return self._parts[text]


class SplitCache:
    """A splitter that remembers its answers, in `splits.jsonl` beside a data set.

    The file may be read and corrected by hand: what stands there is what is used. Call `save` to write new answers.
    """

    def __init__(self, path: str | Path, splitter: Splitter | None = None) -> None:
        """Raises MateError where the file is there and a line is no split."""
        self.path = Path(path)
        self.splitter: Splitter = splitter or RuleSplitter()
        self._rows: dict[tuple[str, str], list[SubText]] = {}
        self._unsaved = False
        if self.path.exists():
            self._rows = {(name, text): parts for text, parts, name in read_splits(self.path)}

    @classmethod
    def beside(cls, folder: str | Path, splitter: Splitter | None = None) -> "SplitCache":
        """The cache of a prepared data set, `FOLDER/splits.jsonl`.

        Raises:
            MateError: no such folder.
        """
        if not Path(folder).is_dir():
            raise MateError(f"no data set at {folder}; `mate prepare` makes one")
        return cls(Path(folder) / "splits.jsonl", splitter)

    @property
    def name(self) -> str:
        return self.splitter.name

    def __call__(self, text: str) -> list[SubText]:
        """Raises MateError as the splitter does."""
        key = (self.name, text)
        if key not in self._rows:
            self._rows[key] = self.splitter(text)
            self._unsaved = True
        return self._rows[key]

    def save(self) -> Path:
        """Writes the file where there are new answers; captions in alphabetical order, so that two files compare line by line."""
        if self._unsaved:
            rows = sorted(self._rows.items(), key=lambda item: (item[0][1], item[0][0]))
            write_splits(self.path, ((text, parts, name) for (name, text), parts in rows))
            self._unsaved = False
        return self.path


def open_splitter(choice: str = "rules") -> Splitter:
    """The splitter that a name stands for: "rules", the path of a file of splits, or "URL#MODEL" of an endpoint.

    Raises:
        MateError: it stands for none.
    """
    if choice == "rules":
        return RuleSplitter()
    if choice.startswith(("http://", "https://")):
        from mate.text.llm_splitter import LLMSplitter

        url, _, model = choice.partition("#")
        if not model:
            raise MateError(f"got the endpoint {choice} without a model; write {choice}#MODEL")
        return LLMSplitter(url, model)
    if Path(choice).is_file():
        return FileSplitter(choice)
    raise MateError(
        f"got the splitter {choice!r}, expected rules, a file of splits (JSON lines) or an endpoint such as "
        "http://localhost:8000/v1#MODEL"
    )


# ---------------------------------------------------------------------- verbatim or refused


def from_spans(text: str, spans: Sequence[Sequence[int]]) -> list[SubText]:
    """Sub-texts from character offsets in order of time.

    Raises:
        MateError: none, an empty one, one outside the text, or two that overlap.
    """
    if not spans:
        raise MateError(f"no sub-texts for {text!r}, expected at least one")
    for start, end in spans:
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            raise MateError(f"got the span {start}..{end} in {text!r}, expected a non-empty part of 0..{len(text)}")
    in_place = sorted((start, end) for start, end in spans)
    for (_, end), (start, _) in itertools.pairwise(in_place):
        if start < end:
            raise MateError(f"two sub-texts of {text!r} overlap at character {start}; expected spans apart")
    return [SubText(text[start:end], start, end, order) for order, (start, end) in enumerate(spans)]


def from_texts(text: str, pieces: Sequence[str]) -> list[SubText]:
    """Sub-texts from their words, in order of time, each looked up in the text letter by letter.

    A piece that occurs more than once is taken behind the piece before it, else at its first free place.

    Raises:
        MateError: a piece that is not a verbatim part of the text, or that is only there inside another piece.
    """
    taken: list[tuple[int, int]] = []
    for piece in (piece.strip() for piece in pieces):
        if not piece or piece not in text:
            raise MateError(f"{piece!r} is not a verbatim part of {text!r}; sub-texts must be copied letter by letter")
        places = [
            place
            for place in range(len(text) - len(piece) + 1)
            if text.startswith(piece, place)
            and all(place >= end or place + len(piece) <= start for start, end in taken)
            and not _inside_a_word(text, place, place + len(piece))
        ]
        if not places:
            raise MateError(f"{piece!r} has no place of its own in {text!r}; sub-texts must not overlap or cut words")
        start = next((place for place in places if taken and place >= taken[-1][1]), places[0])
        taken.append((start, start + len(piece)))
    return from_spans(text, taken)


def _inside_a_word(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    behind = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return before or behind


# ---------------------------------------------------------------------- files


def read_splits(path: str | Path) -> list[tuple[str, list[SubText], str]]:
    """The captions of a file with their sub-texts and the name of the splitter ("" where none stands there).

    Raises:
        MateError: no such file, or a line of another form; the message names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: captions may hold other line breaks
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(f"cannot read splits from {path}: {getattr(error, 'strerror', None) or error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, name = str(row["text"]), str(row.get("splitter", ""))
            if "spans" in row:
                parts = from_spans(text, [(int(start), int(end)) for start, end in row["spans"]])
                if row.get("sub_texts", said := [part.text for part in parts]) != said:
                    raise MateError(
                        f"spans say {said}, sub_texts say {row['sub_texts']}; remove the wrong one of the two"
                    )
            else:
                parts = from_texts(text, [str(piece) for piece in row["sub_texts"]])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MateError(
                f'{path}, line {number}: expected {{"text": ..., "sub_texts": [...]}}, got {line[:80]!r}'
            ) from error
        except MateError as error:
            raise MateError(f"{path}, line {number}: {error}") from error
        rows.append((text, parts, name))
    return rows


def write_splits(path: str | Path, rows: Iterable[tuple[str, Sequence[SubText], str]]) -> Path:
    """Writes (caption, sub-texts, splitter's name) rows as JSON lines.

    Raises:
        MateError: the path cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for text, parts, name in rows:
            spans = [[part.start, part.end] for part in parts]
            row = {"text": text, "spans": spans, "sub_texts": [part.text for part in parts], "splitter": name}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return Path(path)
