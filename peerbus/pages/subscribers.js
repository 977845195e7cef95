// The message queues of a topic, and how far behind each is.

import { Rows, bar, element, say } from "./elements.js";
import { count, counted, period } from "./numbers.js";

/** Message queues as items of a `list`, with the names that `nameOf` returns. */
export class Subscribers {
  #rows;

  constructor(list, nameOf) {
    const key = (queue) => `${queue.topic} ${queue.queue}`;
    this.#rows = new Rows(list, key, () => item(nameOf));
  }

  /** Show message queues in the given order; each bar is relative to the longest backlog. */
  show(queues) {
    const most = Math.max(1, ...queues.map((queue) => queue.unread));
    this.#rows.show(queues.map((queue) => ({ ...queue, share: queue.unread / most })));
  }
}

/** The name of a message queue within its topic. */
export function queueName(queue) {
  return queue.group === null ? queue.queue : `${queue.group} (group of ${count(queue.members)})`;
}

function item(nameOf) {
  const filled = bar();
  const [name, behind, more] = [element("b"), element("span"), element("small", { class: "soft" })];
  const row = element("li", {}, element("div", { class: "between" }, name, behind), filled.row, more);
  const update = (queue) => {
    say(name, nameOf(queue));
    name.title = queue.peers.join(", ");
    say(behind, queue.unread ? `${count(queue.unread)} behind` : "up to date");
    behind.dataset.tone = queue.unread ? "warn" : "good";
    filled.fill(queue.share, "warn");
    say(more, details(queue).join(" · "));
  };
  return { row, update };
}

function details(queue) {
  const told = [`at offset ${queue.next_offset}`];
  if (queue.ack === "explicit") {
    told.push(`${counted(queue.unacknowledged, "message")} in flight`);
    const attempts = queue.max_attempts === null ? "" : `, ${counted(queue.max_attempts, "attempt")}`;
    told.push(`${period(queue.ack_deadline)} to acknowledge${attempts}`);
    if (queue.dead_letter_topic !== null) told.push(`then to ${queue.dead_letter_topic}`);
  } else {
    told.push("acknowledges automatically");
  }
  if (queue.missed) told.push(`missed ${count(queue.missed)}`);
  return told;
}
