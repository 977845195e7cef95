"""Counts in sentences."""


def counted(number: int, noun: str) -> str:
    """`number` and `noun`, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def also_discarded(messages: int) -> str:
    """A sentence to add if messages were discarded with a subscription or a peer."""
    return f" {counted(messages, 'message')} that it had not pulled or acknowledged: discarded." if messages else ""
