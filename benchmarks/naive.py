"""The obvious first design, to compare with: `python -m benchmarks.naive --help`.

An indexing server on Flask's own development server keeps a list of messages for each subscriber of a topic, and
appends every message to each list, under one lock. A peer forwards each call with `requests`.
"""

import logging
import threading

import click
import requests
from flask import Flask, request
from flask.typing import ResponseReturnValue


def indexing_server() -> Flask:
    """The application of the indexing server."""
    app = Flask(__name__)
    lock = threading.Lock()
    topics: dict[str, dict[str, list[object]]] = {}

    @app.post("/create_topic")
    def create_topic() -> ResponseReturnValue:
        topic = request.get_json()["topic"]
        with lock:
            topics.setdefault(topic, {})
        return {"message": f"Topic '{topic}' is created."}

    @app.post("/subscribe")
    def subscribe() -> ResponseReturnValue:
        fields = request.get_json()
        with lock:
            if fields["topic"] not in topics:
                return {"message": f"Topic '{fields['topic']}' does not exist."}, 404
            topics[fields["topic"]].setdefault(fields["peer_id"], [])
        return {"message": f"Peer '{fields['peer_id']}' is subscribed to topic '{fields['topic']}'."}

    @app.post("/publish")
    def publish() -> ResponseReturnValue:
        fields = request.get_json()
        with lock:
            if fields["topic"] not in topics:
                return {"message": f"Topic '{fields['topic']}' does not exist."}, 404
            for messages in topics[fields["topic"]].values():
                messages.append(fields["message"])
        return {"message": f"Message published to topic '{fields['topic']}'.", "topic": fields["topic"]}

    @app.post("/pull_messages")
    def pull_messages() -> ResponseReturnValue:
        fields = request.get_json()
        with lock:
            messages = topics.get(fields["topic"], {}).get(fields["peer_id"])
            if messages is None:
                return {"message": f"Peer '{fields['peer_id']}' is not subscribed to it."}, 404
            topics[fields["topic"]][fields["peer_id"]] = []
        return {"message": f"{len(messages)} messages from topic '{fields['topic']}'.", "messages": messages}

    return app


def peer(peer_id: str, index_url: str) -> Flask:
    """The application of a peer, which forwards every call to the indexing server."""
    app = Flask(__name__)

    @app.post("/<call>")
    def forward(call: str) -> ResponseReturnValue:
        fields = {**request.get_json(), "peer_id": peer_id}
        answer = requests.post(f"{index_url}/{call}", json=fields, timeout=10)
        return answer.json(), answer.status_code

    return app


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--index-url", help="Run a peer that forwards to this server.")
def main(port: int, index_url: str | None) -> None:
    """Run the indexing server, or a peer."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request would slow it down
    app = peer("peer1", index_url) if index_url else indexing_server()
    app.run(port=port, threaded=True)


if __name__ == "__main__":
    main()
