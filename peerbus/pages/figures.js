// The server's figures: its rates, and how full it is.

import { bar, byId, element, say } from "./elements.js";
import { bytes, count, percent, rate } from "./numbers.js";
import { sparkline } from "./sparkline.js";

const RATES = {
  published: "Published",
  pulled: "Pulled",
  acknowledged: "Acknowledged",
  redelivered: "Redelivered",
  dead_lettered: "Dead letters",
  lost: "Lost",
  refused: "Refused publishes",
};
const TONES = { redelivered: "warn", dead_lettered: "bad", lost: "bad", refused: "bad" };
const LATELY = 60;
const LIMITS = {
  memory_bytes: ["Memory for messages", "max_bytes", bytes],
  topics: ["Topics", "max_topics", count],
  peers: ["Peers", "max_peers", count],
  subscriptions: ["Subscriptions", "max_subscriptions", count],
  scheduled: ["Scheduled messages", "max_scheduled", count],
};

/** The server's figures, with the messages lost to subscribers: missed by them, or discarded with their queues. */
export const withLost = (stats) => ({ ...stats, lost: stats.missed + stats.discarded });

/** For each limit of the server: its label, the share in use from 0 to 1, and use and limit in words. */
export function fillings(stats) {
  return Object.entries(LIMITS).map(([name, [label, most, form]]) => ({
    label,
    share: stats[name] / stats[most],
    used: form(stats[name]),
    limit: form(stats[most]),
  }));
}

/** Draws the figures into the elements `figures` and `limits`; `counters` have the rate of each. */
export class Figures {
  #tiles;
  #meters;
  #counters;

  constructor(counters) {
    this.#counters = counters;
    this.#tiles = Object.keys(RATES).map((name) => this.#tile(name));
    byId("figures").append(...this.#tiles.map(({ row }) => row));
    this.#meters = Object.values(LIMITS).map(([label]) => meter(label));
    byId("limits").append(...this.#meters.map(({ row }) => row));
  }

  /** Show the figures of one refresh. */
  show(stats) {
    for (const { update } of this.#tiles) update(stats);
    fillings(stats).forEach((filling, place) => this.#meters[place].update(filling));
  }

  #tile(name) {
    const line = sparkline();
    const [now, all] = [element("strong"), element("small", { class: "soft" })];
    const row = element("div", { class: "card figure" }, element("h3", {}, RATES[name]), now, all, line.row);
    const update = (stats) => {
      const counter = this.#counters.of(name);
      const lately = counter.grown(LATELY);
      line.draw(counter.rates);
      say(now, TONES[name] ? count(lately) : rate(counter.rate));
      say(all, `${TONES[name] ? "last minute" : "a second"} · ${count(stats[name])} in all`);
      row.dataset.tone = lately && TONES[name] ? TONES[name] : "";
    };
    return { row, update };
  }
}

function meter(label) {
  const filled = bar();
  const told = element("span");
  const row = element("div", {}, element("div", { class: "between" }, element("span", { class: "soft" }, label), told), filled.row);
  const update = (filling) => {
    filled.fill(filling.share, filling.share >= 0.9 ? "bad" : filling.share >= 0.7 ? "warn" : "");
    say(told, `${filling.used} of ${filling.limit}`);
    row.title = percent(filling.share);
  };
  return { row, update };
}
