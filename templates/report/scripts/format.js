// Numbers as afterburn_core/report/numbers.py writes them; a test compares the two on many values.
const MINUS = "\u2212";

function strip(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

function thousands(text) {
  const [whole, part] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? grouped : grouped + "." + part;
}

function exponent(size) {
  return Number(size.toExponential(40).split("e")[1]);
}

function significant(size, digits) {
  return thousands(strip(size.toFixed(Math.min(Math.max(digits - 1 - exponent(size), 0), 100))));
}

function scientific(size, digits) {
  const [mantissa, power] = size.toExponential((digits || 3) - 1).split("e");
  return strip(mantissa) + "e" + Number(power);
}

function number(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  const text = Number.isInteger(size) && size < 1e15 ? thousands(String(size))
    : size >= 1e-3 && size < 1e6 ? significant(size, 4) : scientific(size);
  return (value < 0 ? MINUS : "") + text;
}

function percent(fraction) {
  const size = Math.abs(fraction) * 100;
  if (size === 0) return "0 %";
  let text = size < 1e-3 || size >= 1e9 ? scientific(size) : significant(size, 3);
  if (text === "100" && Math.abs(fraction) !== 1) {
    text = size < 100 ? "just under 100" : "just over 100";
    for (let decimals = 1; decimals <= 6; decimals++) {
      const closer = size.toFixed(decimals);
      if (strip(closer) !== "100") { text = closer; break; }
    }
  }
  return (fraction < 0 ? MINUS : "") + text + " %";
}

function quantity(value, metric) {
  if (value === null) return "undefined";
  if (metric.share) return percent(value);
  return metric.unit === "1" ? number(value) : number(value) + " " + metric.unit;
}
