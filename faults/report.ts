import { boundOf, type FaultFigures, type Figure, isMet } from './suite.js';

/** A suite and its control, both run. */
export interface SuiteResult {
  readonly name: string;
  readonly shows: string;
  readonly control: string;
  readonly figures: FaultFigures;
  /** Bounds that the control missed: with none, the suite shows nothing. */
  readonly controlMisses: readonly string[];
  readonly isPassed: boolean;
  /** Of both runs. */
  readonly seconds: number;
}

/** Lines for people: a suite, its figures, what its control came to. */
export function toTable(results: readonly SuiteResult[]): string {
  return results.map((result) => `\n${lines(result).join('\n')}\n`).join('');
}

function lines({ name, shows, control, figures, controlMisses, seconds }: SuiteResult): string[] {
  const caught = controlMisses.length > 0 ? controlMisses.join('; ') : 'NOTHING MISSED';
  return [
    `${name}: ${shows} (${seconds} s)`,
    ...figures.map(toLine),
    `  control, ${control}: ${caught}`,
  ];
}

function toLine(figure: Figure): string {
  const value = Number(figure.value.toPrecision(4));
  const mark = isMet(figure) ? ' ' : '!';
  return `${mark} ${figure.name.padEnd(44)}${String(value).padStart(10)}  ${boundOf(figure)}`;
}
