// The page of a peer node.

import { byId, element, say, sayIn } from "./elements.js";
import { get, post, unlessGone } from "./calls.js";
import { chosenBefore, keepChosen } from "./chosen.js";
import { Counters } from "./history.js";
import { Looking } from "./looking.js";
import { Messages } from "./messages.js";
import { Subscriptions } from "./subscriptions.js";
import { attempt } from "./outcome.js";
import { count, period } from "./numbers.js";
import { justBefore } from "./listing.js";
import { publishTo, publishing } from "./publishing.js";
import { pulling } from "./pulling.js";

const MOST_SUBSCRIPTIONS = 50;
const MOST_EVENTS = 30;

const counters = new Counters();
const subscriptions = new Subscriptions(byId("subscriptions"), counters, choose);
const messages = new Messages();
let chosen = "";
let latestEvent;

const looking = new Looking(look);
const lookNow = () => looking.now();
const forgetPulled = pulling(() => chosen, lookNow);
publishing(lookNow);
subscribing();
choose(chosenBefore());

/** Fetch everything that the page shows, and show it. The node's own state needs no indexing server. */
async function look() {
  const [node, { events }] = await Promise.all([get("node"), get("events")]);
  showNode(node);
  showEvents(events);
  if (!node.registered) return;
  const { subscriptions: queues } = await get("subscriptions", { order: "unread", limit: MOST_SUBSCRIPTIONS });
  counters.note(performance.now() / 1000, queues.map((queue) => [queue.topic, queue.next_offset]));
  if (!chosen && queues.length) choose(queues[0].topic);
  subscriptions.show(queues, chosen);
  say(byId("subscriptions-shown"), queues.length < MOST_SUBSCRIPTIONS ? count(queues.length) : `the first ${queues.length}`);
  byId("no-subscriptions").hidden = queues.length > 0;
  await lookAtTopic(chosen);
}

function showNode(node) {
  say(byId("peer"), node.peer_id);
  document.title = `${node.peer_id} · peerbus`;
  const link = byId("index");
  if (/^https?:/.test(node.index_url)) link.href = node.index_url;
  link.title = node.index_url;
  sayIn(node.registered ? "good" : "bad", byId("verdict"), node.registered ? "Registered." : "Not registered.");
  const told = [node.address ?? "no address"];
  told.push(node.lease_seconds === null ? "no lease" : `lease of ${period(node.lease_seconds)}`);
  if (node.renewed_ago !== null) told.push(`renewed ${period(node.renewed_ago)} ago`);
  say(byId("held"), told.join(" · "));
}

function showEvents(events) {
  say(byId("events-shown"), count(events.length));
  const latest = events.at(-1);
  const standing = latest && `${latest.time} ${latest.message}`;
  if (standing === latestEvent) return;
  latestEvent = standing;
  const items = events.slice(-MOST_EVENTS).map((event) => {
    const time = new Date(event.time * 1000);
    const stamp = element("time", { datetime: time.toISOString(), class: "soft" }, time.toLocaleTimeString());
    return element("li", {}, stamp, element("b", {}, event.event.replaceAll("_", " ")), element("span", {}, event.message));
  });
  byId("events").replaceChildren(...items.reverse());
}

async function lookAtTopic(name) {
  if (!name) return;
  const { topics } = await get("topics", { after: justBefore(name), limit: 1 });
  const topic = topics.find((each) => each.topic === name);
  if (name !== chosen) return;
  byId("topic").hidden = !topic;
  const about = topic && `${count(topic.next_offset)} published · ${count(topic.subscribers)} subscribed`;
  say(byId("topic-about"), about ?? `Topic '${name}' does not exist.`);
  if (topic) await unlessGone(messages.show(name, topic.next_offset));
}

function subscribing() {
  const form = byId("subscribe");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const topic = form.elements.topic.value;
    attempt(byId("subscribed"), async () => {
      const answer = JSON.parse(await post("subscribe", JSON.stringify({ topic })));
      choose(topic);
      form.reset();
      return answer.message;
    });
  });
}

function choose(name) {
  if (name !== chosen) {
    forgetPulled();
    keepChosen(name);
    say(byId("topic-title"), name);
    publishTo(name);
  }
  chosen = name;
  lookNow();
}
