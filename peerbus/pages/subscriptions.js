// The table of a peer's own subscriptions.

import { Rows, bar, element, say } from "./elements.js";
import { count, period, rate } from "./numbers.js";
import { sparkline } from "./sparkline.js";

/** Subscriptions as rows of a table's `body`. `counters` have the rate of each; `select` is called with the chosen topic. */
export class Subscriptions {
  #rows;
  #counters;

  constructor(body, counters, select) {
    this.#counters = counters;
    this.#rows = new Rows(body, (queue) => queue.topic, (queue) => this.#row(queue, select));
  }

  /** Show subscriptions, and mark that of the topic `selected`; each bar is relative to the longest backlog. */
  show(queues, selected) {
    const most = Math.max(1, ...queues.map((queue) => queue.unread));
    this.#rows.show(
      queues.map((queue) => ({ ...queue, share: queue.unread / most, selected: queue.topic === selected })),
    );
  }

  #row({ topic }, select) {
    const button = element("button", { type: "button", class: "name", title: topic }, topic);
    button.addEventListener("click", () => select(topic));
    const [line, filled, stands] = [sparkline(), bar(), element("small")];
    const texts = Object.fromEntries(["rate", "behind", "unacknowledged", "missed", "how"].map((key) => [key, element("span")]));
    const row = element(
      "tr",
      {},
      element("th", { scope: "row" }, button),
      element("td", { class: "going" }, line.row, texts.rate),
      element("td", { class: "going" }, filled.row, texts.behind),
      element("td", {}, texts.unacknowledged),
      element("td", {}, texts.missed),
      element("td", { class: "soft" }, texts.how, stands),
    );
    const update = (queue) => {
      const counter = this.#counters.of(topic);
      button.setAttribute("aria-pressed", queue.selected);
      row.classList.toggle("selected", queue.selected);
      line.draw(counter.rates);
      filled.fill(queue.share, "warn");
      say(texts.rate, `${rate(counter.rate)}${counter.rate === undefined ? "" : "/s"}`);
      say(texts.behind, count(queue.unread));
      say(texts.unacknowledged, count(queue.unacknowledged));
      say(texts.missed, count(queue.missed));
      texts.missed.dataset.tone = queue.missed ? "bad" : "none";
      say(texts.how, how(queue));
      say(stands, standing(queue));
    };
    return { row, update };
  }
}

function how(queue) {
  const told = queue.ack === "auto" ? "automatic" : `within ${period(queue.ack_deadline)}`;
  return queue.group === null ? told : `${told}, in group ${queue.group} of ${count(queue.members)}`;
}

function standing(queue) {
  const whose = queue.group === null ? "its peer" : "members";
  if (queue.expires_after === null) return `stands without ${whose} until somebody ends it`;
  return queue.expires_after ? `stands ${period(queue.expires_after)} without ${whose}` : `ends without ${whose}`;
}
