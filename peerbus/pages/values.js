// Message values, shown as the JSON text that was published: parsing would change large numbers and repeated names.

import { element } from "./elements.js";
import { bytes } from "./numbers.js";

const LONGEST = 1_000;
const MESSAGES = '"messages":';
/** Characters that are invisible, or that change the direction of the text beside them. */
const UNSEEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The `messages` of an answer, each as its JSON text. */
export function messagesIn(answer) {
  return parts(parts(answer).find((part) => part.startsWith(MESSAGES)).slice(MESSAGES.length));
}

/** An element that shows a value: only its beginning if it is long, and with all invisible characters escaped. */
export function shown(value) {
  const seen = value.slice(0, LONGEST).replace(UNSEEN, escaped);
  const code = element("code", { class: "value", dir: "ltr" }, seen);
  if (value.length <= LONGEST) return code;
  const rest = bytes(value.length - LONGEST);
  return element("div", {}, code, element("small", { class: "soft" }, ` … and ${rest} more`));
}

const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The JSON texts of an array's elements, or of an object's members. */
function parts(json) {
  const found = [];
  let depth = 0;
  let from = 1;
  for (let place = 0; place < json.length; place += 1) {
    const character = json[place];
    if (character === '"') place = endOfString(json, place);
    else if (character === "[" || character === "{") depth += 1;
    else if (character === "]" || character === "}") depth -= 1;
    const ended = depth === 0;
    if (ended || (depth === 1 && character === ",")) {
      const part = json.slice(from, place).trim();
      if (part) found.push(part);
      from = place + 1;
    }
    if (ended) break;
  }
  return found;
}

/** The index of the closing quote of the string whose opening quote is at `start`. */
function endOfString(json, start) {
  let end = start;
  let backslashes;
  do {
    end = json.indexOf('"', end + 1);
    for (backslashes = 0; json[end - 1 - backslashes] === "\\"; backslashes += 1);
  } while (backslashes % 2);
  return end;
}
