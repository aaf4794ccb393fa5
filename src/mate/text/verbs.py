"""Verbs of movement in captions: their forms, and which of them end what went before.

Word lists, no model: enough to see whether a comma or an "and" is followed by an action, and whether two actions can happen
at once ("walks and waves") or one ends before the other begins ("bends down and drinks").
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

_VERBS = frozenset(
    """
accelerate act advance aim amble answer approach arrive attempt avoid back balance bash bat beat beckon begin bend
bob bounce bow box brake break bring brush bump call carry cartwheel cast catch change charge chase check circle
circulate clap clean climb clench close collapse come compensate continue counterbalance cover crawl creep cross
crouch curl curtsy curve cut dance dart dash decelerate descend dig dip dive do dodge drag draw dribble drink drive
drop duck eat end enter evade exercise exit extend face fall find flap flex flip flutter fold follow freeze gain
gallop gesticulate gesture get give glance glide go grab greet halt hang heave hike hit hobble hold hop hug hunch
hunker hurry imitate inspect interact jab jerk jog jump keep kick kneel knock land lay lead lean leap leave let lie
lift limp listen look lose lower lunge lurch make march mime mimic motion move need nod open pace paddle pass pat
pause perform pick pivot place play point pose pour practice practise prepare press pretend proceed protect pull
punch push put race raise reach react receive recover regain relax release remain repeat reposition resemble respond
rest resume retreat return reverse ride rise rock roll rotate round rub run rush sag salute say scratch search seem
set shadowbox shake shift shoot shoulder shout shove shovel show shrug shuffle sidestep sign sink sit skate skip
slap slash slide slip slouch slow slump smash sneak snatch spar speed spin split sprint spread squat stab stagger
stamp stand start stay steer step sting stir stomp stoop stop straighten stretch stride strike stroke stroll strum
strut stumble sway swerve swim swing swipe switch swivel take tap tap-dance teeter threaten throw tilt tip tiptoe
topple toss touch travel tread trip trot trudge try tuck tumble tune turn twirl twist use vault veer wade wait walk
waltz wander want warm wash watch wave whip wiggle wind wipe wobble work wrap wrestle write yank yawn zigzag
""".split()
)
# Spellings of verbs that people type often in captions.
_MISSPELT = {"trurn": "turn", "perfom": "perform", "peform": "perform", "jogg": "jog", "wlak": "walk", "wal": "walk"}
# As a bare form these are verbs more often than nouns, so "..., turn around" (for "turns") is a list of verbs too.
_BARE = frozenset(
    """
bend climb come continue crawl do fall get go jump kneel make move pick pull push put raise return run sit stand
start stop take throw turn walk
""".split()
)
_IRREGULAR_PAST = {
    "began": "begin", "bent": "bend", "came": "come", "caught": "catch", "did": "do", "fell": "fall", "got": "get", "held": "hold",
    "knelt": "kneel", "leapt": "leap", "lay": "lie", "made": "make", "put": "put", "ran": "run", "sat": "sit", "spun": "spin",
    "stood": "stand", "swung": "swing", "threw": "throw", "took": "take", "went": "go",
}  # fmt: skip
_NO_PARTICIPLE = frozenset(
    "thing something nothing anything everything ring king evening morning ceiling spring during".split()
)
# What precedes a noun: "two steps", "a walk", "his punches".
_DETERMINERS = frozenset(
    """
a an the this that these those his her their its my your both each every some several few many more another other of
one two three four five six seven eight nine ten no any various with by
""".split()
)
_TOKEN = re.compile(r"[a-z]+|\d+(?:[.,]\d+)?", re.IGNORECASE)

Kind = Literal["finite", "bare", "ing", "past"]


@dataclass(frozen=True)
class Verb:
    """A verb in a text: its base form, the kind of its form, and where it stands."""

    base: str
    kind: Kind
    start: int
    end: int


@cache
def _forms() -> dict[str, tuple[str, Kind]]:
    """Inflected form -> (base, kind) for all listed verbs."""
    forms: dict[str, tuple[str, Kind]] = {}
    bases = {**{base: base for base in _VERBS}, **_MISSPELT}
    for spelt, base in sorted(bases.items()):
        ends_in_y = spelt[-1] == "y" and spelt[-2] not in "aeiou"
        sibilant = spelt.endswith(("s", "x", "z", "sh", "ch", "o"))
        forms[f"{spelt[:-1]}ies" if ends_in_y else f"{spelt}es" if sibilant else f"{spelt}s"] = base, "finite"
        silent_e = spelt.endswith("e") and not spelt.endswith("ee")
        doubled = re.search(r"[^aeiou][aeiou][bgklmnprt]$", spelt) is not None
        stems = {spelt[:-1] if silent_e else spelt} | ({spelt + spelt[-1]} if doubled else set())
        if spelt in ("lie", "die"):
            stems = {"ly"}
        for stem in stems:
            forms[f"{stem}ing"] = base, "ing"
        past = {f"{spelt[:-1]}ied"} if ends_in_y else {f"{stem}ed" for stem in stems}
        for form in past:
            forms[form] = base, "past"
    return {**forms, **{form: (base, "past") for form, base in _IRREGULAR_PAST.items()}}


def read(word: str) -> tuple[str, Kind] | None:
    """The base and the kind of a word that can be a verb by its form; None for others.

    Any word in -ing counts as a participle, known or not, but for a few nouns.
    """
    word = word.lower()
    known = _forms().get(word)
    if known is not None:
        return known
    if word in _BARE:
        return word, "bare"
    if word.endswith("ing") and len(word) > 4 and word not in _NO_PARTICIPLE:
        return word[:-3], "ing"
    return None


def verbs(text: str, start: int = 0, end: int | None = None) -> list[Verb]:
    """The verbs of `text[start:end]` in reading order; what follows a determiner or a number is taken for a noun."""
    found, before = [], ""
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        known = read(match.group())
        if known is not None and before not in _DETERMINERS and not before[:1].isdigit():
            found.append(Verb(*known, match.start(), match.end()))
        before = match.group().lower()
    return found


# ---------------------------------------------------------------------- one after the other, or at once

# These end, or interrupt, what was done before: "walks and stops", "walks and stumbles".
_ENDING = frozenset(
    """
arrive begin bump catch close collapse continue crouch drop end fall freeze gain get halt kneel land lay leave lie
open pause pick place put receive recover regain release resume return sit squat stand start stop strike stumble
throw topple trip
""".split()
)
# These are over before something else can begin: "picks up a cup and drinks".
_OVER = frozenset(
    "arrive catch drop end fall get halt land open pick place put receive recover release stop strike stumble throw topple trip".split()
)
_PUSHED = re.compile(
    r"\b(?:is|are|was|gets?|got|being|been)\s+(?:\w+ly\s+)?(?:\w+ed|hit|struck|thrown)\b", re.IGNORECASE
)
_BACK = re.compile(
    r"\b(?:again|afterwards?|away|(?<!forth and )back(?!\s*-?\s*(?:and|&|to)\s*-?\s*(?:forth|back|forwards?)\b|wards?\b|\s+side))\b",
    re.IGNORECASE,
)
_AROUND = re.compile(
    r"""\b(?:turn|spin|rotat|pivot|swing|swivel)\w*\s+(?:(?!and\b)\w+\s+){0,4}?
        (?:a?round\b | back\b | (?:by\s+)?\d+ | on\s+the\s+spot\b
          | (?:on|over)\s+(?:one|his|her|its|their|the)\s+(?:\w+\s+)?(?:foot|leg|heel))
      | \b(?:do|make|perform|take)\w*\s+an?\s+(?:[\w-]+\s+){0,2}
        (?:u[-\s]?|(?:degrees?|half|full|quarter)[-\s])turn\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ONTO = re.compile(
    r"\b(?:jump|hop|leap|step|climb|vault)\w*\s+(?:\w+ly\s+)?(?:over|onto|off|into|across|down)\b", re.IGNORECASE
)
_DOWN = re.compile(
    r"""\b(?:sit|lie|lay|kneel|bend|stand|squat|crouch|stoop|slow|go|get|lean|reach)\w*\s+(?:\w+ly\s+)?(?:down|up|over)\b
      | \b(?:go|get|drop|sink|come)\w*\s+(?:on|to|onto)\s+(?:all\b | (?:his|her|its|their|the)\s+(?:knees?|floor|ground)\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_GOES_ON = re.compile(r"\bkeeps?\s+(?:on\b|\w+ing\b)", re.IGNORECASE)
_HOW = re.compile(
    r"(?:is\s+)?start(?:s|ing)\s+(?:with|on)\b", re.IGNORECASE
)  # "four steps, starting with the left foot"
_COUNTED = re.compile(
    r"\b(?:an?|one|two|three|four|five|six|several|some|few|couple|\d+)(?:\s+of)?(?:\s+(?:more|big|small|large|little|quick|slow|long))*"
    r"\s+(?:steps?|strides?|paces?|met(?:er|re)s?|m|hops?)\b",
    re.IGNORECASE,
)


def ends_before(first: str, second: str) -> bool:
    """Whether the action `first` is over when the action `second` begins, where only an "and" stands between them."""
    if _HOW.match(second):
        return False
    leading, following = verbs(first), verbs(second)
    if following and following[0].base in _ENDING:
        return True
    if any(rule.search(second) for rule in (_PUSHED, _BACK, _AROUND, _ONTO, _DOWN, _GOES_ON)):
        return True
    if leading and leading[-1].base in _OVER:
        return True
    return any(rule.search(first) for rule in (_PUSHED, _AROUND, _ONTO, _DOWN, _COUNTED))


_GOING = frozenset("advance dash go jog march move proceed run rush sneak stride stroll travel walk".split())
_VEERING = frozenset("bend curve rotate swerve swing turn veer".split())


def one_path(first: str, second: str) -> bool:
    """Whether `first` and `second` are one way of going, "walks and turns left", even within a list of other actions."""
    leading, following = verbs(first), verbs(second)
    return bool(leading and following) and leading[0].base in _GOING and following[0].base in _VEERING
