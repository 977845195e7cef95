// The message queues of a topic, and how far behind each is.

import { Rows, bar, byId, element, say } from "./elements.js";
import { post } from "./calls.js";
import { attempt } from "./outcome.js";
import { count, counted, period } from "./numbers.js";

/** Message queues as items of a `list`. */
export class Subscribers {
  #rows;

  /** `ended` is called when the person has ended a queue. */
  constructor(list, ended) {
    const key = (queue) => `${queue.topic} ${queue.queue}`;
    this.#rows = new Rows(list, key, (queue) => item(queue, ended));
  }

  /** Show message queues in the given order; each bar is relative to the longest backlog. */
  show(queues) {
    const most = Math.max(1, ...queues.map((queue) => queue.unread));
    this.#rows.show(queues.map((queue) => ({ ...queue, share: queue.unread / most })));
  }
}

function item({ group }, ended) {
  const filled = bar();
  const [name, behind] = [element("b"), element("span")];
  const [standing, more] = [element("small"), element("small", { class: "soft" })];
  const row = element("li", {}, element("div", { class: "between" }, name, behind), filled.row, standing, more);
  let shown;
  if (group !== null) {
    const button = element("button", { type: "button", class: "quiet small", "aria-label": `End the queue of group ${group}` }, "End");
    button.addEventListener("click", () => end(shown).then((done) => done && ended()));
    row.append(button);
  }
  const update = (queue) => {
    shown = queue;
    say(name, nameOf(queue));
    name.title = queue.peers.join(", ");
    say(behind, queue.unread ? `${count(queue.unread)} behind` : "up to date");
    behind.dataset.tone = queue.unread ? "warn" : "good";
    filled.fill(queue.share, "warn");
    standing.hidden = queue.members > 0;
    standing.dataset.tone = queue.unread ? "warn" : "";
    say(standing, standing.hidden ? "" : ending(queue));
    say(more, details(queue).join(" · "));
  };
  return { row, update };
}

function nameOf(queue) {
  if (queue.group === null) return queue.members ? queue.queue : `${queue.queue} (away)`;
  return queue.members ? `${queue.group} (group of ${count(queue.members)})` : `${queue.group} (group without members)`;
}

/** When a queue ends that stands without members. */
function ending(queue) {
  if (queue.expires_in === null) return "Stands until somebody ends it";
  const comes = queue.group === null ? "the peer is back" : "a member comes";
  return `Ends in ${period(queue.expires_in)}, unless ${comes}`;
}

function details(queue) {
  const told = [`at offset ${queue.next_offset}`, `last used ${period(queue.idle_seconds)} ago`];
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

/** End a group's message queue if the person confirms it; returns whether it ended. */
async function end({ topic, group, members, unread }) {
  const lost = [];
  if (unread) lost.push(`${counted(unread, "unread message")} will be discarded`);
  if (members) lost.push(`${counted(members, "member")} will have to subscribe again`);
  const told = lost.length ? ` ${lost.join(", and ")}.` : "";
  if (!confirm(`End the message queue of group ${group} on topic ${topic}?${told}`)) return false;
  return attempt(byId("ended"), async () => {
    const answer = JSON.parse(await post("unsubscribe", JSON.stringify({ topic, group, end: true })));
    return answer.message;
  });
}
