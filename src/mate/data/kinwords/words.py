"""The joints that words are about, what the mocap corpus calls our concepts, and what no training caption may hold."""


def _both(region: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted((*region, *other)))


_LEFT_ARM, _RIGHT_ARM = (13, 16, 18, 20), (14, 17, 19, 21)
_LEFT_LEG, _RIGHT_LEG = (1, 4, 7, 10), (2, 5, 8, 11)
JOINTS: dict[str, tuple[int, ...]] = {
    "left arm": _LEFT_ARM, "right arm": _RIGHT_ARM, "arm": _both(_LEFT_ARM, _RIGHT_ARM), "both arm": _both(_LEFT_ARM, _RIGHT_ARM),
    "left hand": (18, 20), "right hand": (19, 21), "hand": (18, 19, 20, 21),
    "left leg": _LEFT_LEG, "right leg": _RIGHT_LEG, "leg": _both(_LEFT_LEG, _RIGHT_LEG), "both leg": _both(_LEFT_LEG, _RIGHT_LEG),
    "left foot": (7, 10), "right foot": (8, 11), "foot": (7, 8, 10, 11), "head": (12, 15), "trunk": (3, 6, 9, 12), "hips": (0, 1, 2),
    "going": (0, 1, 2, 4, 5, 7, 8, 10, 11), "body": tuple(range(22)), "folding": (0, 1, 2, 3, 4, 5, 6, 9), "bowing": (0, 3, 6, 9, 12, 15),
}  # fmt: skip

# What the mocap corpus calls the same action: its further training wordings serve here too.
MOCAP_CONTENTS = {
    "walk": "walk", "jog": "run", "run": "run", "sprint": "dash", "backwards": "walk-back", "diagonal": "walk-{side}",
    "walk_turn": "walk-turn-{side}", "raise": "raise-up-{side}-hand", "raise_both": "raise-up-both-hands",
    "wave": "wave-{side}-hand", "wave_both": "wave-both-hands",
}  # fmt: skip

# What the wordings of the mocap corpus keep for its tests ("unseen wording", "unseen synonym"): in no training caption of ours either.
_HELD_OUT = """
somebody|the actor|strides|striding|strides along|step by step|ambles|ambling|onward|strolls|
strolling|marches on|marching on|jogs along in a straight line|jogging along in a straight line|hurries|
hurrying|trots|trotting|races|racing|bolts|bolting|top speed|tears|tearing|darts|darting|retreats|
retreating|backs away|backing away|backs up|backing up|slant|at a slant|veers|veering|takes a left|
takes a right|taking a left|taking a right|bears left|bears right|bears|bearing|on the way|swerves|
swerving|towards the left side|towards the right side|towards the sky|gets the left hand up|
gets the right hand up|over the head|gets the two hands up|shoots|shooting|elevates|elevating|hoists|
hoisting|thrusts|thrusting|thrusts up|flaps|flapping|wags|wagging|signals|signaling|signalling|
two moving arms|inclines|inclining|respectfully|bids|farewell|directs|directing|ushers|ushering|
summons|summoning|by hand|reacts|reacting|strikes out|striking out|boots|booting|jabs|jabbing|
cuts through|hacks|hacking|grooves|grooving|dance moves|vigour|vigorously|frailty|frailly|dead tired|
drowsily|feminine manner|masculine manner|spring of youth|in a rage|furiously|full of joy|cheerfully|
full of sorrow|gloomily|puffed out|haughtily|full of doubt|timidly|little kid|as in a musical|colossus|
ponderously|street thug|shaking a hand in the air
"""
HELD_OUT = frozenset(_HELD_OUT.replace("\n", "").split("|"))
