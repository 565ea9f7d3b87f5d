"""What goes wrong with data, in words that its manager can act on."""

from __future__ import annotations


class DataError(Exception):
    """A schema, a mapping, a data set, or what is asked of them, does not fit.

    what: the thing at fault (a file, a key, a column). why: what is wrong with it. todo: what to do about it, or "".
    None of the three ever holds a value of a data set.
    """

    def __init__(self, what: str, why: str, todo: str = "") -> None:
        super().__init__(f"{what}: {why}" + (f"; {todo}" if todo else ""))
        self.what = what
        self.why = why
        self.todo = todo
