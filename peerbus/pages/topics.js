// The table of topics.

import { Rows, bar, element, say } from "./elements.js";
import { count, percent, rate } from "./numbers.js";
import { sparkline } from "./sparkline.js";

const FULL_SOON = 0.8;

/** How full a topic is, from 0 to 1; messages that are published later count, too. */
export const fullness = (topic) => (topic.unread + topic.scheduled) / topic.max_messages;

/** The tone of a topic, by how full it is. */
export function toneOf(topic) {
  if (fullness(topic) < FULL_SOON) return "";
  return topic.overflow === "reject" && fullness(topic) >= 1 ? "bad" : "warn";
}

/** Topics as rows of a table's `body`. `counters` have the rate of each; `select` is called with the chosen topic. */
export class Topics {
  #rows;
  #counters;

  constructor(body, counters, select) {
    this.#counters = counters;
    this.#rows = new Rows(body, (topic) => topic.topic, (topic) => this.#row(topic, select));
  }

  /** Show topics, and mark the one called `selected`. */
  show(topics, selected) {
    this.#rows.show(topics.map((topic) => ({ ...topic, selected: topic.topic === selected })));
  }

  #row({ topic: name }, select) {
    const button = element("button", { type: "button", class: "name", title: name }, name);
    button.addEventListener("click", () => select(name));
    const [line, filled] = [sparkline(), bar()];
    const texts = Object.fromEntries(
      ["rate", "unread", "scheduled", "subscribers", "redelivered", "dead", "lost"].map((key) => [key, element("span")]),
    );
    const row = element(
      "tr",
      {},
      element("th", { scope: "row" }, button),
      element("td", { class: "going" }, line.row, texts.rate),
      element("td", { class: "going" }, filled.row, texts.unread),
      ...["scheduled", "subscribers", "redelivered", "dead", "lost"].map((key) => element("td", {}, texts[key])),
    );
    const update = (topic) => {
      const counter = this.#counters.of(name);
      button.setAttribute("aria-pressed", topic.selected);
      row.classList.toggle("selected", topic.selected);
      line.draw(counter.rates);
      filled.fill(fullness(topic), toneOf(topic));
      say(texts.rate, `${rate(counter.rate)}${counter.rate === undefined ? "" : "/s"}`);
      say(texts.unread, count(topic.unread));
      filled.row.parentElement.title = `${percent(fullness(topic))} of the ${count(topic.max_messages)} it holds`;
      say(texts.scheduled, count(topic.scheduled));
      say(texts.subscribers, count(topic.subscribers));
      tell(texts.redelivered, topic.redelivered, "warn");
      tell(texts.dead, topic.dead_lettered, "bad");
      tell(texts.lost, topic.dropped + topic.refused, "bad");
      texts.lost.title = `${count(topic.dropped)} messages dropped, ${count(topic.refused)} publishes refused`;
    };
    return { row, update };
  }
}

function tell(target, number, tone) {
  say(target, count(number));
  target.dataset.tone = number ? tone : "none";
}
