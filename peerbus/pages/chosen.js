// The chosen topic. The page's address keeps it, so a reload shows the same topic.

const NAME = "topic";

/** The topic in the address, or an empty string. */
export const chosenBefore = () => new URLSearchParams(location.hash.slice(1)).get(NAME) ?? "";

/** Keep the topic in the address. */
export function keepChosen(name) {
  history.replaceState(null, "", `#${new URLSearchParams({ [NAME]: name })}`);
}
