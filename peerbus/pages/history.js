// What counters did: how fast they go, and how much they went up lately.

const KEPT = 60;

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

/** Counters by name, of which those not noted in a look are forgotten. */
export class Counters {
  #counters = new Map();

  /** Note the values of one look, `[name, value]` each. */
  note(at, values) {
    const before = this.#counters;
    this.#counters = new Map();
    for (const [name, value] of values) {
      const counter = before.get(name) ?? new Counter();
      counter.note(at, value);
      this.#counters.set(name, counter);
    }
  }

  /** The counter of a name that was noted in the last look. */
  of(name) {
    return this.#counters.get(name) ?? new Counter();
  }
}
