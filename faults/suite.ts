/** What every fault suite is: a harm done to the service, counts and times of what came of it, and a control. */

/** `smoke` runs within `npm test` and looks at counts alone; `full` has the numbers that mean something. */
export type SuiteSize = 'smoke' | 'full';

export interface SuiteOptions {
  readonly size: SuiteSize;
  /** False: the control. What holds the harm off is taken away, and a figure has to miss its bound. */
  readonly isGuarded: boolean;
}

/** One number of a run; its unit is in its name. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Bounds, both inclusive. Without any the number is only told. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Says something of the machine as well: no ground to fail a smoke run. */
  readonly isTimed?: boolean;
}

export type FaultFigures = readonly Figure[];

export interface FaultSuite {
  readonly name: string;
  /** What a pass shows, in one line. */
  readonly shows: string;
  /** What the control takes away. */
  readonly control: string;
  /** True: too long for `npm test`, or of a guard that a test or another suite has there. */
  readonly isFullOnly?: boolean;
  run(options: SuiteOptions): Promise<FaultFigures>;
}

export function isMet({ value, atLeast = -Infinity, atMost = Infinity }: Figure): boolean {
  return value >= atLeast && value <= atMost;
}

/** Figures that missed their bounds, as `name = value (at most bound)`; timed ones count only in a full run. */
export function missesOf(figures: FaultFigures, size: SuiteSize): string[] {
  return figures
    .filter((figure) => !isMet(figure) && (size === 'full' || !figure.isTimed))
    .map((figure) => `${figure.name} = ${figure.value} (${boundOf(figure)})`);
}

/** The bound in words; empty where there is none. */
export function boundOf({ atLeast, atMost }: Figure): string {
  if (atLeast !== undefined && atLeast === atMost) return `exactly ${atLeast}`;
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ];
  return bounds.join(', ');
}
