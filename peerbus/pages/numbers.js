// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const EXACT_BELOW = 100_000;

/** A count: exact while that is short. */
export const count = (number) => (number < EXACT_BELOW ? whole : short).format(number);

/** A number of things, in words. */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** What happens a second. */
export function rate(number) {
  if (number === undefined) return "–";
  return number < 10 && number % 1 ? number.toFixed(1) : count(number);
}

/** A share of 1, as whole percents; never 100 before it is. */
export const percent = (share) => `${share >= 1 ? Math.round(share * 100) : Math.min(99, Math.round(share * 100))} %`;

/** Bytes, in the unit that keeps them short. */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${number < 10 && unit ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

/** A stretch of time, in the unit that says enough. */
export function period(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6_000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
