// The state of the server in one sentence, and the reasons. `peerbus top` has the same words (cli/verdict.py).

import { byId, element, say, sayIn } from "./elements.js";
import { counted, percent, period } from "./numbers.js";
import { fillings } from "./figures.js";
import { fullness, toneOf } from "./topics.js";

const LATELY_SECONDS = 60;
const OLD_SECONDS = 3_600;
const NEARLY_FULL = 0.9;
const MOST_TOPICS = 3;

const VERDICTS = { good: "All is well.", warn: "Worth a look.", bad: "Something is wrong." };
/** By figure: a tone and a sentence, if the figure grew. */
const LATELY = {
  refused: ["bad", "Publishes were refused in the last minute because there was no room."],
  missed: ["bad", "Messages were lost in the last minute before subscribers pulled them."],
  discarded: ["bad", "Messages were discarded in the last minute with queues that ended."],
  expired_queues: ["warn", "Queues expired in the last minute because no member came back."],
  forgotten_ids: ["warn", "Message ids were forgotten early in the last minute, because memory is full."],
  overdue: ["warn", "Messages were not acknowledged before their deadline in the last minute."],
  dead_lettered: ["warn", "Messages became dead letters in the last minute."],
};
const FULL = {
  reject: "Topic {} is full and refuses publishes.",
  drop_oldest: "Topic {} is full and drops the oldest messages.",
};
const FULL_ONCE = {
  reject: "Topic {} is {} full; once full, it refuses publishes.",
  drop_oldest: "Topic {} is {} full; once full, it drops the oldest messages.",
};
const OLD = "Topic {} has an unread message that is {} old.";
const WAITING = "Scheduled messages are overdue because there is no room for them: {}.";
const LIMIT = "{}: {} full, {} of {}.";

/** Show the state of the server in one sentence, with the reasons. */
export function judge(stats, topics, counters) {
  const reasons = [...ofServer(stats), ...ofTopics(topics), ...ofOld(topics), ...lately(counters)];
  reasons.sort((one, other) => (other.tone === "bad") - (one.tone === "bad"));
  const worst = reasons.length ? reasons[0].tone : "good";
  sayIn(worst, byId("verdict"), VERDICTS[worst]);
  const list = byId("reasons");
  if (list.textContent !== reasons.map(({ told }) => told).join("")) {
    list.replaceChildren(...reasons.map(({ tone, told }) => element("li", { "data-tone": tone }, told)));
  }
  const held = [counted(stats.peers, "peer"), counted(stats.topics, "topic"), counted(stats.subscriptions, "subscription")];
  say(byId("held"), `${held.join(", ")}, ${counted(stats.waiting_pulls, "waiting pull")}`);
}

function ofServer(stats) {
  const waiting = stats.scheduled_waiting ? [{ tone: "bad", told: filled(WAITING, stats.scheduled_waiting) }] : [];
  const full = fillings(stats)
    .filter(({ share }) => share >= NEARLY_FULL)
    .map(({ label, share, used, limit }) => ({
      tone: share >= 1 ? "bad" : "warn",
      told: filled(LIMIT, label, percent(share), used, limit),
    }));
  return [...waiting, ...full];
}

function ofTopics(topics) {
  return topics
    .filter(toneOf)
    .sort((one, other) => fullness(other) - fullness(one))
    .slice(0, MOST_TOPICS)
    .map((topic) => ({ tone: toneOf(topic), told: sentenceOn(topic) }));
}

function ofOld(topics) {
  return topics
    .filter((topic) => topic.oldest_unread_seconds >= OLD_SECONDS)
    .sort((one, other) => other.oldest_unread_seconds - one.oldest_unread_seconds)
    .slice(0, MOST_TOPICS)
    .map((topic) => ({ tone: "warn", told: filled(OLD, topic.topic, period(topic.oldest_unread_seconds)) }));
}

function sentenceOn(topic) {
  const full = fullness(topic);
  return full >= 1 ? filled(FULL[topic.overflow], topic.topic) : filled(FULL_ONCE[topic.overflow], topic.topic, percent(full));
}

function lately(counters) {
  return Object.entries(LATELY)
    .filter(([name]) => counters.of(name).grown(LATELY_SECONDS))
    .map(([, [tone, told]]) => ({ tone, told }));
}

/** A sentence with values in its places. */
const filled = (sentence, ...values) => sentence.replace(/\{\}/g, () => values.shift());
