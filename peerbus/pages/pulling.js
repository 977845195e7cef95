// The form that pulls messages, and acknowledges or rejects them.

import { byId, sayIn } from "./elements.js";
import { post } from "./calls.js";
import { attempt } from "./outcome.js";
import { item } from "./messages.js";
import { messagesIn } from "./values.js";

const AT_ONCE = 10;

/** Make the form pull from the topic that `topic()` returns. `pulled` is called after each call.
 *
 * Returns a function that forgets the pulled messages.
 */
export function pulling(topic, pulled) {
  const form = byId("pull");
  const { acknowledge, reject } = form.elements;
  let taken;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(byId("told"), async () => {
      const name = topic();
      const text = await post("pull_messages", JSON.stringify({ topic: name, max_messages: AT_ONCE }));
      const answer = JSON.parse(text);
      const items = messagesIn(text).map((value, place) => item(answer.offsets[place], value));
      byId("pulled").replaceChildren(...items);
      hold(answer.attempts?.length ? { topic: name, offsets: answer.offsets, attempts: answer.attempts } : undefined);
      return answer.message;
    }).then(pulled);
  });
  acknowledge.addEventListener("click", () => settle("ack_messages"));
  reject.addEventListener("click", () => settle("nack_messages"));

  function settle(call) {
    attempt(byId("told"), async () => {
      const answer = JSON.parse(await post(call, JSON.stringify(taken)));
      hold(undefined);
      byId("pulled").replaceChildren();
      form.elements.button.focus();
      return answer.message;
    }).then(pulled);
  }

  function hold(claims) {
    taken = claims;
    acknowledge.hidden = reject.hidden = claims === undefined;
  }

  return () => {
    hold(undefined);
    byId("pulled").replaceChildren();
    sayIn("", byId("told"), "");
  };
}
