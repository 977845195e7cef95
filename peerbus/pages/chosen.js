// Which topic is chosen: kept in the address, so that it is the same when the page is loaded again.

const NAME = "topic";

/** The topic in the address, or nothing. */
export const chosenBefore = () => new URLSearchParams(location.hash.slice(1)).get(NAME) ?? "";

/** Keep the topic in the address. */
export function keepChosen(name) {
  history.replaceState(null, "", `#${new URLSearchParams({ [NAME]: name })}`);
}
