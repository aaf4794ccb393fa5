"""Sub-texts: a caption cut into its sub-actions, verbatim, in order of time.

The paper asks a large language model for the ordered sub-texts of a caption. Ours: a deterministic splitter that needs
nothing beyond two word lists (`mate.text.verbs`). It cuts

- at sentences, semicolons and words of order ("then", "after that", "followed by", "next", "finally", ...),
- at "before" and "after" where an action follows, in order of time ("after X, Y" and "Y after X" give X, Y),
- in lists of verbs ("walks, stops and sits"); two verbs joined by a bare "and" are one sub-action ("walks and waves"),
  unless the first is over when the second begins ("walks and stops", "turns around and sits down").

"while" and "as" join what happens at once, so nothing is cut there; nor at participles that say how ("walks, swinging
the arms"), counts and durations. A sub-text is always a span of the caption: `words_of` maps it back to the words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mate.data.captions import Word
from mate.errors import MateError
from mate.text.verbs import Verb, ends_before, one_path, read, verbs


@dataclass(frozen=True)
class SubText:
    """One sub-action of a caption.

    Attributes:
        text: verbatim, `caption[start:end]`.
        start: first character offset.
        end: offset behind the last character.
        order: its place in time, from 0.
    """

    text: str
    start: int
    end: int
    order: int


Span = tuple[int, int]

_PERSON = r"(?:persons?|man|woman|figure|character|actor|guy|human|individual|subject|boy|girl|child)"
_SUBJECT = rf"(?:(?:he|she|they|it|who|(?:(?:a|an|the|this)\s+)(?:\w+\s+)?{_PERSON}|someone|somebody)\s+)"
_ADVERBS = r"(?:(?:then|also|again|finally|now|quickly|slowly|suddenly|once|afterwards|\w+ly)\s+)*"
_AUXILIARY = r"(?:(?:is|are|was|has)\s+(?:then\s+|also\s+)?)?"

# "now and then" is no order; "next to" and "the next" are places; "by then", "since then" are times; "he then sits" and
# "is then pushed" must stay whole.
_ORDER = re.compile(
    r"""(?:[,;.:]\s*|\s+)(?:(?:and|but)\s+)?
        (?: (?<!now\ and\ )(?<!by\ )(?<!since\ )(?<!\bhe\ )(?<!\bshe\ )(?<!\bthey\ )(?<!\bis\ )(?<!\bare\ )(?<!\bwas\ )
            then(?:\s+(?:finally|next|again(?=\s+\w+s\b)))? | (?<=and\ )than
          | after\s+(?:that|this|which|it|a\s+(?:while|moment))(?![\w-])
          | afterwards? | thereafter | subsequently | (?:is\s+|are\s+)?followed\s+by)
        (?![\w-])[,:]?\s*
      | (?:[,;.:]\s*(?:(?:and|but)\s+)?|\s+(?:and|but)\s+)
        (?: next(?!\s+to\b) | finally | lastly | eventually | later(?:\s+on)? | second(?:ly)? | third(?:ly)? | last
          | in\s+the\s+end)
        (?=[\s,:])[,:]?\s*
      | [;\n\r]+\s* | [.!?]+(?=\s|$)\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_LEADING = re.compile(
    r"""(?:\s|[,;:.\-])*
        (?:(?:and|but|first(?:ly)?|first\ of\ all|at\ first|to\ begin\ with|initially|then|next|finally|afterwards?|after\ that|lastly
             |after\ a\ (?:while|moment)|later(?:\ on)?|eventually)
           (?:\s*,\s*|\s+))*""",
    re.IGNORECASE | re.VERBOSE,
)
_TRAILING = re.compile(
    r"(?:\s|[,;:])+(?:afterwards?|after(?:\s+(?:that|this))?|(?<!and )then|finally|eventually)$", re.IGNORECASE
)
_ING = r"(?!thing\b|something\b|nothing\b|anything\b|everything\b|ring\b|king\b|evening\b|morning\b|ceiling\b|spring\b)[a-z]+ing\b"
_CLAUSE = re.compile(rf"{_SUBJECT}?{_ADVERBS}(?:{_ING})|{_SUBJECT}{_ADVERBS}\w+", re.IGNORECASE)
# Nouns of action: "after two hops", "before a jump".
_COUNT = (
    r"(?:an?|one|two|three|four|five|six|several|some|\d+|a\s+few|a\s+couple\s+of|his|her|their|the)\s+(?:\w+\s+){0,2}?"
)
_EVENT = re.compile(
    rf"{_COUNT}(?:hops?|jumps?|leaps?|spins?|kicks?|punch(?:es)?|bows?|squats?|rolls?)\b", re.IGNORECASE
)
_STEPS = re.compile(rf"{_COUNT}steps?\b", re.IGNORECASE)
_TIME_WORD = re.compile(
    r"(?<![\w-])(?:right\s+|just\s+|shortly\s+|immediately\s+|directly\s+|only\s+)?(before|after)\s+", re.IGNORECASE
)
_MAIN = re.compile(rf"\s(?={_SUBJECT}{_ADVERBS}\w+)", re.IGNORECASE)
_BOUNDARY = re.compile(r"(\s*,\s*(?:and|but)\s+|\s*,\s*|\s+(?:and|but)\s+|\s+&\s+)", re.IGNORECASE)
_NEXT = re.compile(rf"({_SUBJECT})?{_ADVERBS}({_AUXILIARY})([a-z]+)\b", re.IGNORECASE)
_IS = re.compile(r"(?:is|are|was)\s", re.IGNORECASE)
_WHEN = re.compile(rf"(?:when|once|as\s+soon\s+as)\s+{_SUBJECT}", re.IGNORECASE)
_MORE = re.compile(
    r"(?:an?|one|two|three|four|five|another|\d+)(?:\s+(?:more|another))?\s+"
    r"(?:steps?|jumps?|hops?|kicks?|turns?|strides?|to\s+(?:the|his|her|its|their)|forwards?|backwards?|back)\b",
    re.IGNORECASE,
)
_EVENTS_BEFORE = re.compile(r"\b(?:steps?|jumps?|hops?|kicks?|turns?|strides?)\b", re.IGNORECASE)
_SUBORDINATE = re.compile(r"\s*(?:and\s+|but\s+)?(?:while|whilst|when|as|once|if|during)\b[^,]*$", re.IGNORECASE)
_NOUN_LIST = re.compile(
    r"\b(?:perform|do|throw|make|practi[cs]e)(?:s|es|ing)?\s+(?:(?:some|several|various|different|\w+ly)\s+)?\w+(?<!s)s\s*$",
    re.IGNORECASE,
)
# "walks forward is pushed back": a second finite verb where a comma or an "and" was left out.
_LEFT_OUT = re.compile(
    r"""(?P<gap>\s+)(?=(?:is|gets|was)\s+(?:\w+ly\s+)?(?:pushed|shoved|hit|pulled|thrown)\b)
      | \b(?:(?:for|back|side)wards?|around|back|again|down|steps|behind|front|left|right)(?P<space>\s+)
        (?=(?:gets|takes|goes|does|makes|performs|continues|picks|puts|raises|lowers|sits|stumbles|spins|returns|turns?\s+around)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT = re.compile(r"\s*(?:\(|or\b|like\b|maybe\b|perhaps\b)", re.IGNORECASE)


def split(text: str) -> list[SubText]:
    """The sub-texts of a caption, verbatim spans with character offsets, in order of time; at least one.

    Raises:
        MateError: the caption is empty.
    """
    if not text.strip():
        raise MateError(
            "cannot split an empty caption; write what the motion should be, such as 'a person walks forward'"
        )
    found: list[Span] = []
    for start, end in _ordered(text):
        for piece in _time_order(text, start, end):
            found.extend(_verb_list(text, *piece))
    spans = [span for span in (_trim(text, *span) for span in found) if span is not None]
    if not spans:  # nothing but connectives: the caption as it is
        first, last = len(text) - len(text.lstrip()), len(text.rstrip())
        spans = [(first, last)]
    return [SubText(text[start:end], start, end, order) for order, (start, end) in enumerate(spans)]


def words_of(parts: Sequence[SubText], spoken: Sequence[Word]) -> list[int]:
    """For each word of a caption the place in `parts` of the sub-text that holds it, -1 for words between sub-texts."""
    return [next((n for n, part in enumerate(parts) if part.start <= word.start < part.end), -1) for word in spoken]


def standalone(text: str, parts: Sequence[SubText]) -> list[str]:
    """The sub-texts as a text encoder should read them: those without a subject get the caption's own in front.

    "a person walks, then sits" gives "a person walks", "a person sits".
    """
    subject = re.match(rf"\s*(?:first,?\s+|after\s+|before\s+)?({_SUBJECT})", text, re.IGNORECASE)
    any_subject = subject or re.search(rf"(?<!\w)({_SUBJECT})", text, re.IGNORECASE)
    if any_subject is None:
        return [part.text for part in parts]
    name = any_subject.group(1).strip()
    first_word = re.compile(rf"{_ADVERBS}([a-z]+)\b", re.IGNORECASE)

    def reading(part: SubText) -> str:
        match = first_word.match(part.text)
        starts_with_verb = match is not None and (
            read(match.group(1)) is not None or match.group(1).lower() in ("is", "has")
        )
        return f"{name} {part.text}" if starts_with_verb else part.text

    return [reading(part) for part in parts]


# ---------------------------------------------------------------------- words of order, sentences


def _ordered(text: str) -> Iterator[Span]:
    """The spans between sentences and words of order, in reading order."""
    start = 0
    for match in _ORDER.finditer(text):
        only_subject = re.fullmatch(rf"\s*{_SUBJECT}", text[start : match.start()] + " ", re.IGNORECASE)
        if only_subject or _continues(text, start, match):
            continue
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _continues(text: str, start: int, cut: re.Match[str]) -> bool:
    """Whether the sentence behind a full stop names no further action: a comment, a fragment, or how it is done."""
    if not re.fullmatch(r"[.!?]+\s+", cut.group()):
        return False
    behind = re.match(r"[^.!?;]*", text[cut.end() :])
    sentence = behind.group() if behind else ""
    leading = _LEADING.match(sentence)
    if not sentence.strip() or (leading and leading.end() > 0):
        return False
    if _COMMENT.match(sentence):
        return True
    following, before = verbs(sentence), verbs(text, start, cut.start())
    if not before:
        return False
    if not following:
        return True
    bare_participle = following[0].kind == "ing" and following[0].start == len(sentence) - len(sentence.lstrip())
    if bare_participle:
        return _is_full(text, start, before[0]) and not any(verb.kind == "finite" for verb in following[1:])
    return following[0].kind == "finite" and following[0].base in ("resemble", "seem")


def _is_full(text: str, start: int, verb: Verb) -> bool:
    """Whether a verb is a full predicate ("walks", "is walking"), not a bare participle ("a person walking")."""
    return (
        verb.kind != "ing"
        or re.search(r"\b(?:is|are|was|ist)\s+(?:\w+\s+)?$", text[start : verb.start], re.IGNORECASE) is not None
    )


# ---------------------------------------------------------------------- before and after


def _time_order(text: str, start: int, end: int) -> list[Span]:
    """Cuts one piece at "before" and "after" where an action follows; the spans come back in order of time."""
    for match in _TIME_WORD.finditer(text, start, end):
        said, rest = (start, match.start()), match.end()
        is_after = match.group(1).lower() == "after"
        fronted = not verbs(text, *said)
        clause = _CLAUSE.match(text, rest, end) is not None
        if not (clause or _EVENT.match(text, rest, end) or (fronted and _STEPS.match(text, rest, end))):
            continue
        if not fronted:  # "X before Y", "Y after X"
            later = _time_order(text, rest, end)
            earlier = [said] if _trim(text, *said) else []
            return [*later, *earlier] if is_after else [*earlier, *later]
        comma = text.find(",", rest, end)  # "after X, Y", "before Y, X"; a subject before "after" is no action
        subject = _MAIN.search(text, rest, end) if comma < 0 else None
        middle = (comma, comma + 1) if comma > 0 else subject.span() if subject else None
        if middle is not None:
            named, other = [(rest, middle[0])], _time_order(text, middle[1], end)
            return [*named, *other] if is_after else [*other, *named]
    return [(start, end)]


# ---------------------------------------------------------------------- lists of verbs


@dataclass(frozen=True)
class _Cut:
    start: int
    end: int
    comma: bool
    sure: bool  # a list of verbs by its form alone; otherwise the meaning of both sides decides


def _verb_list(text: str, start: int, end: int) -> list[Span]:
    """Cuts a piece at the commas and "and"s that are followed by a verb in the form of the piece's own."""
    pieces: list[Span] = []
    for begin, stop in _left_out(text, start, end):
        head = next(iter(verbs(text, begin, stop)), None)
        cuts = _cuts(text, begin, stop, head)
        is_list = any(cut.comma and cut.sure for cut in cuts)
        edges = [begin, *(cut.end for cut in cuts)]
        for number, cut in enumerate(cuts):
            behind = cuts[number + 1].start if number + 1 < len(cuts) else stop
            sides = text[edges[number] : cut.start], text[cut.end : behind]
            if cut.sure or ends_before(*sides) or (is_list and not one_path(*sides)):
                pieces.append((begin, cut.start))
                begin = cut.end
        pieces.append((begin, stop))
    return pieces


def _left_out(text: str, start: int, end: int) -> Iterator[Span]:
    for match in _LEFT_OUT.finditer(text, start, end):
        gap = match.span("gap" if match["gap"] else "space")
        before = text[start : gap[0]]
        joined = re.search(
            r"\b(?:who|that|which)\b|(?:\b(?:and|he|she|it|they|while|when|as|then|but)|,)\s*$", before, re.IGNORECASE
        )
        subject = re.search(rf"{_SUBJECT}$", before + " ", re.IGNORECASE)
        if any(verb.kind == "finite" for verb in verbs(before)) and not joined and not subject:
            yield start, gap[0]
            start = gap[1]
    yield start, end


def _cuts(text: str, start: int, end: int, head: Verb | None) -> list[_Cut]:
    """Where a piece may be cut: commas and "and"s with an action behind them. `head` is the piece's first verb."""
    cuts: list[_Cut] = []
    participles: list[_Cut] = []
    for match in _BOUNDARY.finditer(text, start, end):
        at, comma, left = match.end(), "," in match.group(), text[start : match.start()]
        joined = _WHEN.match(text, at, end) or (_MORE.match(text, at, end) and _EVENTS_BEFORE.search(left))
        if joined and not comma:
            cuts.append(_Cut(match.start(), at, comma=False, sure=True))
            continue
        following = _NEXT.match(text, at, end)
        if following is None or not left.strip() or _SUBORDINATE.match(left):
            continue
        subject, auxiliary, word = following.groups()
        cut = _Cut(match.start(), at, comma, sure=comma)
        if _IS.match(auxiliary):  # "and is then pushed", ", is walking"
            if not subject or word.endswith("ed"):  # a new clause with a subject may go on at the same time
                cuts.append(replace(cut, sure=comma or "then" in auxiliary.lower()))
            continue
        form = read(word)
        if form is None or head is None or head.start >= match.start():
            continue
        kind = form[1]
        if kind == "ing" and head.kind == "ing":
            participles.append(cut)
        is_finite = kind == "finite" and not _NOUN_LIST.search(left)
        is_bare = kind == "bare" and head.kind in ("finite", "bare") and not subject
        if is_finite or is_bare or kind == head.kind == "past":
            cuts.append(cut)
    return sorted([*cuts, *_participles(participles)], key=lambda cut: cut.start)


def _participles(found: list[_Cut]) -> list[_Cut]:
    """Participles behind commas are a list only where an "and" ends it: "walking, turning and sitting"."""
    ended = any(not cut.comma for cut in found)
    return [cut for cut in found if ended]


def _trim(text: str, start: int, end: int) -> Span | None:
    """The span without leading and trailing connectives and outer punctuation; None where no letter is left."""
    match = _LEADING.match(text, start, end)
    start = match.end() if match else start
    while True:
        while end > start and not text[end - 1].isalnum() and text[end - 1] not in "')\"":
            end -= 1
        trailing = _TRAILING.search(text, start, end)
        if trailing is None:
            break
        end = trailing.start()
    while start < end and not text[start].isalnum() and text[start] not in "'(\"":
        start += 1
    if not any(letter.isalpha() for letter in text[start:end]):
        return None
    return start, end
