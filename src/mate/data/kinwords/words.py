"""The vocabulary: concepts with seen and unseen wordings, the joints that words are about, and what no training caption may hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One thing that can be said of a motion: training wordings, and wordings for test captions only."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()


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

CONCEPTS: dict[str, Concept] = {
    # Getting about.
    "walk": Concept(
        (
            "[walk] forward",
            "[walk] straight ahead",
            "[take] several steps forward",
            "[walk] ahead at an even pace",
            "[go] forward on foot",
            "[walk] forwards",
            "[walk]",
        ),
        ("[stride] along", "[move] ahead step by step", "[amble] onward", "[stroll] ahead"),
    ),
    "jog": Concept(
        (
            "[jog] forward",
            "[jog] straight ahead",
            "[jog] ahead",
            "[run] forward at an easy pace",
            "[go] jogging",
            "[jog]",
        ),
        ("[trot] forward", "[jog] along in a straight line"),
    ),
    "run": Concept(
        ("[run] forward", "[run] straight ahead", "[run] along", "[go] for a run", "[run] ahead", "[run]"),
        ("[hurry] ahead at a run", "[race] forward"),
    ),
    "sprint": Concept(
        (
            "[sprint] forward",
            "[dash] ahead",
            "[run] as fast as possible",
            "[sprint] straight ahead",
            "[dash] forward",
            "[sprint]",
        ),
        ("[bolt] forward at top speed", "[tear] straight ahead"),
    ),
    "backwards": Concept(
        (
            "[walk] backwards",
            "[step] back",
            "[walk] in reverse",
            "[move] backward on foot",
            "[go] backwards",
            "[take] several steps backwards",
            "[walk] backward",
        ),
        ("[retreat] step by step", "[back] away on foot"),
    ),
    "tiptoe": Concept(
        (
            "[tiptoe] forward",
            "[walk] on tiptoe",
            "[walk] on the toes",
            "[sneak] ahead on tiptoe",
            "[go] forward on tiptoes",
            "[tiptoe] ahead",
        ),
        ("[walk] on the balls of the feet", "[pussyfoot] forward"),
    ),
    "march": Concept(
        (
            "[march] forward",
            "[march] straight ahead",
            "[march] like a soldier",
            "[walk] with high knees",
            "[go] ahead at a march",
            "[march]",
        ),
        ("[parade] forward", "[walk] lifting the knees up to the hips"),
    ),
    "limp": Concept(
        (
            "[limp] forward on the {side} leg",
            "[walk] with a limp in the {side} leg",
            "[hobble] forward on a bad {side} leg",
            "[walk] as if the {side} leg hurt",
            "[limp] ahead with a sore {side} leg",
            "[limp] on the {side} leg",
        ),
        ("[walk] with a lame {side} leg", "[drag] along on an injured {side} leg"),
    ),
    "skip": Concept(
        (
            "[skip] forward",
            "[skip] along",
            "[skip] ahead",
            "[move] forward skipping",
            "[skip] straight ahead",
            "[go] skipping",
        ),
        ("[gambol] forward", "[caper] ahead"),
    ),
    "creep": Concept(
        (
            "[creep] forward",
            "[sneak] forward",
            "[walk] ahead crouched",
            "[sneak] ahead with bent knees",
            "[creep] ahead",
            "[walk] forward in a low crouch",
        ),
        ("[prowl] ahead", "[skulk] forward"),
    ),
    "sidestep": Concept(
        (
            "[sidestep] to the {side}",
            "[step] sideways to the {side}",
            "[move] sideways to the {side}",
            "[take] side steps to the {side}",
            "[shuffle] to the {side}",
            "[walk] sideways to the {side}",
        ),
        ("[edge] to the {side}", "[scoot] over to the {side}"),
    ),
    "diagonal": Concept(
        (
            "[walk] diagonally to the {side}",
            "[walk] forward while drifting {side}",
            "[walk] at an angle to the {side}",
            "[move] diagonally forward to the {side}",
            "[step] forward and to the {side} diagonally",
            "[go] diagonally {side}",
        ),
        ("[walk] ahead at a slant towards the {side}", "[walk] obliquely to the {side}"),
    ),
    "walk_turn": Concept(
        (
            "[{go}] forward and [turn] {side}",
            "[{go}] and [make] a {side} turn",
            "[turn] to the {side} while {going}",
            "[{go}] ahead, changing direction to the {side}",
            "[round] a corner to the {side}",
            "[{go}] and [turn] to the {side}",
            "[turn] {side}",
        ),
        ("[{go}] and [veer] off towards the {side} side", "[take] a {side} while {going}", "[bear] {side} on the way"),
    ),
    "walk_turn_slight": Concept(
        (
            "[{go}] forward and [turn] slightly {side}",
            "[{go}] in a gentle curve to the {side}",
            "[curve] slightly to the {side} while {going}",
            "[{go}] and [make] a slight {side} turn",
            "[turn] a little to the {side} while {going}",
            "[{go}] ahead, curving gently to the {side}",
        ),
        ("[{go}] in a faint arc to the {side}",),
    ),
    "walk_turn_back": Concept(
        (
            "[{go}] forward, [turn] around to the {side} and [{go}] back",
            "[make] a u-turn to the {side}",
            "[turn] around to the {side} while {going}",
            "[{go}] and [do] a half turn to the {side}",
            "[{go}] ahead and [turn] back around the {side} side",
            "[{go}] forward and [turn] halfway around to the {side}",
        ),
        ("[{go}] and [wheel] about to the {side}",),
    ),
    "turn": Concept(
        (
            "[turn] {side} on the spot",
            "[turn] to the {side} in place",
            "[rotate] to the {side}",
            "[turn] {side} without walking",
            "[turn] towards the {side} while standing",
            "[turn] {side} in place",
        ),
        ("[swivel] {side} on the spot", "[pivot] towards the {side}"),
    ),
    "turn_quarter": Concept(
        (
            "[make] a quarter turn to the {side} in place",
            "[turn] ninety degrees to the {side} on the spot",
            "[do] a quarter turn {side} on the spot",
            "[rotate] ninety degrees {side}",
            "[turn] a quarter to the {side} in place",
            "[make] a ninety degree turn to the {side} on the spot",
        ),
        ("[pivot] by a right angle to the {side}",),
    ),
    "turn_around": Concept(
        (
            "[turn] around to the {side} on the spot",
            "[turn] around over the {side} shoulder",
            "[make] a half turn to the {side} in place",
            "[turn] halfway around to the {side}",
            "[do] a half turn {side} on the spot",
            "[turn] around {side} in place",
        ),
        ("[face] about to the {side}",),
    ),
    "spin": Concept(
        (
            "[spin] around to the {side}",
            "[make] a full turn to the {side} in place",
            "[turn] all the way around to the {side}",
            "[spin] once {sense} on the spot",
            "[do] a full turn {sense}",
            "[rotate] {sense} on the spot",
        ),
        ("[whirl] around to the {side}", "[twirl] {sense}"),
    ),
    "circle": Concept(
        (
            "[{go}] in a {size} circle {sense}",
            "[{go}] {sense} in a {size} circle",
            "[circle] {sense}",
            "[{go}] around in a {size} circle {sense}",
            "[{go}] a {size} circle {sense}",
            "[follow] a {size} circle {sense}",
            "[go] round in a {size} circle, {sense}",
        ),
        ("[{go}] around a {size} ring {sense}", "[loop] {sense}"),
    ),
    "zigzag": Concept(
        (
            "[{go}] in a zigzag",
            "[zigzag] forward",
            "[{go}] forward in a zigzag line",
            "[{go}] ahead in zigzags",
            "[zigzag] ahead",
            "[{go}] from side to side in a zigzag",
        ),
        ("[{go}] in a slalom", "[weave] ahead"),
    ),
    "eight": Concept(
        (
            "[{go}] in a figure eight",
            "[{go}] a figure of eight",
            "[follow] the shape of an eight",
            "[{go}] along a figure eight",
            "[go] around in a figure of eight",
            "[make] a figure eight",
        ),
        ("[{go}] two loops that cross, like an 8",),
    ),
    "stand": Concept(
        (
            "[stand] still",
            "[stand]",
            "[stay] on the spot",
            "[remain] standing",
            "[wait] without moving",
            "[do] nothing",
            "[stand] idle",
            "[stand] in place",
        ),
        ("[pause] motionless", "[linger] there"),
    ),
    "stop": Concept(
        ("[stop] and [stand] still", "[stop]", "[come] to a stop", "[stop] and [wait]", "[stop] moving", "[pause]"),
        ("[halt]", "[come] to a halt"),
    ),
    # Arms.
    "raise": Concept(
        (
            "[raise] the {side} hand",
            "[lift] up the {side} arm",
            "[put] the {side} hand up",
            "[hold] the {side} hand above the head",
            "[raise] the {side} arm high",
            "[lift] the {side} hand",
            "[raise] the {side} arm",
        ),
        (
            "[stretch] the {side} arm towards the sky",
            "[get] the {side} hand up over the head",
            "[hoist] the {side} arm",
            "[elevate] the {side} hand",
        ),
    ),
    "raise_both": Concept(
        (
            "[raise] both hands",
            "[lift] up both arms",
            "[put] both hands up",
            "[hold] both hands above the head",
            "[raise] the arms high",
            "[raise] both arms",
            "[lift] both hands",
        ),
        ("[stretch] both arms towards the sky", "[get] the two hands up over the head", "[hoist] both arms"),
    ),
    "raise_half": Concept(
        (
            "[raise] the {side} arm to shoulder height",
            "[lift] the {side} arm halfway",
            "[hold] the {side} arm out in front",
            "[raise] the {side} hand to the height of the shoulder",
            "[lift] the {side} arm up to the shoulder",
            "[stretch] the {side} arm forward",
        ),
        ("[extend] the {side} arm level with the shoulder",),
    ),
    "raise_slight": Concept(
        (
            "[raise] the {side} hand slightly",
            "[lift] the {side} arm a little",
            "[raise] the {side} arm a bit",
            "slightly [lift] the {side} hand",
            "[raise] the {side} hand a little",
            "[lift] the {side} arm slightly",
        ),
        ("barely [raise] the {side} hand",),
    ),
    "lower": Concept(
        (
            "[lower] the {side} hand",
            "[put] the {side} arm down",
            "[bring] the {side} hand down",
            "[let] the {side} arm sink",
            "[take] the {side} hand down",
            "[lower] the {side} arm",
        ),
        ("[drop] the {side} arm to the side", "[let] down the {side} hand"),
    ),
    "lower_both": Concept(
        (
            "[lower] both hands",
            "[put] both arms down",
            "[bring] both hands down",
            "[let] both arms sink",
            "[take] both hands down",
            "[lower] the arms",
        ),
        ("[drop] both arms to the sides", "[let] down both hands"),
    ),
    "wave": Concept(
        (
            "[wave] the {side} hand",
            "[wave] with the {side} hand",
            "[wave] the {side} arm",
            "[swing] the {side} hand from side to side in greeting",
            "[wave] using the {side} hand",
            "[greet] with a wave of the {side} hand",
        ),
        ("[flap] the {side} hand", "[signal] with a moving {side} arm", "[wag] the {side} hand"),
    ),
    "wave_both": Concept(
        (
            "[wave] both hands",
            "[wave] with both hands",
            "[wave] both arms",
            "[swing] both hands from side to side in greeting",
            "[wave] using both hands",
            "[greet] with both hands waving",
        ),
        ("[flap] both hands", "[signal] with two moving arms"),
    ),
    "punch": Concept(
        (
            "[punch] with the {side} hand",
            "[throw] a punch with the {side} fist",
            "[punch] forward with the {side} fist",
            "[punch] the air with the {side} hand",
            "[hit] forward with the {side} fist",
            "[box] with the {side} hand",
        ),
        ("[strike] out with the {side} fist", "[jab] with the {side} hand"),
    ),
    "punch_both": Concept(
        (
            "[punch] with both hands in turn",
            "[throw] punches with both fists",
            "[box] with both fists",
            "[punch] left and right in turn",
            "[shadowbox]",
            "[punch] the air with both hands",
        ),
        ("[strike] out with both fists by turns",),
    ),
    "throw": Concept(
        (
            "[throw] something with the {side} hand",
            "[throw] a ball with the {side} arm",
            "[throw] overhand with the {side} hand",
            "[pitch] a ball with the {side} hand",
            "[cast] something forward with the {side} arm",
            "[make] a throw with the {side} hand",
        ),
        ("[hurl] something with the {side} hand", "[toss] a ball with the {side} hand"),
    ),
    "clap": Concept(
        (
            "[clap]",
            "[clap] the hands",
            "[clap] in front of the chest",
            "[bring] the hands together in a clap",
            "[clap] both hands",
            "[strike] the palms together",
        ),
        ("[applaud]", "[slap] the palms together"),
    ),
    "point": Concept(
        (
            "[point] {where} with the {side} hand",
            "[point] {where} with the {side} arm",
            "[stretch] the {side} arm to [point] {where}",
            "[point] {where} using the {side} hand",
            "[show] {where} with the {side} arm",
            "[aim] the {side} hand {where}",
        ),
        ("[indicate] {where} with the {side} hand",),
    ),
    "cross": Concept(
        (
            "[cross] the arms",
            "[fold] the arms",
            "[cross] the arms in front of the chest",
            "[fold] both arms",
            "[put] the arms across the chest",
            "[cross] both arms",
        ),
        ("[interlock] the arms",),
    ),
    "circle_arm": Concept(
        (
            "[swing] the {side} arm in circles",
            "[circle] the {side} arm",
            "[make] circles with the {side} arm",
            "[rotate] the {side} arm at the shoulder",
            "[draw] circles with the {side} arm",
            "[swing] the {side} arm around",
        ),
        ("[windmill] the {side} arm",),
    ),
    # Legs and the whole body.
    "sit": Concept(
        (
            "[sit] down",
            "[sit] down on a chair",
            "[take] a seat",
            "[sit] down on a seat",
            "[sit]",
            "[lower] the body onto a chair",
        ),
        ("[settle] into a chair", "[plop] down on a seat"),
    ),
    "stand_up": Concept(
        (
            "[stand] up",
            "[get] up from a chair",
            "[stand] up from a seat",
            "[rise] from a chair",
            "[get] up",
            "[rise] to the feet",
        ),
        ("[leave] the chair",),
    ),
    "sit_still": Concept(
        (
            "[sit] on a chair",
            "[sit] still",
            "[stay] seated",
            "[remain] sitting",
            "[sit] on a seat without moving",
            "[sit] quietly",
        ),
        ("[perch] on a chair",),
    ),
    "kneel": Concept(
        (
            "[kneel] down on the {side} knee",
            "[go] down on the {side} knee",
            "[kneel] on the {side} knee",
            "[get] down on the {side} knee",
            "[drop] to the {side} knee",
            "[lower] the {side} knee to the floor",
        ),
        ("[genuflect] on the {side} knee", "[sink] onto the {side} knee"),
    ),
    "crouch": Concept(
        (
            "[crouch]",
            "[crouch] down",
            "[duck] down",
            "[crouch] low",
            "[lower] the body into a crouch",
            "[get] into a crouch",
        ),
        ("[hunker] down",),
    ),
    "squat": Concept(
        (
            "[squat]",
            "[do] squats",
            "[squat] down and [stand] up again",
            "[do] a deep knee bend",
            "[bend] the knees and [rise] again",
            "[perform] squats",
        ),
        ("[dip] the hips low and [come] up",),
    ),
    "bend": Concept(
        (
            "[bend] down",
            "[bend] forward",
            "[bend] over",
            "[reach] down to the floor",
            "[bend] the body forward",
            "[bend] down towards the toes",
        ),
        ("[stoop]", "[double] over"),
    ),
    "bow": Concept(
        ("[bow]", "[bow] politely", "[bend] forward in a bow", "[take] a bow", "[make] a bow", "[bow] in greeting"),
        ("[incline] the upper body respectfully",),
    ),
    "jump_up": Concept(
        ("[jump] up", "[jump]", "[jump] up in the air", "[jump] on the spot", "[leap] up", "[jump] in place"),
        ("[spring] into the air", "[bound] upwards"),
    ),
    "jump_forward": Concept(
        (
            "[jump] forward",
            "[leap] forward",
            "[jump] ahead",
            "[make] a jump forward",
            "[jump] forward with both feet",
            "[leap] ahead",
        ),
        ("[spring] ahead", "[bound] forward"),
    ),
    "jump_side": Concept(
        (
            "[jump] to the {side}",
            "[leap] to the {side}",
            "[jump] sideways to the {side}",
            "[jump] over to the {side}",
            "[make] a jump to the {side}",
            "[jump] {side}",
        ),
        ("[spring] to the {side}",),
    ),
    "hop": Concept(
        (
            "[hop] on the {side} foot",
            "[hop] on the {side} leg",
            "[hop] up and down on the {side} foot",
            "[jump] on the {side} foot only",
            "[hop] on one leg, the {side} one",
            "[bounce] on the {side} foot",
        ),
        ("[skitter] on the {side} foot",),
    ),
    "hop_forward": Concept(
        (
            "[hop] forward on the {side} foot",
            "[hop] ahead on the {side} leg",
            "[hop] forward on the {side} leg",
            "[jump] forward on the {side} foot only",
            "[move] ahead hopping on the {side} foot",
            "[bounce] forward on the {side} foot",
        ),
        ("[skitter] ahead on the {side} foot",),
    ),
    "kick": Concept(
        (
            "[kick] with the {side} foot",
            "[kick] with the {side} leg",
            "[kick] forward with the {side} foot",
            "[perform] a kick with the {side} leg",
            "[kick] the {side} leg forward",
            "[swing] the {side} foot forward in a kick",
        ),
        ("[strike] out with the {side} foot", "[boot] a ball with the {side} foot"),
    ),
    # Head.
    "nod": Concept(
        (
            "[nod]",
            "[nod] the head",
            "[nod] in agreement",
            "[move] the head up and down",
            "[give] a nod",
            "[say] yes with the head",
        ),
        ("[bob] the head in assent",),
    ),
    "shake": Concept(
        (
            "[shake] the head",
            "[shake] the head in refusal",
            "[move] the head from side to side",
            "[say] no with the head",
            "[turn] the head from side to side",
            "[shake] the head no",
        ),
        ("[waggle] the head",),
    ),
    "look": Concept(
        (
            "[look] {side}",
            "[look] to the {side}",
            "[turn] the head to the {side}",
            "[turn] the head {side}",
            "[look] over to the {side}",
            "[turn] the face to the {side}",
        ),
        ("[glance] {side}", "[peer] to the {side}"),
    ),
    "look_up": Concept(
        (
            "[look] up",
            "[look] upwards",
            "[tilt] the head back",
            "[turn] the face up",
            "[lift] the head to look up",
            "[raise] the head",
        ),
        ("[gaze] at the ceiling",),
    ),
    "look_down": Concept(
        (
            "[look] down",
            "[look] downwards",
            "[lower] the head",
            "[look] at the floor",
            "[drop] the head",
            "[look] down at the feet",
        ),
        ("[gaze] at the ground",),
    ),
    "look_around": Concept(
        (
            "[look] around",
            "[look] left and then right",
            "[look] to both sides",
            "[look] about",
            "[turn] the head left, then right",
            "[look] in both directions",
        ),
        ("[scan] the surroundings",),
    ),
}

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
