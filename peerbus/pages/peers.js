// The table of peers.

import { Rows, bar, element, say } from "./elements.js";
import { count, period } from "./numbers.js";

const SILENT = 1 / 3;

/** Peers as rows of a table's `body`. */
export class Peers {
  #rows;

  constructor(body) {
    this.#rows = new Rows(body, (peer) => peer.peer_id, peerRow);
  }

  /** Show peers. */
  show(peers) {
    this.#rows.show(peers);
  }
}

function peerRow({ peer_id: name }) {
  const filled = bar();
  const [lease, topics, address] = [element("span"), element("span"), element("span", { class: "soft" })];
  const row = element(
    "tr",
    {},
    element("th", { scope: "row", class: "name", title: name }, name),
    element("td", { class: "going" }, filled.row, lease),
    element("td", {}, topics),
    element("td", { class: "address" }, address),
  );
  const update = (peer) => {
    const { expires_in: left, lease_seconds: whole } = peer;
    const share = left === null ? 0 : left / whole;
    filled.fill(share, left !== null && share < SILENT ? "warn" : "");
    filled.row.hidden = left === null;
    say(lease, left === null ? "no lease" : period(left));
    row.title = left !== null && share < SILENT ? "Silent for most of its lease. When the lease runs out, the peer is away, and its message queues stand for a time." : "";
    say(topics, count(peer.topics.length));
    topics.title = peer.topics.slice(0, 20).join(", ");
    say(address, peer.address ?? "–");
  };
  return { row, update };
}
