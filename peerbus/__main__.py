"""`python -m peerbus` is the same as `peerbus`."""

from peerbus.cli.main import main

main()
