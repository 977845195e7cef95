"""Run peer nodes: `python peer_node.py --help`."""

from peerbus.cli.node_command import run

if __name__ == "__main__":
    run()
