// Looking at the server again and again, as long as somebody sees the page.

import { byId, sayIn } from "./elements.js";
import { NoAnswer, Refusal } from "./calls.js";
import { period } from "./numbers.js";

const PAUSE = 1_500;
const SHARE = 20;
const LONGEST_PAUSE = 30_000;

/** Looks, pauses and looks again: one part of the time at most, of `SHARE`, goes into looking. */
export class Looking {
  #look;
  #timer;
  #under = false;
  #again = false;
  #silentSince;

  /** `look` asks the server and shows what it answers. */
  constructor(look) {
    this.#look = look;
    document.addEventListener("visibilitychange", () => this.now());
  }

  /** Look now, as what is asked for has changed. */
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
    sayIn("bad", byId("problem"), `${error.message} What is shown is from before; it is asked again.`);
    byId("problem").hidden = false;
  }
}
