"""Run peer nodes: `python peer_node.py --help`."""

from peerbus.peer.command import run

if __name__ == "__main__":
    run()
