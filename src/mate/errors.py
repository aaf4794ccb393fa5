"""The one exception for things that a user can put right."""


class MateError(Exception):
    """Bad input. The message says what was got, what was expected and what to do; the command line exits with status 2."""
