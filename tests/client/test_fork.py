"""A client made before a fork: each process has its own connection, and the parent's messages stay the parent's."""

import subprocess
import sys
from textwrap import dedent

import pytest

from tests.support.harness import DEADLINE, ROOT, Api


def run(url: str, body: str) -> None:
    """Run a program that forks, with a client of the topics `parent` and `child` that has called before."""
    program = dedent(
        """
        import os, sys
        from peerbus.client import Client
        client = Client(sys.argv[1], "a", patience=0.0)
        client.register(lease_seconds=60)
        client.create_topic("parent")
        client.create_topic("child")
        """
    ) + dedent(body)
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=DEADLINE, cwd=ROOT)


def test_each_process_gets_the_answers_to_its_own_calls(index: Api) -> None:
    run(
        index.url,
        """
        child = os.fork()
        mine = "parent" if child else "child"
        for number in range(300):
            answer = client.publish(mine, number)
            assert (answer.topic, answer.offset) == (mine, number), answer
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """,
    )
    assert [topic["next_offset"] for topic in index.get("/topics").body["topics"]] == [300, 300]


@pytest.mark.parametrize("ends", ["sys.exit(0)", "os._exit(0)"])
def test_a_loop_that_was_forked_leaves_the_messages_in_hand_to_the_parent(index: Api, ends: str) -> None:
    run(
        index.url,
        f"""
        client.publish_batch("parent", [0, 1, 2])
        loop = client.messages("parent", batch=3, wait=5.0, start="earliest")
        assert next(loop).value == 0
        child = os.fork()
        if not child:
            loop.close()
            {ends}
        assert os.waitpid(child, 0)[1] == 0
        client.ack_offsets("parent", 0)
        assert [(message.value, message.attempt) for message in (next(loop), next(loop))] == [(1, 1), (2, 1)]
        """,
    )
