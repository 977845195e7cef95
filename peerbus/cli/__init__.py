"""The command lines: `peerbus`, the client; `peerbus-server`, the indexing server; `peerbus-peer`, peer nodes."""
