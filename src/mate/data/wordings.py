"""The wordings of templated captions: which are for training, which are held out for tests of unseen wording."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from mate.data.captions import mirror_caption

PARAPHRASE_SHARE = 0.75  # share of the training captions that use the further wordings
PHRASE_SHARE = 0.75  # share of those that use a whole phrase where there are any, not a template


@cache
def wordings() -> dict[str, Any]:
    """The packaged table: subjects, connectives, contents and styles, each with `train` and `held_out` lists."""
    return json.loads((files("mate.data") / "wordings.json").read_text(encoding="utf-8"))


@cache
def paraphrases() -> dict[str, Any]:
    """The packaged further training wordings: subjects, and by content templates with choices (a|b) and whole phrases."""
    table = json.loads((files("mate.data") / "paraphrases.json").read_text(encoding="utf-8"))
    contents: dict[str, list[str]] = {}
    for content, templates in table["contents"].items():
        if templates[0].startswith("@"):
            templates = table["shared"][templates[0][1:]]
            if content.endswith("right") or "-right-" in content:
                templates = [mirror_caption(template) for template in templates]
        contents[content] = templates
    phrases = {
        name.replace("{side}", side): tuple(phrase.replace("{side}", side) for phrase in listed)
        for name, listed in table["phrases"].items()
        for side in ("left", "right")
    }
    return {"subjects": table["subjects"], "contents": contents, "phrases": phrases}


_CHOICE = re.compile(r"\(([^()]*)\)")


def expand(template: str, rng: np.random.Generator) -> str:
    """One reading of a template: every (a|b|c) replaced by one of its choices."""
    text = _CHOICE.sub(lambda match: str(rng.choice(match.group(1).split("|"))), template)
    return " ".join(text.split())


def fraction(key: str) -> float:
    """A number in [0, 1) that depends on the text alone: for splits that never move."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def generator(*key: object) -> np.random.Generator:
    """A random generator that depends on the key alone."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest[:16], dtype=np.uint32))


@dataclass(frozen=True)
class Wording:
    """One caption in its parts. `kind` is "seen" (training wordings) or "unseen" (held out)."""

    subject: str
    phrase: str
    kind: str

    @property
    def text(self) -> str:
        return f"{self.subject} {self.phrase}"


def draw(content: str, style: str, kind: str, rng: np.random.Generator, style_share: float = 0.75) -> Wording:
    """One wording of a (content, style) pair: subject, content wording, and in `style_share` of the cases a style wording.

    Args:
        kind: "seen" draws from the training lists and the further wordings, "unseen" from the held-out lists.
    """
    table = wordings()
    part = {"seen": "train", "unseen": "held_out"}[kind]
    subject = str(rng.choice(table["subjects"][part]))
    phrase = str(rng.choice(table["contents"][content][part]))
    more = paraphrases()
    if kind == "seen" and rng.random() < PARAPHRASE_SHARE:
        subject = str(rng.choice([*table["subjects"][part], *more["subjects"]]))
        if content in more["phrases"] and rng.random() < PHRASE_SHARE:
            phrase = str(rng.choice(more["phrases"][content]))
        elif content in more["contents"]:
            phrase = expand(str(rng.choice(more["contents"][content])), rng)
    manner = table["styles"].get(style, {}).get(part) or [""]
    if rng.random() < style_share:
        phrase = f"{phrase} {rng.choice(manner)}".strip()
    return Wording(subject, phrase, kind)


def split_subject(caption: str) -> tuple[str, str] | None:
    """A templated caption as (subject, phrase), or None where it starts with no known subject."""
    table = wordings()["subjects"]
    for subject in (*table["train"], *table["held_out"], *paraphrases()["subjects"]):
        if caption.lower().startswith(subject + " "):
            return caption[: len(subject)], caption[len(subject) + 1 :]
    return None


_DOUBLING = re.compile(r"[^aeiou][aeiou][bdgmnprt]$")


def gerund(phrase: str) -> str:
    """The -ing form of a third-person phrase: "walks forward and turns left" -> "walking forward and turning left".

    Verbs are the first word and a word with -s after "and"; "is walking" loses its "is".
    """
    phrase = re.sub(r"^is (\w+ing)\b", r"\1", phrase)
    return re.sub(r"(^|\band )(\w+s)\b", lambda match: match.group(1) + _ing(match.group(2)), phrase)


def _ing(verb: str) -> str:
    if verb.endswith(("ches", "shes", "sses", "xes", "goes", "does")):
        stem = verb[:-2]
    elif verb.endswith("ies"):
        stem = verb[:-3] + "y"
    else:
        stem = verb[:-1]
    if stem.endswith("e") and not stem.endswith(("ee", "oe", "ye")):
        return stem[:-1] + "ing"
    if (
        _DOUBLING.search(stem)
        and stem not in ("gestur", "bolt")
        and not stem.endswith(("en", "er", "ow"))
        and len(stem) <= 4
    ):
        return stem + stem[-1] + "ing"
    return stem + "ing"


_INSERT = re.compile(r"\{(\d)(:ing)?\}")


def connect(template: str, phrases: list[str]) -> str:
    """Fills a connective such as "{0}, followed by {1:ing}" with phrases."""
    return _INSERT.sub(lambda m: gerund(phrases[int(m.group(1))]) if m.group(2) else phrases[int(m.group(1))], template)
