// The part of a listing that is shown: names that match the filter, up to the number that the person asked for.

import { byId, say } from "./elements.js";
import { count } from "./numbers.js";

const STEP = 15;
const MOST = 1_000;

/** The filter and the button of the listing `id`; `changed` is called when the listing must be fetched again. */
export class Listing {
  #id;
  #noun;
  #limit = STEP;
  #matching;

  constructor(id, noun, changed) {
    this.#id = id;
    this.#noun = noun;
    this.#matching = byId(`${id}-matching`);
    this.#matching.addEventListener("input", changed);
    byId(`more-${id}`).addEventListener("click", () => {
      this.#limit = Math.min(MOST, this.#limit + 2 * STEP);
      changed();
    });
  }

  /** The query to send to the server. */
  get query() {
    return { limit: this.#limit, matching: this.#matching.value };
  }

  /** Whether the person has set a filter. */
  get filtered() {
    return this.#matching.value !== "";
  }

  /** Show how many are shown of how many; if there are none, show `whereNone`. */
  tell(shown, total, whereNone) {
    const { value } = this.#matching;
    say(byId(`${this.#id}-shown`), shown < total ? `${count(shown)} of ${count(total)}` : count(total));
    const none = byId(`no-${this.#id}`);
    none.hidden = shown > 0;
    say(none, value ? `No ${this.#noun} has “${value}” in its name.` : whereNone);
    byId(`more-${this.#id}`).hidden = shown < this.#limit || shown >= total || this.#limit >= MOST;
  }
}

/** The `after` that makes `name` the first in a listing, if it exists: names have no character beyond z. */
export function justBefore(name) {
  return `${name.slice(0, -1)}${String.fromCharCode(name.charCodeAt(name.length - 1) - 1)}~`;
}
