// The form that publishes.

import { byId, sayIn } from "./elements.js";
import { post } from "./calls.js";
import { attempt } from "./outcome.js";

/** Make the form publish; `published` is called after each success. */
export function publishing(published) {
  const form = byId("publish");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    publish(form.elements).then((done) => done && published());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/** Put the topic into the form, unless the person is typing one. */
export function publishTo(topic) {
  const input = byId("publish").elements.topic;
  if (document.activeElement !== input) input.value = topic;
}

async function publish({ topic, kind, message, button }) {
  const outcome = byId("published");
  const value = kind.value === "json" ? json(message.value) : JSON.stringify(message.value);
  if (value === undefined) {
    sayIn("bad", outcome, "This is not JSON. To publish it as it is, choose Text.");
    return false;
  }
  button.disabled = true;
  const done = await attempt(outcome, async () => {
    const answer = JSON.parse(await post("publish", `{"topic":${JSON.stringify(topic.value)},"message":${value}}`));
    return `${answer.message} Its offset is ${answer.offset}.`;
  });
  button.disabled = false;
  message.focus();
  return done;
}

/** The typed text if it is JSON, else undefined. */
function json(typed) {
  try {
    JSON.parse(typed);
    return typed;
  } catch {
    return undefined;
  }
}
