// The message queues of a topic, and how far behind each is.

import { Rows, bar, byId, element, say } from "./elements.js";
import { post } from "./calls.js";
import { attempt } from "./outcome.js";
import { count, counted, period } from "./numbers.js";

/** The group whose queue keeps the dead letters of a topic. */
const DEAD_LETTERS = "dead-letters";

/** Message queues as items of a `list`. */
export class Subscribers {
  #rows;

  /** `changed` is called when the person has ended a queue, or redriven dead letters. */
  constructor(list, changed) {
    const key = (queue) => `${queue.topic} ${queue.queue}`;
    this.#rows = new Rows(list, key, (queue) => item(queue, changed));
  }

  /** Show message queues in the given order; each bar is relative to the longest backlog. */
  show(queues) {
    const most = Math.max(1, ...queues.map((queue) => queue.unread));
    this.#rows.show(queues.map((queue) => ({ ...queue, share: queue.unread / most })));
  }
}

function item({ group }, changed) {
  const filled = bar();
  const [name, behind] = [element("b"), element("span")];
  const [standing, more] = [element("small"), element("small", { class: "soft" })];
  const row = element("li", {}, element("div", { class: "between" }, name, behind), filled.row, standing);
  let shown;
  const button = (label, name, act) => {
    const made = element("button", { type: "button", class: "quiet small", "aria-label": name }, label);
    made.addEventListener("click", () => act(shown).then((done) => done && changed()));
    return made;
  };
  const redriving = button("Redrive", "Redrive the dead letters", redrive);
  const actions = element("span", { class: "actions" });
  if (group === DEAD_LETTERS) actions.append(redriving);
  if (group !== null) actions.append(button("End", `End the queue of group ${group}`, end));
  row.append(element("div", { class: "between" }, more, actions));
  const update = (queue) => {
    shown = queue;
    redriving.hidden = !queue.unread;
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
  if (queue.oldest_unread_seconds !== null) told.push(`oldest message ${period(queue.oldest_unread_seconds)} old`);
  if (queue.ack === "explicit") {
    told.push(`${counted(queue.unacknowledged, "message")} in flight`);
    const attempts = queue.max_attempts === null ? "" : `, ${counted(queue.max_attempts, "attempt")}`;
    told.push(`${period(queue.ack_deadline)} to acknowledge${attempts}`);
    if (queue.dead_letter_topic !== null) told.push(`then to ${queue.dead_letter_topic}`);
  } else {
    told.push("acknowledges automatically");
  }
  if (queue.missed) told.push(`missed ${count(queue.missed)}`);
  told.push(...queue.push_to.map(({ url, problem }) => `pushed to ${url}${problem === null ? "" : `, which fails: ${problem}`}`));
  return told;
}

/** End a group's message queue if the person confirms it; returns whether it ended. */
async function end({ topic, group, members, unread }) {
  const lost = [];
  if (unread) lost.push(`${counted(unread, "unread message")} will be discarded`);
  if (members) lost.push(`${counted(members, "member")} will have to subscribe again`);
  const told = lost.length ? ` ${lost.join(", and ")}.` : "";
  const question = `End the message queue of group ${group} on topic ${topic}?${told}`;
  return confirm(question) && call("unsubscribe", { topic, group, end: true });
}

/** Publish the messages of all dead letters again if the person confirms it; returns whether that was done. */
async function redrive({ topic, unread }) {
  const question = `Publish the messages of ${counted(unread, "dead letter")} again, each to the topic that it came from?`;
  return confirm(question) && call("redrive", { topic, all: true });
}

function call(path, fields) {
  return attempt(byId("acted"), async () => JSON.parse(await post(path, JSON.stringify(fields))).message);
}
