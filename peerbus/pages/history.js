// What counters did: how fast they go, and how much they went up lately.

const KEPT = 60;
const MOST_COUNTERS = 2_000;

/** One counter over the last looks; one that falls began anew. */
export class Counter {
  rates = [];
  #last;
  #steps = [];

  /** Note what it is at a time in seconds. */
  note(at, value) {
    const last = this.#last;
    this.#last = { at, value };
    if (last === undefined || at <= last.at) return;
    const grown = value >= last.value ? value - last.value : value;
    this.rates.push(grown / (at - last.at));
    this.#steps.push({ at, grown });
    if (this.rates.length > KEPT) {
      this.rates.shift();
      this.#steps.shift();
    }
  }

  /** How much a second it went up between the last two looks. */
  get rate() {
    return this.rates.at(-1);
  }

  /** How much it went up in the last `seconds`. */
  grown(seconds) {
    const since = (this.#last?.at ?? 0) - seconds;
    return this.#steps.reduce((sum, step) => (step.at > since ? sum + step.grown : sum), 0);
  }
}

/** Counters by name, of which those noted last are kept. */
export class Counters {
  #counters = new Map();

  /** Note the values of one look, `[name, value]` each. */
  note(at, values) {
    for (const [name, value] of values) {
      const counter = this.of(name);
      counter.note(at, value);
      this.#counters.delete(name);
      this.#counters.set(name, counter);
    }
    for (const name of this.#counters.keys()) {
      if (this.#counters.size <= MOST_COUNTERS) break;
      this.#counters.delete(name);
    }
  }

  /** The counter of a name, which is empty where it was not noted. */
  of(name) {
    return this.#counters.get(name) ?? new Counter();
  }
}
