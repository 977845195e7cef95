// The field for a token, shown when the server asks for one.

import { element } from "./elements.js";

let asking;

/** What a person gives as the token, told `why`; calls that are refused at the same time wait for the same. */
export function tokenFrom(why) {
  asking ??= new Promise((give) => {
    const input = element("input", { type: "password", autocomplete: "off", required: "", class: "wide" });
    const form = element(
      "form",
      { class: "token card", "aria-label": "Token" },
      element("p", {}, why),
      element("label", {}, "Token, kept until you close this tab", input),
      element("button", { type: "submit" }, "Go on"),
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
