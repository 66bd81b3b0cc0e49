"""Numbers of things as people say them."""


def counted(entries: int) -> str:
    """`1 entry`, `2 entries`."""
    return f"{entries} {'entry' if entries == 1 else 'entries'}"
