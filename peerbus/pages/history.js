// The recent history of counters: their rates, and how much they grew.

const KEPT = 60;
const MOST_COUNTERS = 2_000;

/** One counter over the latest refreshes. If its value falls, it has begun again at zero. */
export class Counter {
  rates = [];
  #last;
  #steps = [];

  /** Note its value at a time in seconds. */
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

  /** Its growth a second between the last two refreshes. */
  get rate() {
    return this.rates.at(-1);
  }

  /** Its growth in the last `seconds`. */
  grown(seconds) {
    const since = (this.#last?.at ?? 0) - seconds;
    return this.#steps.reduce((sum, step) => (step.at > since ? sum + step.grown : sum), 0);
  }
}

/** Counters by name. Of too many, the most recently noted are kept. */
export class Counters {
  #counters = new Map();

  /** Note the values of one refresh, as pairs `[name, value]`. */
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

  /** The counter of a name; an empty one if the name was never noted. */
  of(name) {
    return this.#counters.get(name) ?? new Counter();
  }
}
