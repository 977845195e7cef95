"""Run the indexing server: `python indexing_server.py --help`."""

from peerbus.cli.server_command import main, run

__all__ = ["main"]

if __name__ == "__main__":
    run()
