// The outcome of an action on the page.

import { sayIn } from "./elements.js";
import { NoAnswer, Refusal } from "./calls.js";

/** Do `work`, and show in `place` the sentence that it returns, or why it failed. Returns whether it succeeded. */
export async function attempt(place, work) {
  try {
    sayIn("good", place, await work());
    return true;
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof NoAnswer)) throw error;
    sayIn("bad", place, error.message);
    return false;
  }
}
