/** Tables that pages quote, each between its marks: `<!-- NAME -->`, table, `<!-- /NAME -->`. */

/** Text of a table by the name of its marks. */
export type Tables = Readonly<Record<string, string>>;

/**
 * A page with those tables that it has marks for.
 *
 * @throws Error where it has marks for none of them, or not one end for one begin
 */
export function withTables(page: string, tables: Tables): string {
  const marked = Object.entries(tables).filter(([name]) => page.includes(`<!-- ${name} -->`));
  if (marked.length === 0)
    throw new Error(`Expected marks of ${Object.keys(tables).join(' or ')} in the page, got none`);
  return marked.reduce((text, [name, table]) => withTable(text, name, table), page);
}

function withTable(page: string, name: string, table: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before = '', rest = '', ...more] = page.split(begin);
  const [, after, ...ends] = rest.split(end);
  if (after === undefined || more.length > 0 || ends.length > 0)
    throw new Error(`Expected one ${begin} and one ${end} after it in the page`);
  return `${before}${begin}\n${table}\n${end}${after}`;
}

/** Titles and rows in Markdown. */
export function toTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n');
}
