"""Sub-texts: a caption cut into its sub-actions, verbatim, in order of time.

The paper asks a large language model for the ordered sub-texts of a caption. Ours: a deterministic splitter that needs
nothing beyond this file. It cuts

- at sentences, semicolons and words of order ("then", "after that", "followed by", "next", "finally", ...),
- at "before" and "after" where an action follows, in order of time ("after X, Y" and "Y after X" give X, Y),
- in lists of verbs ("walks, stops and sits"); two verbs joined by a bare "and" are one sub-action ("walks and waves"),
  unless the second one ends the first ("walks and stops", "turns around and sits down").

"while" and "as" join what happens at once, so nothing is cut there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mate.errors import MateError


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

# Third-person verbs of movement, by their base form. Only used to see whether a comma or an "and" is followed by a verb.
_VERB_LIST = """
accelerate act advance aim amble answer approach attempt back balance bat beckon begin bend bob bounce bow box bring brush call carry
cartwheel catch change charge circle clap clean climb close collapse come continue crawl creep cross crouch curtsy cut dance dart dash
descend dip dive do dodge drag draw drink drive drop duck eat enter exit extend face fall flap flip follow gallop gesture get give
glance go grab greet halt hang heave hit hold hop hunch hurry imitate inspect jab jog jump keep kick knee kneel knock lean leap leave
let lie lift limp look lower lunge make march mime mimic motion move nod open pace paddle pass pat pause perform pick pivot place play
point pose pour prepare press proceed pull punch push put race raise reach regain release remain repeat respond rest retreat return
reverse ride rise rock roll rotate round rub run rush sag salute scratch shake shift shoot show shrug shuffle sidestep sit skate skip
slap slash slide slow snatch sneak spin spread sprint squat stagger stand start stay step sting stomp stoop stop straighten stretch
stride strike stroll strut stumble sway swerve swim swing swipe switch take tap teeter threaten throw tilt tip tiptoe toss touch travel
tread trip trot trudge try tuck tumble turn twirl twist use vault veer wade wait walk wander warm wash watch wave wiggle wipe wobble
work zigzag
"""
_VERBS = frozenset(_VERB_LIST.split())
# These end what went before, so "X and <one of these>" is two sub-actions.
_ENDING = frozenset(
    ("collapse", "crouch", "fall", "halt", "kneel", "lie", "pause", "return", "sit", "squat", "stand", "stop")
)
_PERSON = r"(?:person|man|woman|figure|character|actor|guy|human|individual|subject)"
_SUBJECT = rf"(?:(?:he|she|they|it|who|(?:a|an|the|this)\s+(?:\w+\s+)?{_PERSON}|someone|somebody)\s+)"
_ADVERBS = r"(?:(?:then|also|again|finally|now|quickly|slowly|suddenly|once|\w+ly)\s+)*"
_AUXILIARY = r"(?:(?:is|are|was|has|starts|begins|continues)\s+)?"

# "now and then" is no order; "next to" and "the next" are places; "by then", "since then" are times.
_ORDER = re.compile(
    r"""(?:[,;.:]\s*|\s+)(?:(?:and|but)\s+)?
        (?: (?<!now\ and\ )(?<!by\ )(?<!since\ )then(?:\s+(?:finally|next|again(?=\s+\w+s\b)))?
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
        (?:(?:and|but|first(?:ly)?|first\ of\ all|at\ first|to\ begin\ with|initially|then|next|finally|afterwards?|after\ that|lastly)
           (?:\s*,\s*|\s+))*""",
    re.IGNORECASE | re.VERBOSE,
)
_ING = r"(?!thing\b|something\b|nothing\b|anything\b|everything\b|ring\b|king\b|evening\b|morning\b|ceiling\b|spring\b)[a-z]+ing\b"
_CLAUSE = re.compile(rf"{_SUBJECT}?{_ADVERBS}(?:{_ING})|{_SUBJECT}{_ADVERBS}\w+", re.IGNORECASE)
_TIME_WORD = re.compile(
    r"(?<![\w-])(?:right\s+|just\s+|shortly\s+|immediately\s+|only\s+)?(before|after)\s+", re.IGNORECASE
)
_BOUNDARY = re.compile(r"(,\s*and\s+|,\s*|\s+and\s+)", re.IGNORECASE)
_VERB_NEXT = re.compile(rf"{_SUBJECT}?{_ADVERBS}{_AUXILIARY}([a-z]+)\b", re.IGNORECASE)


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
    for start, end in _pieces(text, _ORDER, 0, len(text)):
        for piece in _time_order(text, start, end):
            found.extend(_verb_list(text, *piece))
    spans = [span for span in (_trim(text, *span) for span in found) if span is not None]
    if not spans:  # nothing but connectives: the caption as it is
        first, last = len(text) - len(text.lstrip()), len(text.rstrip())
        spans = [(first, last)]
    return [SubText(text[start:end], start, end, order) for order, (start, end) in enumerate(spans)]


def standalone(text: str, parts: Sequence[SubText]) -> list[str]:
    """The sub-texts as a text encoder should read them: those without a subject get the caption's own in front.

    "a person walks, then sits" gives "a person walks", "a person sits".
    """
    subject = re.match(rf"\s*(?:first,?\s+|after\s+|before\s+)?({_SUBJECT})", text, re.IGNORECASE)
    any_subject = subject or re.search(rf"(?<!\w)({_SUBJECT})", text, re.IGNORECASE)
    if any_subject is None:
        return [part.text for part in parts]
    name = any_subject.group(1).strip()
    lacking = re.compile(rf"{_ADVERBS}(?:(?:{_ING})|([a-z]+s)\b)", re.IGNORECASE)  # starts with a verb

    def reading(part: SubText) -> str:
        match = lacking.match(part.text)
        starts_with_verb = match is not None and (match.group(1) is None or _is_verb(match.group(1)))
        return f"{name} {part.text}" if starts_with_verb else part.text

    return [reading(part) for part in parts]


def _pieces(text: str, cuts: re.Pattern[str], start: int, end: int) -> Iterator[Span]:
    """The spans between the matches of `cuts`."""
    for match in cuts.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def _has_verb(text: str) -> bool:
    return any(_is_verb(word) or re.fullmatch(_ING, word) is not None for word in re.findall(r"[a-z]+", text.lower()))


def _time_order(text: str, start: int, end: int) -> list[Span]:
    """Cuts one piece at "before" and "after" where an action follows; the spans come back in order of time."""
    for match in _TIME_WORD.finditer(text, start, end):
        if _CLAUSE.match(text, match.end(), end) is None:
            continue
        first_said, rest = (start, match.start()), (match.end(), end)
        is_after = match.group(1).lower() == "after"
        if _has_verb(text[first_said[0] : first_said[1]]):  # "X before Y", "Y after X"
            later = _time_order(text, *rest)
            return [*later, *_cut_list(text, first_said)] if is_after else [*_cut_list(text, first_said), *later]
        comma = text.find(",", match.end(), end)  # "after X, Y", "before Y, X"; a subject before "after" is no action
        if comma > 0:
            named, other = [(match.end(), comma)], _time_order(text, comma + 1, end)
            return [*named, *other] if is_after else [*other, *named]
    return [(start, end)]


def _cut_list(text: str, span: Span) -> list[Span]:
    return [span] if _trim(text, *span) else []


def _is_verb(word: str) -> bool:
    """Whether a word is the third-person form of a verb of movement."""
    return _base(word) is not None


def _base(word: str) -> str | None:
    word = word.lower()
    if not word.endswith("s"):
        return None
    bases = [word[:-1]]
    if word.endswith("ies"):
        bases.append(word[:-3] + "y")
    elif word.endswith("es"):
        bases.append(word[:-2])
    return next((base for base in bases if base in _VERBS), None)


def _verb_list(text: str, start: int, end: int) -> list[Span]:
    """Cuts a piece at the commas and "and"s that are followed by a finite verb."""
    cuts: list[tuple[int, int, bool, str]] = []  # (start, end, has a comma, base of the verb)
    for match in _BOUNDARY.finditer(text, start, end):
        following = _VERB_NEXT.match(text, match.end(), end)
        base = _base(following.group(1)) if following else None
        if base is not None and _has_verb(text[start : match.start()]):
            cuts.append((match.start(), match.end(), "," in match.group(), base))
    is_list = any(comma for *_, comma, _ in cuts)
    pieces, begin = [], start
    for cut_start, cut_end, _, base in cuts:
        if is_list or base in _ENDING:
            pieces.append((begin, cut_start))
            begin = cut_end
    return [*pieces, (begin, end)]


def _trim(text: str, start: int, end: int) -> Span | None:
    """The span without leading connectives and outer punctuation; None where no letter is left."""
    match = _LEADING.match(text, start, end)
    start = match.end() if match else start
    while end > start and not text[end - 1].isalnum() and text[end - 1] not in "')\"":
        end -= 1
    while start < end and not text[start].isalnum() and text[start] not in "'(\"":
        start += 1
    if not any(letter.isalpha() for letter in text[start:end]):
        return None
    return start, end
