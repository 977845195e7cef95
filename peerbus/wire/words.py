"""Numbers of things, in words."""


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def also_discarded(messages: int) -> str:
    """What is to be added to the end of a subscription, or of a peer with its subscriptions."""
    return f" {counted(messages, 'message')} that it had not pulled or acknowledged: discarded." if messages else ""
