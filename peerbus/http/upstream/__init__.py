"""HTTP calls to other peerbus processes."""
