// The last messages of a topic, read without taking them.

import { byId, element, say } from "./elements.js";
import { text } from "./calls.js";
import { counted } from "./numbers.js";
import { messagesIn, shown } from "./values.js";

const LATEST = 10;
const MOST_BYTES = 200_000;

/** Shows the last messages of a topic in the list `messages`; fetches them only if there are new ones. */
export class Messages {
  #seen;

  /** Show the messages of a topic whose next offset is `nextOffset`. */
  async show(topic, nextOffset) {
    const standing = `${topic} ${nextOffset}`;
    if (this.#seen === standing) return;
    const answer = await text("messages", { topic, limit: LATEST, max_bytes: MOST_BYTES, details: true });
    const { offsets, publishers, published_at: times, first_offset: first } = JSON.parse(answer);
    const items = messagesIn(answer).map((value, place) =>
      item(offsets[place], value, origin(publishers[place], times[place])));
    byId("messages").replaceChildren(...items.reverse());
    const kept = nextOffset - first;
    say(byId("retained"), kept ? `The last of ${counted(kept, "message")} kept. Reading takes none.` : "None are kept.");
    this.#seen = standing;
  }
}

/** A list item with a message, its offset, and what else is known of it. */
export function item(offset, value, ...more) {
  return element("li", {}, element("span", { class: "offset" }, `${offset}`), shown(value), ...more);
}

/** An element with the time at which a message was published, in seconds since 1970, and its publisher. */
function origin(publisher, time) {
  const at = new Date(time * 1000).toLocaleString();
  return element("small", { class: "soft origin" }, publisher === null ? at : `${at}, ${publisher}`);
}
