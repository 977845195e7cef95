// Numbers in a form that people read easily.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const EXACT_BELOW = 100_000;

/** A count: exact below 100,000, then rounded. */
export const count = (number) => (number < EXACT_BELOW ? whole : short).format(number);

/** A number of things, with their noun. */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A rate a second. */
export function rate(number) {
  if (number === undefined) return "–";
  return number < 10 && number % 1 ? number.toFixed(1) : count(number);
}

/** A share of 1 in whole percents; 100 % only if the share is at least 1. */
export const percent = (share) => `${share >= 1 ? Math.round(share * 100) : Math.min(99, Math.round(share * 100))} %`;

/** Bytes, in the largest unit that leaves at least 1. */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${number < 10 && unit ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

/** A duration, in whole seconds, minutes, hours or days. */
export function period(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6_000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
