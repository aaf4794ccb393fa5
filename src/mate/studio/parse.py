"""Reads one uploaded motion in a process of its own, which may be slow, greedy or crash without harm to the server.

    python -P -m mate.studio.parse FILE OUT.npy BYTES CPU_SECONDS LONGEST

Writes joints (T, 22, 3) float32 at 20 frames per second, on the floor, starting at the origin. Prints one line of JSON: `frames`,
or `error`. BYTES limits the address space, CPU_SECONDS the processor time, LONGEST the seconds of the motion.
"""

import json
import sys
from pathlib import Path

from mate.errors import MateError

FPS = 20.0


def limit(size: int, seconds: int) -> None:
    """Limits this process where the system can (not on Windows, where the parent's clock is all there is)."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def parse(source: Path, out: Path, max_seconds: float = float("inf")) -> int:
    """Writes the joints of a motion file and returns the number of frames.

    Raises:
        MateError: not a motion, or one longer than `max_seconds`.
    """
    import numpy as np

    from mate.formats.load import load_motion
    from mate.motion.retarget import put_on_floor, resample, start_at_origin

    motion = load_motion(source)
    if motion.seconds > max_seconds:
        raise MateError(
            f"{source}: {motion.seconds:.0f} s, the studio takes at most {max_seconds:.0f} s; cut it shorter"
        )
    joints = resample(motion.joints, motion.fps, FPS)
    joints = start_at_origin(put_on_floor(joints)).astype(np.float32)
    np.save(out, joints, allow_pickle=False)
    return len(joints)


def main(argv: list[str]) -> int:
    """Runs the command above; exit status 2 for a file that cannot be used."""
    source, out, size, seconds, longest = argv
    limit(int(size), int(seconds))
    try:
        answer = {"frames": parse(Path(source), Path(out), float(longest))}
    except MateError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"{source} needs more memory than the studio gives to one file; cut it shorter"}
    print(json.dumps(answer))
    return 2 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
