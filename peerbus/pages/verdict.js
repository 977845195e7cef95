// The state of the server in one sentence, and the reasons.

import { byId, element, say, sayIn } from "./elements.js";
import { counted, percent } from "./numbers.js";
import { fillings } from "./figures.js";
import { fullness, toneOf } from "./topics.js";

const LATELY = 60;
const NEARLY_FULL = 0.9;
const MOST_TOPICS = 3;

/** Show the state of the server in one sentence, with the reasons. */
export function judge(stats, topics, counters) {
  const reasons = [...ofServer(stats), ...ofTopics(topics), ...lately(counters)];
  const worst = reasons.some(({ tone }) => tone === "bad") ? "bad" : reasons.length ? "warn" : "good";
  const sentences = { good: "All is well.", warn: "Worth a look.", bad: "Something is wrong." };
  sayIn(worst, byId("verdict"), sentences[worst]);
  const list = byId("reasons");
  if (list.textContent !== reasons.map(({ told }) => told).join("")) {
    list.replaceChildren(...reasons.map(({ tone, told }) => element("li", { "data-tone": tone }, told)));
  }
  const held = [counted(stats.peers, "peer"), counted(stats.topics, "topic"), counted(stats.subscriptions, "subscription")];
  say(byId("held"), `${held.join(", ")}, ${counted(stats.waiting_pulls, "waiting pull")}`);
}

function ofServer(stats) {
  return fillings(stats)
    .filter(({ share }) => share >= NEARLY_FULL)
    .map(({ label, share, told }) => ({ tone: share >= 1 ? "bad" : "warn", told: `${label}: ${percent(share)} full, ${told}.` }));
}

function ofTopics(topics) {
  return topics
    .filter(toneOf)
    .sort((one, other) => fullness(other) - fullness(one))
    .slice(0, MOST_TOPICS)
    .map((topic) => ({ tone: toneOf(topic), told: sentenceOn(topic) }));
}

function sentenceOn(topic) {
  const full = fullness(topic) >= 1 ? "is full" : `is ${percent(fullness(topic))} full`;
  if (topic.overflow === "drop_oldest") return `Topic ${topic.topic} ${full}; the oldest messages are dropped.`;
  return `Topic ${topic.topic} ${full}${fullness(topic) >= 1 ? " and refuses publishes." : "; once full, it refuses publishes."}`;
}

function lately(counters) {
  const told = [];
  const [refused, dead] = ["refused", "dead_lettered"].map((name) => counters.of(name).grown(LATELY));
  if (refused) told.push({ tone: "bad", told: "Publishes were refused in the last minute because there was no room." });
  if (dead) told.push({ tone: "warn", told: "Messages became dead letters in the last minute." });
  return told;
}
