"""What people in the browser may read: messages without the paths of the machine that the server runs on."""

import re

FAILED = "something went wrong inside the studio; the window it was started from says what"
# A drive letter or a slash at the start of a word, then at least one more part: /tmp/x, ~/x, C:\\x. Not "and/or", not "m/s".
_PATH = re.compile(r"(?<![\w.)])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s'\":;,()/\\]+[\\/])*([^\s'\":;,()/\\]*)")


def without_paths(message: str, names: dict[str, str] | None = None) -> str:
    """One line in which every path is only its last part.

    Args:
        names: path -> the name to show for it, such as the temporary copy of an upload and the name that the file came with.
    """
    for path, name in (names or {}).items():
        message = message.replace(path, name)
    return " ".join(_PATH.sub(lambda found: found[1] or "a folder", message).split())


def display_name(name: str | None) -> str:
    """The last part of a file name that a browser sent, printable, at most 80 characters. It is shown, never opened."""
    last = re.split(r"[\\/]", name or "")[-1]
    shown = "".join(sign for sign in last if sign.isprintable()).strip()
    return shown[:80] or "the file"


def download_name(text: str, suffix: str) -> str:
    """A file name of plain letters, digits and hyphens for a prompt."""
    return ("-".join(re.findall(r"[a-z0-9]+", text.lower()))[:60].strip("-") or "motion") + suffix
