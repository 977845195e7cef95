"""The signals that ask a process to stop."""

import signal


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT (Ctrl-C), and SIGHUP (a closed terminal) unless it is ignored, as below `nohup`."""
    stops = (signal.SIGTERM, signal.SIGINT)
    return stops if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*stops, signal.SIGHUP)
