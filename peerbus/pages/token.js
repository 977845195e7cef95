// The field for a token, shown when the server asks for one.

import { element } from "./elements.js";

let asking;

/** Ask the person for a token, and show `why`. All calls that need one at the same time wait for the same answer. */
export function tokenFrom(why) {
  asking ??= new Promise((give) => {
    const input = element("input", { type: "password", autocomplete: "off", required: "", class: "wide" });
    const form = element(
      "form",
      { class: "token card", "aria-label": "Token" },
      element("p", {}, why),
      element("label", {}, "Token, kept until you close this tab", input),
      element("button", { type: "submit" }, "Continue"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      asking = undefined;
      form.remove();
      give(input.value);
    });
    document.querySelector("main").prepend(form);
    input.focus();
  });
  return asking;
}
