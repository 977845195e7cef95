// Refreshes the page again and again while it is visible.

import { byId, sayIn } from "./elements.js";
import { NoAnswer, Refusal } from "./calls.js";
import { period } from "./numbers.js";

const PAUSE = 1_500;
const SHARE = 20;
const LONGEST_PAUSE = 30_000;

/** Refreshes, pauses and refreshes again. At most one part in `SHARE` of the time is spent on refreshing. */
export class Looking {
  #look;
  #timer;
  #under = false;
  #again = false;
  #silentSince;

  /** `look` calls the server and shows its answers. */
  constructor(look) {
    this.#look = look;
    document.addEventListener("visibilitychange", () => this.now());
  }

  /** Refresh now, because the person asked for something else. */
  async now() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      sayIn("", byId("live"), "Paused");
      return;
    }
    if (this.#under) {
      this.#again = true;
      return;
    }
    this.#under = true;
    const began = performance.now();
    try {
      await this.#look();
      this.#answered();
    } catch (error) {
      this.#failed(error);
    }
    this.#under = false;
    const took = performance.now() - began;
    const pause = this.#again ? 0 : Math.min(LONGEST_PAUSE, Math.max(PAUSE, this.#silentSince ? 0 : took * SHARE));
    this.#again = false;
    this.#timer = setTimeout(() => this.now(), pause);
  }

  #answered() {
    this.#silentSince = undefined;
    document.body.classList.remove("silent");
    sayIn("good", byId("live"), "Live");
    byId("problem").hidden = true;
  }

  #failed(error) {
    if (!(error instanceof NoAnswer || error instanceof Refusal)) reportError(error);
    this.#silentSince ??= Date.now();
    document.body.classList.add("silent");
    const silent = period((Date.now() - this.#silentSince) / 1000);
    sayIn("bad", byId("live"), `${error instanceof NoAnswer ? "No answer" : "Out of date"} for ${silent}`);
    sayIn("bad", byId("problem"), `${error.message} This page shows the last known state, and keeps trying.`);
    byId("problem").hidden = false;
  }
}
