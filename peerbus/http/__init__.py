"""From bytes to a reply and back, the same for the indexing server and peer nodes."""
