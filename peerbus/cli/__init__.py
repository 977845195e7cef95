"""The command line client: `peerbus`, for the indexing server and for a peer node alike."""
