"""Counts in sentences."""


def counted(number: int, noun: str) -> str:
    """`number` and `noun`, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A time in its largest unit, rounded down: `59 seconds`, `3 hours`."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return counted(int(seconds // size), unit)
    return counted(int(seconds), "second")


def also_discarded(messages: int) -> str:
    """A sentence to add if messages were discarded with a subscription or a peer."""
    return f" {counted(messages, 'message')} that it had not pulled or acknowledged: discarded." if messages else ""


def topics_created(created: int, existed: int) -> str:
    """Sentences that say how many topics are new, and how many stay as they are."""
    sentence = f"{counted(created, 'topic')} {'is' if created == 1 else 'are'} created."
    if existed:
        sentence += f" {existed} existed; {'it keeps its' if existed == 1 else 'they keep their'} messages."
    return sentence
