"""Motion-aligned word embeddings: language models that know what motion words look like.

The names below are loaded when they are first used, so that `import mate` stays quick: PyTorch and transformers
come in only with what needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mate.checkpoints import from_pretrained
    from mate.errors import MateError
    from mate.formats.load import load_motion
    from mate.formats.save import save_motion
    from mate.motion.motion import Motion
    from mate.text.encoder import TextEncoder
    from mate.text.patch import WordPatch
    from mate.text.subtexts import split

__all__ = [
    "MateError",
    "Motion",
    "TextEncoder",
    "WordPatch",
    "__version__",
    "from_pretrained",
    "load_motion",
    "save_motion",
    "split",
]

_HOMES = {
    "MateError": "mate.errors",
    "Motion": "mate.motion.motion",
    "TextEncoder": "mate.text.encoder",
    "WordPatch": "mate.text.patch",
    "from_pretrained": "mate.checkpoints",
    "load_motion": "mate.formats.load",
    "save_motion": "mate.formats.save",
    "split": "mate.text.subtexts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mate' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
