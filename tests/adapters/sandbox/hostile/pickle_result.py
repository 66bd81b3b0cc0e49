# ruff: noqa - a block of a document, not a module
"""Returns an object that would run code where it is unpickled."""


class Trap:
    def __reduce__(self):
        return (print, ("BREACH",))


result = Trap()
