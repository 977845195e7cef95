// What became of something a person asked for.

import { sayIn } from "./elements.js";
import { NoAnswer, Refusal } from "./calls.js";

/** Do `work`, and say in `place` the sentence it returns, or why it was refused; whether it was done. */
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
