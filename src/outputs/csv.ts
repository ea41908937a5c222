/** One line of a table as RFC 4180 has it, with its end. */
export function toCsvLine(values: readonly (string | number)[]): string {
  return `${values.map((value) => quoted(String(value))).join(',')}\r\n`;
}

/** In quotes where a comma, a quote or the end of a line would be misread. */
function quoted(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
