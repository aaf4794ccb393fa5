"""The vocabulary: what can be said of a motion, each concept with its training wordings and those for test captions only.

Wordings are parted by |. Verbs stand in square brackets in the base form, slots in braces.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """One thing that can be said of a motion: training wordings, and wordings for test captions only."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()


_WORDINGS: dict[str, tuple[str, str]] = {
    # Getting about.
    "walk": (
        "[walk] forward|[walk] straight ahead|[take] several steps forward|[walk] ahead at an even pace|[go] "
        "forward on foot|[walk] forwards|[walk]",
        "[stride] along|[move] ahead step by step|[amble] onward|[stroll] ahead",
    ),
    "jog": (
        "[jog] forward|[jog] straight ahead|[jog] ahead|[run] forward at an easy pace|[go] jogging|[jog]",
        "[trot] forward|[jog] along in a straight line",
    ),
    "run": (
        "[run] forward|[run] straight ahead|[run] along|[go] for a run|[run] ahead|[run]",
        "[hurry] ahead at a run|[race] forward",
    ),
    "sprint": (
        "[sprint] forward|[dash] ahead|[run] as fast as possible|[sprint] straight ahead|[dash] forward|[sprint]",
        "[bolt] forward at top speed|[tear] straight ahead",
    ),
    "backwards": (
        "[walk] backwards|[step] back|[walk] in reverse|[move] backward on foot|[go] backwards|[take] several "
        "steps backwards|[walk] backward",
        "[retreat] step by step|[back] away on foot",
    ),
    "steps": (
        "[take] {number} steps forward|[walk] forward {number} steps|[step] forward {number} times|[go] forward"
        " {number} steps|[make] {number} steps ahead|[walk] {number} steps straight ahead",
        "[advance] by {number} steps|[pace] off {number} steps",
    ),
    "steps_back": (
        "[take] {number} steps back|[walk] backwards {number} steps|[step] back {number} times|[go] back "
        "{number} steps|[make] {number} steps backwards|[move] back by {number} steps",
        "[withdraw] by {number} steps|[backpedal] {number} steps",
    ),
    "step_over": (
        "[walk] forward and [step] over something|[step] over an obstacle, {side} foot first|[step] over "
        "something with the {side} leg first|[walk] and [step] over an obstacle|[step] over a low bar, leading "
        "with the {side} leg|[walk] ahead and [step] over a box",
        "[clear] an obstacle on the way with the {side} foot in front|[surmount] a hurdle at a walk",
    ),
    "tiptoe": (
        "[tiptoe] forward|[walk] on tiptoe|[walk] on the toes|[sneak] ahead on tiptoe|[go] forward on "
        "tiptoes|[tiptoe] ahead",
        "[walk] on the balls of the feet|[pussyfoot] forward",
    ),
    "march": (
        "[march] forward|[march] straight ahead|[march] like a soldier|[walk] with high knees|[go] ahead at a "
        "march|[march]",
        "[parade] forward|[walk] lifting the knees up to the hips",
    ),
    "limp": (
        "[limp] forward on the {side} leg|[walk] with a limp in the {side} leg|[hobble] forward on a bad {side}"
        " leg|[walk] as if the {side} leg hurt|[limp] ahead with a sore {side} leg|[limp] on the {side} leg",
        "[walk] with a lame {side} leg|[drag] along on an injured {side} leg",
    ),
    "skip": (
        "[skip] forward|[skip] along|[skip] ahead|[move] forward skipping|[skip] straight ahead|[go] skipping",
        "[gambol] forward|[caper] ahead",
    ),
    "creep": (
        "[creep] forward|[sneak] forward|[walk] ahead crouched|[sneak] ahead with bent knees|[creep] "
        "ahead|[walk] forward in a low crouch",
        "[prowl] ahead|[skulk] forward",
    ),
    "sidestep": (
        "[sidestep] to the {side}|[step] sideways to the {side}|[move] sideways to the {side}|[take] side steps"
        " to the {side}|[shuffle] to the {side}|[walk] sideways to the {side}",
        "[edge] to the {side}|[scoot] over to the {side}",
    ),
    "diagonal": (
        "[walk] diagonally to the {side}|[walk] forward while drifting {side}|[walk] at an angle to the "
        "{side}|[move] diagonally forward to the {side}|[step] forward and to the {side} diagonally|[go] "
        "diagonally {side}",
        "[walk] ahead at a slant towards the {side}|[walk] obliquely to the {side}",
    ),
    "walk_turn": (
        "[{go}] forward and [turn] {side}|[{go}] and [make] a {side} turn|[turn] to the {side} while "
        "{going}|[{go}] ahead, changing direction to the {side}|[round] a corner to the {side}|[{go}] and "
        "[turn] to the {side}|[turn] {side}",
        "[{go}] and [veer] off towards the {side} side|[take] a {side} while {going}|[bear] {side} on the way",
    ),
    "walk_turn_slight": (
        "[{go}] forward and [turn] slightly {side}|[{go}] in a gentle curve to the {side}|[curve] slightly to "
        "the {side} while {going}|[{go}] and [make] a slight {side} turn|[turn] a little to the {side} while "
        "{going}|[{go}] ahead, curving gently to the {side}",
        "[{go}] in a faint arc to the {side}|[drift] round to the {side} while {going}",
    ),
    "walk_turn_back": (
        "[{go}] forward, [turn] around to the {side} and [{go}] back|[make] a u-turn to the {side}|[turn] "
        "around to the {side} while {going}|[{go}] and [do] a half turn to the {side}|[{go}] ahead and [turn] "
        "back around the {side} side|[{go}] forward and [turn] halfway around to the {side}",
        "[{go}] and [wheel] about to the {side}|[reverse] direction over the {side} side while {going}",
    ),
    "turn": (
        "[turn] {side} on the spot|[turn] to the {side} in place|[rotate] to the {side}|[turn] {side} without "
        "walking|[turn] towards the {side} while standing|[turn] {side} in place",
        "[swivel] {side} on the spot|[pivot] towards the {side}",
    ),
    "turn_quarter": (
        "[make] a quarter turn to the {side} in place|[turn] ninety degrees to the {side} on the spot|[do] a "
        "quarter turn {side} on the spot|[rotate] ninety degrees {side}|[turn] a quarter to the {side} in "
        "place|[make] a ninety degree turn to the {side} on the spot",
        "[pivot] by a right angle to the {side}|[swivel] ninety degrees to the {side}",
    ),
    "turn_around": (
        "[turn] around to the {side} on the spot|[turn] around over the {side} shoulder|[make] a half turn to "
        "the {side} in place|[turn] halfway around to the {side}|[do] a half turn {side} on the spot|[turn] "
        "around {side} in place",
        "[face] about to the {side}|[pivot] to the {side} until facing the other way",
    ),
    "turn_degrees": (
        "[turn] {degrees} degrees to the {side} on the spot|[rotate] {degrees} degrees to the {side} in "
        "place|[turn] by {degrees} degrees to the {side}|[turn] {side} by {degrees} degrees|[make] a turn of "
        "{degrees} degrees to the {side}|[do] a turn of {degrees} degrees {side} on the spot",
        "[pivot] {degrees} degrees to the {side}|[swivel] to the {side} by {degrees} degrees",
    ),
    "spin": (
        "[spin] around to the {side}|[make] a full turn to the {side} in place|[turn] all the way around to the"
        " {side}|[spin] {sense} on the spot|[do] a full turn {sense}|[rotate] {sense} on the spot",
        "[whirl] around to the {side}|[twirl] {sense}",
    ),
    "circle": (
        "[{go}] in a {size} circle {sense}|[{go}] {sense} in a {size} circle|[circle] {sense}|[{go}] around in "
        "a {size} circle {sense}|[{go}] a {size} circle {sense}|[follow] a {size} circle {sense}|[go] round in "
        "a {size} circle, {sense}",
        "[{go}] around a {size} ring {sense}|[loop] {sense}",
    ),
    "zigzag": (
        "[{go}] in a zigzag|[zigzag] forward|[{go}] forward in a zigzag line|[{go}] ahead in zigzags|[zigzag] "
        "ahead|[{go}] from side to side in a zigzag",
        "[{go}] in a slalom|[weave] ahead",
    ),
    "eight": (
        "[{go}] in a figure eight|[{go}] a figure of eight|[follow] the shape of an eight|[{go}] along a figure"
        " eight|[go] around in a figure of eight|[make] a figure eight",
        "[{go}] two loops that cross, like an 8|[trace] the numeral eight on the floor while {going}",
    ),
    # Standing.
    "stand": (
        "[stand] still|[stand]|[stay] on the spot|[remain] standing|[wait] without moving|[do] nothing|[stand] "
        "idle|[stand] in place",
        "[pause] motionless|[linger] there",
    ),
    "stop": (
        "[stop] and [stand] still|[stop]|[come] to a stop|[stop] and [wait]|[stop] moving|[pause]",
        "[halt]|[come] to a halt",
    ),
    # Arms.
    "raise": (
        "[raise] the {side} hand|[lift] up the {side} arm|[put] the {side} hand up|[hold] the {side} hand above"
        " the head|[raise] the {side} arm high|[lift] the {side} hand|[raise] the {side} arm",
        "[stretch] the {side} arm towards the sky|[get] the {side} hand up over the head|[hoist] the {side} "
        "arm|[elevate] the {side} hand",
    ),
    "raise_both": (
        "[raise] both hands|[lift] up both arms|[put] both hands up|[hold] both hands above the head|[raise] "
        "the arms high|[raise] both arms|[lift] both hands",
        "[stretch] both arms towards the sky|[get] the two hands up over the head|[hoist] both arms",
    ),
    "raise_half": (
        "[raise] the {side} arm to shoulder height|[lift] the {side} arm halfway|[hold] the {side} arm out in "
        "front|[raise] the {side} hand to the height of the shoulder|[lift] the {side} arm up to the "
        "shoulder|[stretch] the {side} arm forward",
        "[extend] the {side} arm level with the shoulder|[reach] out level with the {side} shoulder",
    ),
    "raise_slight": (
        "[raise] the {side} hand slightly|[lift] the {side} arm a little|[raise] the {side} arm a bit|slightly "
        "[lift] the {side} hand|[raise] the {side} hand a little|[lift] the {side} arm slightly",
        "barely [raise] the {side} hand|[nudge] the {side} hand up a touch",
    ),
    "lower": (
        "[lower] the {side} hand|[put] the {side} arm down|[bring] the {side} hand down|[let] the {side} arm "
        "sink|[take] the {side} hand down|[lower] the {side} arm",
        "[drop] the {side} arm to the side|[let] down the {side} hand",
    ),
    "lower_both": (
        "[lower] both hands|[put] both arms down|[bring] both hands down|[let] both arms sink|[take] both hands"
        " down|[lower] the arms",
        "[drop] both arms to the sides|[let] down both hands",
    ),
    "wave": (
        "[wave] the {side} hand|[wave] with the {side} hand|[wave] the {side} arm|[swing] the {side} hand from "
        "side to side in greeting|[wave] using the {side} hand|[greet] with a wave of the {side} hand",
        "[flap] the {side} hand|[signal] with a moving {side} arm|[wag] the {side} hand",
    ),
    "wave_both": (
        "[wave] both hands|[wave] with both hands|[wave] both arms|[swing] both hands from side to side in "
        "greeting|[wave] using both hands|[greet] with both hands waving",
        "[flap] both hands|[signal] with two moving arms",
    ),
    "punch": (
        "[punch] with the {side} hand|[throw] a punch with the {side} fist|[punch] forward with the {side} "
        "fist|[punch] the air with the {side} hand|[hit] forward with the {side} fist|[box] with the {side} "
        "hand",
        "[strike] out with the {side} fist|[jab] with the {side} hand",
    ),
    "punch_both": (
        "[punch] with both hands in turn|[throw] punches with both fists|[box] with both fists|[punch] left and"
        " right in turn|[shadowbox]|[punch] the air with both hands",
        "[strike] out with both fists by turns|[spar] with both fists",
    ),
    "throw": (
        "[throw] something with the {side} hand|[throw] a ball with the {side} arm|[throw] overhand with the "
        "{side} hand|[pitch] a ball with the {side} hand|[cast] something forward with the {side} arm|[make] a "
        "throw with the {side} hand",
        "[hurl] something with the {side} hand|[toss] a ball with the {side} hand",
    ),
    "clap": (
        "[clap]|[clap] the hands|[clap] in front of the chest|[bring] the hands together in a clap|[clap] both "
        "hands|[strike] the palms together",
        "[applaud]|[slap] the palms together",
    ),
    "point": (
        "[point] {where} with the {side} hand|[point] {where} with the {side} arm|[stretch] the {side} arm to "
        "point {where}|[point] {where} using the {side} hand|[show] {where} with the {side} arm|[aim] the "
        "{side} hand {where}",
        "[indicate] {where} with the {side} hand|[gesture] {where} with an outstretched {side} arm",
    ),
    "cross": (
        "[cross] the arms|[fold] the arms|[cross] the arms in front of the chest|[fold] both arms|[put] the "
        "arms across the chest|[cross] both arms",
        "[interlock] the arms|[wrap] the arms over the chest",
    ),
    "circle_arm": (
        "[swing] the {side} arm in circles|[circle] the {side} arm|[make] circles with the {side} arm|[rotate] "
        "the {side} arm at the shoulder|[draw] circles with the {side} arm|[swing] the {side} arm around",
        "[windmill] the {side} arm|[twirl] the {side} arm",
    ),
    "spread": (
        "[spread] the arms|[spread] both arms wide|[open] the arms wide|[hold] both arms out to the "
        "sides|[stretch] both arms out to the sides|[lift] both arms out sideways",
        "[fling] the arms wide|[extend] both arms like wings",
    ),
    "salute": (
        "[salute] with the {side} hand|[give] a salute with the {side} hand|[raise] the {side} hand to the brow"
        " in a salute|[salute] like a soldier with the {side} hand|[make] a salute with the {side} hand|[bring]"
        " the {side} hand up in a salute",
        "[present] a military greeting with the {side} hand|[touch] the {side} hand to the temple like an officer",
    ),
    "touch_head": (
        "[put] the {side} hand on the head|[touch] the head with the {side} hand|[place] the {side} hand on top"
        " of the head|[lay] the {side} hand on the head|[rest] the {side} hand on the head|[bring] the {side} "
        "hand to the head",
        "[pat] the crown with the {side} hand|[clasp] the top of the head with the {side} hand",
    ),
    "hands_on_hips": (
        "[put] both hands on the hips|[place] the hands on the hips|[put] the hands on the hips|[rest] both "
        "hands on the hips|[stand] with hands on the hips|[bring] the hands to the hips",
        "[hold] the arms akimbo|[prop] the hands against the waist",
    ),
    "shrug": (
        "[shrug]|[shrug] the shoulders|[give] a shrug|[lift] both shoulders in a shrug|[raise] the shoulders "
        "and [let] them drop|[make] a shrug",
        "[hunch] the shoulders up briefly|[hoick] the shoulders",
    ),
    # Legs and the whole body.
    "sit": (
        "[sit] down|[sit] down on a chair|[take] a seat|[sit] down on a seat|[sit]|[lower] the body onto a chair",
        "[settle] into a chair|[plop] down on a seat",
    ),
    "stand_up": (
        "[stand] up|[get] up from a chair|[stand] up from a seat|[rise] from a chair|[get] up|[rise] to the feet",
        "[leave] the chair|[abandon] the seat",
    ),
    "sit_still": (
        "[sit] on a chair|[sit] still|[stay] seated|[remain] sitting|[sit] on a seat without moving|[sit] quietly",
        "[perch] on a chair|[rest] on a chair",
    ),
    "lie_down": (
        "[lie] down on the back|[lie] down|[lie] down on the floor|[lie] down on the ground|[get] down and "
        "[lie] on the back|[go] down to the floor and [lie] there",
        "[recline] on the floor|[stretch] out on the ground",
    ),
    "get_up": (
        "[get] up from the floor|[stand] up from the floor|[get] up off the ground|[rise] from the floor|[get] "
        "up from lying|[stand] up from lying on the back",
        "[clamber] up off the floor|[scramble] to a stand",
    ),
    "kneel": (
        "[kneel] down on the {side} knee|[go] down on the {side} knee|[kneel] on the {side} knee|[get] down on "
        "the {side} knee|[drop] to the {side} knee|[lower] the {side} knee to the floor",
        "[genuflect] on the {side} knee|[sink] onto the {side} knee",
    ),
    "crouch": (
        "[crouch]|[crouch] down|[duck] down|[crouch] low|[lower] the body into a crouch|[get] into a crouch",
        "[hunker] down|[cower] low",
    ),
    "squat": (
        "[squat]|[do] squats|[squat] down and [stand] up again|[do] a deep knee bend|[bend] the knees and "
        "[rise] again|[perform] squats",
        "[dip] the hips low and [come] up|[sink] into a squat",
    ),
    "lunge": (
        "[lunge] forward with the {side} leg|[do] a lunge on the {side} leg|[lunge] with the {side} foot in "
        "front|[step] into a lunge with the {side} leg|[make] a lunge, {side} leg forward|[take] a deep step "
        "forward with the {side} leg and [come] back",
        "[thrust] the {side} leg forward, knee bent|[fence] with the {side} leg forward",
    ),
    "bend": (
        "[bend] down|[bend] forward|[bend] over|[reach] down to the floor|[bend] the body forward|[bend] down "
        "towards the toes",
        "[stoop]|[double] over",
    ),
    "bow": (
        "[bow]|[bow] politely|[bend] forward in a bow|[take] a bow|[make] a bow|[bow] in greeting",
        "[incline] the upper body respectfully|[bend] at the waist in respect",
    ),
    "lean": (
        "[lean] to the {side}|[lean] {side}|[bend] the upper body to the {side}|[lean] over to the "
        "{side}|[tilt] the body to the {side}|[lean] the trunk to the {side}",
        "[list] over to the {side}|[keel] over a bit to the {side}",
    ),
    "jump_up": (
        "[jump] up|[jump]|[jump] up in the air|[jump] on the spot|[leap] up|[jump] in place",
        "[spring] into the air|[bound] upwards",
    ),
    "jump_forward": (
        "[jump] forward|[leap] forward|[jump] ahead|[make] a jump forward|[jump] forward with both feet|[leap] ahead",
        "[spring] ahead|[bound] forward",
    ),
    "jump_side": (
        "[jump] to the {side}|[leap] to the {side}|[jump] sideways to the {side}|[jump] over to the "
        "{side}|[make] a jump to the {side}|[jump] {side}",
        "[spring] to the {side}|[bound] to the {side}",
    ),
    "hop": (
        "[hop] on the {side} foot|[hop] on the {side} leg|[hop] up and down on the {side} foot|[jump] on the "
        "{side} foot only|[hop] on one leg, the {side} one|[bounce] on the {side} foot",
        "[skitter] on the {side} foot|[spring] up and down on one foot, the {side} one",
    ),
    "hop_forward": (
        "[hop] forward on the {side} foot|[hop] ahead on the {side} leg|[hop] forward on the {side} leg|[jump] "
        "forward on the {side} foot only|[move] ahead hopping on the {side} foot|[bounce] forward on the {side}"
        " foot",
        "[skitter] ahead on the {side} foot|[spring] ahead on the {side} leg only",
    ),
    "kick": (
        "[kick] with the {side} foot|[kick] with the {side} leg|[kick] forward with the {side} foot|[perform] a"
        " kick with the {side} leg|[kick] the {side} leg forward|[swing] the {side} foot forward in a kick",
        "[strike] out with the {side} foot|[boot] a ball with the {side} foot",
    ),
    "kick_side": (
        "[kick] sideways with the {side} foot|[kick] to the side with the {side} leg|[do] a side kick with the "
        "{side} leg|[perform] a side kick with the {side} foot|[kick] the {side} leg out to the side|[kick] out"
        " sideways with the {side} leg",
        "[lash] out sideways with the {side} foot|[whip] the {side} leg out to the flank",
    ),
    "stomp": (
        "[stomp] with the {side} foot|[stomp] the {side} foot|[stamp] the {side} foot|[stamp] on the floor with"
        " the {side} foot|[stomp] the {side} foot on the floor|[bring] the {side} foot down hard",
        "[trample] on the floor with the {side} foot|[pound] the floor with the {side} foot",
    ),
    "raise_knee": (
        "[raise] the {side} knee|[lift] the {side} knee|[lift] the {side} leg with a bent knee|[pull] the "
        "{side} knee up|[bring] the {side} knee up|[raise] the {side} leg, knee bent",
        "[hike] the {side} knee up|[draw] the {side} knee towards the belly",
    ),
    # Head.
    "nod": (
        "[nod]|[nod] the head|[nod] in agreement|[move] the head up and down|[give] a nod|[say] yes with the head",
        "[bob] the head in assent|[tip] the head repeatedly",
    ),
    "shake": (
        "[shake] the head|[shake] the head in refusal|[move] the head from side to side|[say] no with the "
        "head|[turn] the head from side to side|[shake] the head no",
        "[waggle] the head|[wobble] the head sideways",
    ),
    "look": (
        "[look] {side}|[look] to the {side}|[turn] the head to the {side}|[turn] the head {side}|[look] over to"
        " the {side}|[turn] the face to the {side}",
        "[glance] {side}|[peer] to the {side}",
    ),
    "look_up": (
        "[look] up|[look] upwards|[tilt] the head back|[turn] the face up|[lift] the head to look up|[raise] the head",
        "[gaze] at the ceiling|[crane] the neck upwards",
    ),
    "look_down": (
        "[look] down|[look] downwards|[lower] the head|[look] at the floor|[drop] the head|[look] down at the feet",
        "[gaze] at the ground|[hang] the head",
    ),
    "look_around": (
        "[look] around|[look] left and then right|[look] to both sides|[look] about|[turn] the head left, then "
        "right|[look] in both directions",
        "[scan] the surroundings|[survey] the place",
    ),
}
CONCEPTS: dict[str, Concept] = {
    name: Concept(tuple(seen.split("|")), tuple(unseen.split("|"))) for name, (seen, unseen) in _WORDINGS.items()
}
