// The page of the indexing server.

import { byId, say, sayIn } from "./elements.js";
import { get, unlessGone } from "./calls.js";
import { chosenBefore, keepChosen } from "./chosen.js";
import { Counters } from "./history.js";
import { Figures, withLost } from "./figures.js";
import { Listing, justBefore } from "./listing.js";
import { Looking } from "./looking.js";
import { Messages } from "./messages.js";
import { Peers } from "./peers.js";
import { Subscribers } from "./subscribers.js";
import { Topics } from "./topics.js";
import { count, counted, period } from "./numbers.js";
import { judge } from "./verdict.js";
import { publishTo, publishing } from "./publishing.js";

const MOST_SUBSCRIBERS = 10;

const counters = new Counters();
const topicCounters = new Counters();
const figures = new Figures(counters);
const topics = new Topics(byId("topics"), topicCounters, choose);
const peers = new Peers(byId("peers"));
const subscribers = new Subscribers(byId("subscribers"), () => looking.now());
const messages = new Messages();
let chosen = "";
let foremost = [];

const looking = new Looking(look);
const lookNow = () => looking.now();
const topicListing = new Listing("topics", "topic", lookNow);
const peerListing = new Listing("peers", "peer", lookNow);
publishing(lookNow);
choose(chosenBefore());

/** Fetch everything that the page shows, and show it. */
async function look() {
  const [{ stats: figured }, { topics: listed }, { peers: registered }] = await Promise.all([
    get("stats"),
    get("topics", { ...topicListing.query, order: "unread" }),
    get("peers", peerListing.query),
  ]);
  const stats = withLost(figured);
  const at = performance.now() / 1000;
  counters.note(at, Object.entries(stats).filter(([, value]) => typeof value === "number"));
  topicCounters.note(at, listed.map((topic) => [topic.topic, topic.next_offset]));
  if (!chosen && listed.length) choose(listed[0].topic);
  figures.show(stats);
  if (!topicListing.filtered) foremost = listed;
  judge(stats, foremost, counters);
  topics.show(listed, chosen);
  peers.show(registered);
  topicListing.tell(listed.length, stats.topics, "No topics yet. POST /create_topic makes one.");
  peerListing.tell(registered.length, stats.peers, "No peers yet. POST /register_peer_node registers one.");
  say(byId("about"), `indexing server, up ${period(stats.uptime_seconds)}`);
  await lookAtTopic(chosen);
}

/** Show one topic: its subscribers and its last messages. */
async function lookAtTopic(name) {
  if (!name) return;
  const { topics: found } = await get("topics", { after: justBefore(name), limit: 1 });
  const topic = found.find((each) => each.topic === name);
  if (name !== chosen) return;
  byId("topic").hidden = !topic;
  say(byId("topic-about"), topic ? describe(topic) : `Topic '${name}' does not exist.`);
  if (!topic) return;
  const queues = await unlessGone(get("subscriptions", { topic: name, order: "unread", limit: MOST_SUBSCRIBERS }));
  if (name !== chosen || !queues) return;
  subscribers.show(queues.subscriptions);
  const all = topic.subscribers;
  const listed = queues.subscriptions.length;
  say(byId("subscribers-shown"), listed ? `${counted(all, "peer")}, furthest behind first` : "none");
  await unlessGone(messages.show(name, topic.next_offset));
}

function describe(topic) {
  const told = [`${count(topic.next_offset)} published`, `${count(topic.unread)} unread`];
  told.push(`holds ${count(topic.max_messages)}`);
  told.push(topic.overflow === "reject" ? "refuses when full" : "drops the oldest when full");
  if (topic.max_age !== null) told.push(`drops after ${period(topic.max_age)}`);
  return told.join(" · ");
}

function choose(name) {
  if (name !== chosen) {
    keepChosen(name);
    say(byId("topic-title"), name);
    sayIn("", byId("acted"), "");
    publishTo(name);
  }
  chosen = name;
  lookNow();
}
