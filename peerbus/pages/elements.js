// Elements of the page. Everything from the server becomes text, never markup.

/** An element with attributes and children; a string among the children becomes text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/** Set an element's text, if it is different: screen readers announce each change. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Set an element's text, if it is different, and its tone: "", "good", "warn" or "bad". */
export function sayIn(tone, target, text) {
  say(target, text);
  target.dataset.tone = tone;
}

/** Rows that keep their elements while their contents change, so that focus and selection stay. */
export class Rows {
  #parent;
  #key;
  #make;
  #rows = new Map();

  /** `make` returns a row for an item, and a function that updates it: `{ row, update }`. */
  constructor(parent, key, make) {
    this.#parent = parent;
    this.#key = key;
    this.#make = make;
  }

  /** Show these items. Rows do not move while the pointer or the focus is in the table. */
  show(items) {
    const keys = new Set(items.map(this.#key));
    for (const [key, { row }] of this.#rows) {
      if (!keys.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
    const held = this.#parent.matches(":hover") || this.#parent.contains(document.activeElement);
    items.forEach((item, place) => {
      const key = this.#key(item);
      const known = this.#rows.get(key) ?? this.#make(item);
      const there = this.#parent.children[place] ?? null;
      if (!this.#rows.has(key) || (!held && there !== known.row)) this.#parent.insertBefore(known.row, there);
      this.#rows.set(key, known);
      known.update(item);
    });
  }
}

/** A bar, and a function that fills it to a share from 0 to 1. */
export function bar() {
  const filling = element("span", { class: "filling" });
  const row = element("span", { class: "bar", "aria-hidden": "true" }, filling);
  const fill = (share, tone = "") => {
    filling.style.width = `${Math.min(100, share > 0 ? Math.max(2, share * 100) : 0)}%`;
    row.dataset.tone = tone;
  };
  return { row, fill };
}
