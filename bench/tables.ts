/** Results as the tables that are printed and that README and docs/performance.md quote. */
import type { Figure, Rival } from './figures.js';
import { type Tables, toTable } from './marked-tables.js';
import type { BenchResults } from './results.js';
import type { Summary } from './statistics.js';

const DIGITS = 3;

/** Each by the name of its marks. */
export function tablesOf(results: BenchResults): Tables {
  const { core, cores, training, rivals } = results;
  return {
    'bench:core': figureTable('One core, 10 s clip, base size', [...core.rows, ...cores.rows]),
    'bench:rivals': rivalTable(rivals.rows),
    'bench:training': figureTable('Training', training.rows),
  };
}

/** All of them, with what they were measured on. */
export function printed(results: BenchResults): string {
  const { core, cores, rivals, training } = results;
  const rounds = Object.entries({ core, rivals, cores, training })
    .map(([name, part]) => `${name} ${part.rounds}`)
    .join(', ');
  const tables = Object.values(tablesOf(results));
  return [`${results.machine}; rounds: ${rounds}`, ...tables].join('\n\n');
}

function figureTable(title: string, figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.title,
    toText(figure),
    targetOf(figure),
    isMet(figure),
  ]);
  return toTable([title, 'median (lowest to highest)', 'target', 'met'], rows);
}

function rivalTable(rivals: readonly Rival[]): string {
  const rows = rivals.map((rival) =>
    'reason' in rival
      ? [rival.name, rival.reason, '']
      : [`${rival.name} (${rival.version})`, toText(rival.shareOfLimit), toText(rival.earshotOver)],
  );
  const titles = ['Beside it, same clip', 'share of the limit', "Earshot's session: times as fast"];
  return toTable(titles, rows);
}

function targetOf({ target }: Figure): string {
  if (target === undefined) return '';
  return 'atLeast' in target ? `at least ${target.atLeast}` : `at most ${target.atMost}`;
}

function isMet({ target, median }: Figure): string {
  if (target === undefined) return '';
  return ('atLeast' in target ? median >= target.atLeast : median <= target.atMost) ? 'yes' : 'no';
}

function toText({ median, lowest, highest }: Summary): string {
  const [middle, low, high] = [median, lowest, highest].map((value) => value.toPrecision(DIGITS));
  return `${middle} (${low} to ${high})`;
}
