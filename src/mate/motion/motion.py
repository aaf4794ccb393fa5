"""One motion as an array of joint positions."""

from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion.skeleton import HUMANML3D, Skeleton


@dataclass(frozen=True)
class Motion:
    """Joint positions over time, Y up, in metres.

    Attributes:
        joints: (T, J, 3) float32.
        fps: frames per second.
        skeleton: what the J joints are.
        name: for messages and file names.
    """

    joints: np.ndarray
    fps: float
    skeleton: Skeleton = HUMANML3D
    name: str = ""

    def __post_init__(self) -> None:
        expected = (self.skeleton.joints, 3)
        if self.joints.ndim != 3 or self.joints.shape[1:] != expected:
            raise MateError(
                f"{self.name or 'motion'}: got joints of shape {self.joints.shape}, expected (T, {expected[0]}, 3)"
            )
        if len(self.joints) == 0:
            raise MateError(f"{self.name or 'motion'}: no frames")
        if not np.isfinite(self.joints).all():
            frame = int(np.argwhere(~np.isfinite(self.joints))[0, 0])
            raise MateError(f"{self.name or 'motion'}: NaN or infinite positions, first at frame {frame}")
        if not self.fps > 0:
            raise MateError(f"{self.name or 'motion'}: got {self.fps} frames per second, expected a positive number")
        object.__setattr__(self, "joints", np.ascontiguousarray(self.joints, dtype=np.float32))

    @property
    def frames(self) -> int:
        """The number of frames T."""
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """The duration, T / fps."""
        return len(self.joints) / self.fps
