"""The one table of the kinematic judge: what every word takes, and how answers that are not clear stay open.

A limit is a pair of numbers, the smaller one first. `over(value, pair)` is False up to the first, True from the second;
`under` is True up
to the first, False from the second. Between the two the answer is None: "cannot tell". Answers combine as in Kleene's
logic.
"""

from dataclasses import dataclass

Answer = bool | None
Pair = tuple[float, float]
SIDES = ("left", "right")
NOISE = 3.0  # a swing counts where it is larger than its limit by so many times the standard deviation of the motion's own jitter


def over(value: float, limit: Pair) -> Answer:
    """Is a value large enough?"""
    return True if value >= limit[1] else False if value <= limit[0] else None


def under(value: float, limit: Pair) -> Answer:
    """Is a value small enough?"""
    return True if value <= limit[0] else False if value >= limit[1] else None


def every(*answers: Answer) -> Answer:
    """False if one is False, else None if one is open, else True."""
    return False if False in answers else None if None in answers else True


def some(*answers: Answer) -> Answer:
    """True if one is True, else None if one is open, else False."""
    return True if True in answers else None if None in answers else False


def opposite(answer: Answer) -> Answer:
    """Not; open stays open."""
    return None if answer is None else not answer


def counted(surely: int, perhaps: int, wanted: int) -> Answer:
    """Were there `wanted` repetitions, where `surely` are beyond doubt and `perhaps` is the number with the doubtful ones?"""
    if wanted == surely == perhaps:
        return True
    return None if min(surely, perhaps) <= wanted <= max(surely, perhaps) else False


@dataclass(frozen=True)
class Limits:
    """All tolerances. Angles in degrees, lengths in metres, times in seconds, unless another unit is named.

    Going:
        shortest: shorter stretches are not judged.
        path, pace: whoever goes covers this way, and this much a second on average.
        ahead: largest angle between the way that was gone and the facing for "forward" (backwards: from the
            other side).
        aside: smallest such angle of a sidestep; slant: smallest and largest one of a diagonal walk (two pairs).
        grounded: the duty factor (`kinematics.duty_factor`) of a gait without flight; gaits with flight have less.
        walking, running, sprinting: largest speed of a walk, smallest of a run, smallest of a sprint, m/s.
        jogging: largest speed of a jog, m/s.
        heel: angle of the standing foot (toe joint to ankle) on tiptoe; a flat foot has about 20.
        high_step: height that the toes reach in every step of a march; high_knee: angle of the thigh.
        limp: the sore leg stands for a shorter time than the other one: ratio of the two.
        creep: largest pelvis height (leg lengths) of a creeping body, stoop: and its trunk leans forward.
        skipping: share of touch-downs that follow one of the same foot.
        stay: a standing body moves its pelvis at most so far (largest extent); calm_feet: its toes rise at most
            so high.
        upright: pelvis height (leg lengths) of a standing body. halt: speed at the end of a stop, m/s; before:
            and at its start.
        spot: pelvis path of a turn on the spot. tread: way of the foot that goes least far, of whoever goes.
        step: way of a foot in one step; step_part: share of the longest step that must be seen of one that is cut off.
        over_it: height of the toes in a step over something. long_steps, short_steps: length over the usual one.
    Turning:
        turn: smallest change of heading of a turn; counter: largest swing to the other side, as a share of it;
            whole: largest turn that
            is not a spin. slight: largest "slight" turn, and at_all: smallest. within: allowed distance
            from an angle that was named.
        spin: smallest full turn. lap: smallest change of heading of a circle; round: its roundness, the spread
            of the distance from
            its centre as a share of the radius; laps: allowed distance from so many
            times round. small, big: largest radius of a small circle, smallest of a big one.
        loop: turn of each half of a figure eight. zig: smallest turn of a zigzag; onward: net way over path.
        straight: largest range of the heading of a straight way; direct: and net way over path.
    Jumps and legs:
        rise: of the pelvis over its standing height in a jump; far: way of a jump to somewhere; near: of one on
            the spot.
        jump_high: rise of a high one, over the take-off.
        lifted: height of the foot that a hopping body holds up. hop: rise of the pelvis between two landings.
        kick_out, kick_aside: how far the kicking foot comes before the pelvis or outwards, leg lengths; kick_up: and its
            ankle's height; kick_way: how much farther it goes the way that is claimed than the other one. kick_high,
            kick_aside_high: ankle's height in a high kick.
        knee_up: angle of a raised thigh; knee_rest: largest one of the other leg. stomp: speed of the way down over that
            of the way up.
    Postures (heights of the pelvis in leg lengths, standing is about 1.1):
        low: the pelvis of a sitting, crouching, squatting body; seat: the angle of its thighs; feet_ahead: how
            far a sitting body's feet are
            before the pelvis; sit_lean: its largest lean. knee_down: height of a kneeling knee; knee_low:
            pelvis height of a kneeling body.
        hunch: lean of a crouching trunk; hold: how long a posture is held. trunk_still: range of the lean in
            which the head can be judged. back_up: pelvis height after a squat or getting up.
        bow: lean of a bow; bow_most: largest one; stretched: the pelvis stays this high. bend: lean of a body
            that bends down;
        bow_slight, bend_slight: largest lean of slight ones.
        lean, lean_slight: of the trunk to a side, and of a slight one; lean_ahead: largest lean forward with it.
        lunge_apart: from foot to foot, leg lengths; lunge_thigh: angle of the thigh in front; lunge_slight: largest pelvis
            height of a slight one; lunge_net: largest distance between start and end.
        reach_down: or height of a hand at a lean of at least `bow`. lie: largest pelvis height lying; flat:
            tilt of the trunk.
    Arms (heights in arm lengths over the hanging hand, 1 = shoulder):
        raised: of a raised hand, held for `held` seconds; running_arms: the same while the body runs; high: of
            one raised high; half: largest of one raised halfway; slight_low: smallest
            of a slightly raised one. down: largest of a hand that is not raised. tremble: largest swing of
            a raised hand that does not
            wave, as turning points (`wave_turns`) of at least `swing`.
        wave_small, wave_big: largest swing of a slight wave, smallest of a big one, metres.
        swing: smallest swing of a wave, metres; small_swing: the same of a
        hand that stays below `low_hand`, as those do that wave from the wrist with a bent elbow; wave_turns:
        turning points of one; wave_rate: and so many a second.
        punch_out: level reach of a fist, arm lengths; punch_back: how far it comes back before and after.
            punch_height, punch_high: its
        smallest and largest elevation; punch_ahead: the forward part of the reach.
        punch_speed: arm lengths a second. throw_back: the hand behind the shoulder, arm lengths, throw_speed:
            and then its speed forward.
        clap: distance of the wrists at a clap; apart: how far they part between two (strict, lax).
        straight_arm: largest elbow bend when pointing; toward: largest angle between arm and direction.
        crossed: left wrist to the right of the right one by this much; folded: elbows bent so far.
        arm_round: turns of a circling arm, degrees in all, arm_once: where one round was claimed; arm_over: how high it
            comes, arm_down: and how far it comes down between two rounds.
        spread: reach of both hands to the sides, arm lengths; spread_height: their elevation (two pairs).
        at_head: distance of a wrist from the head, metres; crown: and its height over it for a hand on top, brow: for a
            hand at the brow, brow_out: which is so far outside. at_hips: distance of the wrists from where they rest at
            the hips. shrug: rise of both shoulders, metres.
    Head:
        seen: angle of neck -> head from the trunk, below which no yaw can be read; nod, shake: swing (strict,
            lax); head_turn: yaw of a look;
        head_tilt: pitch of a look up or down.
    Staying still ("without moving the ..."):
        arms_still, head_still: largest extent of wrists against shoulders (arm lengths) and of the head's angles.
        feet_still: largest extent of the toes' way over the floor.
    Speed: slow, fast: rate over the word's usual rate; slow_loose, fast_loose: the same for words whose ordinary speeds
        differ more.
    """

    shortest: float = 0.6
    path: Pair = (0.25, 0.45)
    pace: Pair = (0.12, 0.22)
    ahead: Pair = (18.0, 27.0)
    aside: Pair = (58.0, 66.0)
    slant: tuple[Pair, Pair] = ((16.0, 25.0), (52.0, 60.0))
    grounded: Pair = (0.475, 0.495)
    walking: Pair = (2.2, 2.6)
    running: Pair = (1.2, 1.45)
    jogging: Pair = (3.0, 3.6)
    sprinting: Pair = (3.4, 3.8)
    heel: Pair = (34.0, 42.0)
    high_step: Pair = (0.11, 0.15)
    high_knee: Pair = (40.0, 46.0)
    limp: Pair = (0.86, 0.92)
    creep: Pair = (1.02, 1.05)
    stoop: Pair = (8.0, 12.0)
    skipping: Pair = (0.15, 0.30)
    stay: Pair = (0.30, 0.45)
    calm_feet: Pair = (0.09, 0.14)
    upright: Pair = (0.90, 0.98)
    halt: Pair = (0.25, 0.40)
    before: Pair = (0.25, 0.40)
    spot: Pair = (0.6, 1.0)
    turn: Pair = (18.0, 32.0)
    counter: Pair = (0.4, 0.6)
    whole: Pair = (240.0, 300.0)
    slight: Pair = (50.0, 60.0)
    at_all: Pair = (8.0, 14.0)
    within: Pair = (24.0, 38.0)
    spin: Pair = (285.0, 315.0)
    lap: Pair = (278.0, 295.0)
    laps: Pair = (100.0, 180.0)
    round: Pair = (0.30, 0.50)
    small: Pair = (0.85, 1.0)
    big: Pair = (0.98, 1.08)
    loop: Pair = (200.0, 260.0)
    zig: Pair = (20.0, 30.0)
    onward: Pair = (0.55, 0.70)
    straight: Pair = (20.0, 32.0)
    direct: Pair = (0.93, 0.97)
    rise: Pair = (0.04, 0.07)
    far: Pair = (0.14, 0.22)
    near: Pair = (0.20, 0.30)
    lifted: Pair = (0.06, 0.10)
    hop: Pair = (0.025, 0.045)
    kick_out: Pair = (0.40, 0.50)
    kick_up: Pair = (0.22, 0.30)
    low: Pair = (0.80, 0.90)
    seat: Pair = (48.0, 58.0)
    feet_ahead: Pair = (0.18, 0.26)
    sit_lean: Pair = (32.0, 42.0)
    knee_down: Pair = (0.12, 0.17)
    knee_low: Pair = (0.75, 0.85)
    hunch: Pair = (18.0, 26.0)
    hold: Pair = (0.15, 0.30)
    trunk_still: Pair = (16.0, 24.0)
    back_up: Pair = (0.95, 1.02)
    bow: Pair = (18.0, 25.0)
    bow_most: Pair = (75.0, 85.0)
    stretched: Pair = (0.88, 0.95)
    bend: Pair = (42.0, 54.0)
    reach_down: Pair = (0.55, 0.65)
    lie: Pair = (0.40, 0.50)
    flat: Pair = (55.0, 65.0)
    raised: Pair = (0.60, 0.75)
    held: Pair = (0.15, 0.25)
    running_arms: Pair = (0.95, 1.10)
    high: Pair = (1.30, 1.50)
    half: Pair = (1.48, 1.60)
    slight_low: Pair = (0.12, 0.20)
    down: Pair = (0.55, 0.70)
    swing: Pair = (0.03, 0.05)
    small_swing: Pair = (0.012, 0.018)
    low_hand: float = 1.05
    wave_turns: Pair = (1.5, 3.0)
    wave_rate: Pair = (0.6, 0.9)
    punch_out: Pair = (0.72, 0.82)
    punch_back: Pair = (0.20, 0.30)
    punch_height: Pair = (0.60, 0.70)
    punch_high: Pair = (1.35, 1.45)
    punch_ahead: Pair = (0.30, 0.42)
    punch_speed: Pair = (1.2, 1.55)
    throw_back: Pair = (-0.25, -0.15)
    throw_speed: Pair = (2.8, 3.6)
    clap: Pair = (0.16, 0.24)
    apart: Pair = (0.05, 0.10)
    straight_arm: Pair = (35.0, 50.0)
    toward: Pair = (28.0, 38.0)
    crossed: Pair = (-0.03, 0.02)
    folded: Pair = (60.0, 75.0)
    arm_round: Pair = (330.0, 500.0)
    arm_over: Pair = (1.15, 1.30)
    arm_once: Pair = (150.0, 250.0)
    arm_down: Pair = (0.35, 0.55)
    seen: Pair = (14.0, 22.0)
    nod: Pair = (14.0, 17.0)
    shake: Pair = (13.0, 18.0)
    head_turn: Pair = (20.0, 30.0)
    head_tilt: Pair = (13.0, 20.0)
    arms_still: Pair = (0.18, 0.28)
    head_still: Pair = (14.0, 20.0)
    feet_still: Pair = (0.12, 0.20)
    jump_high: Pair = (0.30, 0.365)
    wave_small: Pair = (0.17, 0.22)
    wave_big: Pair = (0.26, 0.36)
    bow_slight: Pair = (34.0, 44.0)
    lean: Pair = (11.5, 15.0)
    lean_slight: Pair = (4.0, 6.5)
    lean_ahead: Pair = (20.0, 30.0)
    lunge_apart: Pair = (0.34, 0.42)
    lunge_thigh: Pair = (50.0, 60.0)
    lunge_slight: Pair = (1.00, 1.04)
    lunge_net: Pair = (0.30, 0.45)
    kick_aside: Pair = (0.42, 0.52)
    kick_way: Pair = (0.0, 0.10)
    kick_high: Pair = (0.84, 0.94)
    kick_aside_high: Pair = (0.64, 0.69)
    knee_up: Pair = (50.0, 60.0)
    knee_rest: Pair = (30.0, 42.0)
    stomp: Pair = (1.20, 1.35)
    spread: Pair = (0.72, 0.85)
    spread_height: tuple[Pair, Pair] = ((0.55, 0.67), (1.25, 1.40))
    at_head: Pair = (0.23, 0.28)
    crown: Pair = (0.080, 0.105)
    brow: Pair = (-0.08, -0.03)
    brow_out: Pair = (0.04, 0.08)
    at_hips: Pair = (0.12, 0.17)
    shrug: Pair = (0.020, 0.030)
    step: Pair = (0.08, 0.14)
    step_part: Pair = (0.35, 0.60)
    over_it: Pair = (0.22, 0.27)
    long_steps: Pair = (1.08, 1.22)
    short_steps: Pair = (0.77, 0.88)
    slow: Pair = (0.76, 0.86)
    fast: Pair = (1.18, 1.30)
    slow_loose: Pair = (0.72, 0.94)
    fast_loose: Pair = (1.05, 1.28)
    tread: Pair = (0.10, 0.20)
    bend_slight: Pair = (52.0, 66.0)


LIMITS = Limits()
