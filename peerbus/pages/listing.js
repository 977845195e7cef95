// What of a listing is shown: those whose name matches, and as many as a person asked for.

import { byId, say } from "./elements.js";
import { count } from "./numbers.js";

const STEP = 15;
const MOST = 1_000;

/** The filter and the button of the listing called `id`; `changed` is called when it should be asked for anew. */
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

  /** What to ask the server for. */
  get query() {
    return { limit: this.#limit, matching: this.#matching.value };
  }

  /** Whether a person asked for some alone. */
  get filtered() {
    return this.#matching.value !== "";
  }

  /** Tell how many are shown, and what there is to do where there are none. */
  tell(shown, total, whereNone) {
    const { value } = this.#matching;
    say(byId(`${this.#id}-shown`), shown < total ? `${count(shown)} of ${count(total)}` : count(total));
    const none = byId(`no-${this.#id}`);
    none.hidden = shown > 0;
    say(none, value ? `No ${this.#noun} has “${value}” in its name.` : whereNone);
    byId(`more-${this.#id}`).hidden = shown < this.#limit || shown >= total || this.#limit >= MOST;
  }
}

/** What to list after so that the first one listed is `name`, if it exists: names have no character beyond z. */
export function justBefore(name) {
  return `${name.slice(0, -1)}${String.fromCharCode(name.charCodeAt(name.length - 1) - 1)}~`;
}
