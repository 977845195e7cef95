"""The peers of a whole machine."""

from benchmarks import many_peers


def test_every_peer_publishes_pulls_and_is_gone() -> None:
    row = many_peers.measure(3)
    assert (row.peers, row.published, row.pulled) == (3, 3, 3)
    assert (row.exit_code, row.processes_left, row.peers_left, row.complaints) == (0, 0, 0, 0)
    assert 1 < row.median_mib <= row.most_mib < row.all_mib
    assert "3 peer nodes" in str(row)
