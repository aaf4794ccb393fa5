"""What the minimal pairs of kinwords exchange: opposite words of one form, and which actions exclude each other."""

from functools import cache

OTHER_SIDE = {"left": "right", "right": "left"}
# Adverbs and what says the opposite in the same form, training and held-out; any other adverb is said, but not flipped.
OPPOSITES = {
    "slow": ("fast", (("slowly", "quickly"), ("slowly", "rapidly"), ("at a slow pace", "at a fast pace")), (("unhurriedly", "swiftly"),)),
    "long": ("short", (("with long steps", "with short steps"), ("with big steps", "with small steps"),
                       ("taking big steps", "taking small steps")), (("with wide steps", "with tiny steps"),)),
    "slight": ("big", (("slightly", "widely"),), (("a touch", "amply"),)),
}  # fmt: skip
OPPOSITES |= {
    other: (key, tuple((b, a) for a, b in seen), tuple((b, a) for a, b in unseen))
    for key, (other, seen, unseen) in OPPOSITES.items()
}
TWO_WAYS = {"wave", "wave_both"}  # what is said slightly and widely alike
# What does not move, and the same parts moving.
STILL = {
    "arms": (("without moving the arms", "while moving the arms"), ("with the arms still", "with the arms moving"),
             ("keeping the arms still", "keeping the arms moving"), ("without using the arms", "while using the arms")),
    "feet": (("without moving the feet", "while moving the feet"), ("without taking a step", "while taking steps"),
             ("keeping both feet in place", "keeping both feet in motion"), ("without stepping", "while stepping")),
    "arm": (("without moving the {part}", "while moving the {part}"), ("with the {part} still", "with the {part} moving"),
            ("keeping the {part} still", "keeping the {part} moving"), ("without using the {part}", "while using the {part}")),
}  # fmt: skip
STILL_UNSEEN = {
    "arms": (("with motionless arms", "with moving arms"), ("with the arms at rest", "with the arms in motion")),
    "feet": (("with motionless feet", "with moving feet"), ("with the feet at rest", "with the feet in motion")),
    "arm": (
        ("with a motionless {part}", "with a moving {part}"),
        ("with the {part} at rest", "with the {part} in motion"),
    ),
}
SWINGING = {"walk", "jog", "run", "march"}  # gaits whose arms swing plainly
WAVING = {"raise_both": "raise", "wave_both": "wave"}  # both arms move: so one does, and the other too
# (action, a wording true of it, one true of another part), training wordings, then held-out ones. Each has its counterpart.
PARTS = (
    (("raise", "[raise] the {side} hand", "[raise] the {side} knee"), ("raise_knee", "[raise] the {side} knee", "[raise] the {side} hand"),
     ("raise", "[lift] the {side} hand", "[lift] the {side} knee"), ("raise_knee", "[lift] the {side} knee", "[lift] the {side} hand"),
     ("raise", "[raise] only the {side} hand", "[raise] both hands"), ("raise_both", "[raise] both hands", "[raise] only the {side} hand"),
     ("wave", "[wave] only the {side} arm", "[wave] both arms"), ("wave_both", "[wave] both arms", "[wave] only the {side} arm"),
     ("wave", "[wave] with only the {side} hand", "[wave] with both hands"),
     ("wave_both", "[wave] with both hands", "[wave] with only the {side} hand")),
    (("punch", "[strike] out with the {side} fist", "[strike] out with the {side} foot"),
     ("kick", "[strike] out with the {side} foot", "[strike] out with the {side} fist"),
     ("raise", "[hoist] only the {side} arm", "[hoist] both arms"), ("raise_both", "[hoist] both arms", "[hoist] only the {side} arm"),
     ("wave", "[flap] only the {side} hand", "[flap] both hands"), ("wave_both", "[flap] both hands", "[flap] only the {side} hand")),
)  # fmt: skip
# Heights of a raised arm and amounts of a turn, where one word says them.
EXTENTS = {
    "raise": ("[raise] the {side} arm high", "[raise] the {side} arm slightly"),
    "raise_slight": ("[raise] the {side} arm slightly", "[raise] the {side} arm high"),
    "turn_quarter": ("[make] a quarter turn to the {side} in place", "[make] a half turn to the {side} in place"),
    "turn_around": ("[make] a half turn to the {side} in place", "[make] a quarter turn to the {side} in place"),
}
# Actions that one wording may fit: neither action nor order is flipped among them.
_ALIKE = (
    "walk jog run sprint steps walk_turn walk_turn_slight walk_turn_back step_over diagonal zigzag march skip creep limp tiptoe "
    "circle eight",
    "backwards steps_back", "sidestep diagonal", "turn turn_quarter turn_around turn_degrees spin", "stand stop sit_still",
    "raise raise_both raise_half raise_slight wave wave_both point salute touch_head spread circle_arm lower lower_both",
    "punch punch_both throw", "sit kneel crouch squat lunge bend lie_down", "bend bow lean crouch look_down",
    "jump_up jump_forward jump_side hop hop_forward", "kick kick_side", "look look_around shake", "look_up nod look_down look_around",
    "stand_up get_up", "stomp raise_knee", "shrug raise_both",
)  # fmt: skip
# Gaits that exclude one another however they are told; a limp is a walk, but no run.
GAITS = ({"walk", "run", "skip"}, {"run", "skip", "tiptoe", "march", "limp", "creep"})
# Any motion holds some of this.
RESTING = {"stand", "stop"}


@cache
def alike(first: str, second: str) -> bool:
    """May one wording fit both actions?"""
    groups = [set(group.split()) for group in _ALIKE]
    return first == second or any(first in group and second in group for group in groups)
