"""Why a request to another process got no whole response."""


class UpstreamError(Exception):
    """Base of these errors; the text completes a sentence about the other side."""


class Unreachable(UpstreamError):
    """No connection, or it broke before the response was whole."""


class NotConnected(Unreachable):
    """No connection: nothing of the request was sent."""


class TimedOut(UpstreamError):
    """Connected, but the response did not come, or was not complete, in time."""


class StreamClosed(UpstreamError):
    """The stream was closed on this side."""
