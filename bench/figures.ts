import {
  type BenchedPrecision,
  clipWork,
  leastSeconds,
  type MatrixRates,
  matrixWork,
} from './clip-work.js';
import type { Absent, Contender, Turns } from './contender.js';
import { ratios, type Summary, summarise } from './statistics.js';

/** A ratio that was measured, and what it should be. */
export interface Figure extends Summary {
  readonly key: string;
  readonly title: string;
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

/** A rival beside Earshot's own session of the same precision, on the same clip. */
export interface RivalFigure {
  readonly name: string;
  readonly version: string;
  readonly precision: BenchedPrecision;
  /** Its rate, as a share of what products of matrices alone would allow. */
  readonly shareOfLimit: Summary;
  /** How often Earshot's session is done while the rival is done once. */
  readonly earshotOver: Summary;
}

const SAMPLES = 160_000;

export const PRECISIONS = ['fp32', 'int8'] as const;
const WORDS = { fp32: 'float32', int8: 'int8' } as const;
const LEAST_SHARE = { fp32: 0.9, int8: 0.75 } as const;

/** Names of the contenders that figures are made of. */
export const contenderName = {
  matrix: (precision: BenchedPrecision) => `matrix-${precision}`,
  session: (precision: BenchedPrecision, seconds = 10) => `session-${precision}-${seconds}s`,
  http: (precision: BenchedPrecision, format: string, seconds = 10) =>
    `http-${precision}-${format}-${seconds}s`,
};

/** Shares of the limit, of HTTP and of length, in both precisions. */
export function coreFigures(turns: Turns): Figure[] {
  const rates = ratesByRound(turns);
  return [
    ...PRECISIONS.map((precision) => ({
      key: `limit-${precision}`,
      title: `session, ${WORDS[precision]}: share of the limit`,
      target: { atLeast: LEAST_SHARE[precision] },
      ...shareOfLimit(turns, contenderName.session(precision), precision),
    })),
    ...PRECISIONS.flatMap((precision) => httpFigures(turns, precision)),
    ...PRECISIONS.flatMap((precision) => lengthFigures(turns, precision)),
    {
      key: 'int8-over-fp32',
      title: 'session, int8: times as fast as float32',
      ...ratios(of(turns, contenderName.session('fp32')), of(turns, contenderName.session('int8'))),
    },
    {
      key: 'matrix-int8-over-fp32',
      title: 'products alone, int8: times as fast as float32',
      ...summarise(rates.map(({ fp32, int8 }) => int8 / fp32)),
    },
  ];
}

function httpFigures(turns: Turns, precision: BenchedPrecision): Figure[] {
  return ['mp3', 'flac'].map((format) => ({
    key: `http-${precision}-${format}`,
    title: `through HTTP, ${WORDS[precision]}, ${format.toUpperCase()}: share of the session's rate`,
    target: { atLeast: 0.95 },
    ...ratios(
      of(turns, contenderName.session(precision)),
      of(turns, contenderName.http(precision, format)),
    ),
  }));
}

function lengthFigures(turns: Turns, precision: BenchedPrecision): Figure[] {
  const word = WORDS[precision];
  const [session, http] = [
    ratios(
      of(turns, contenderName.session(precision, 1)),
      of(turns, contenderName.session(precision)),
    ),
    ratios(
      of(turns, contenderName.http(precision, 'mp3', 1)),
      of(turns, contenderName.http(precision, 'mp3')),
    ),
  ];
  const target = { atMost: 0.13 };
  return [
    {
      key: `length-${precision}`,
      title: `1 s clip, session, ${word}: cost of a 10 s one`,
      target,
      ...session,
    },
    {
      key: `length-http-${precision}`,
      title: `1 s clip, through HTTP, ${word}, MP3: cost of a 10 s one`,
      target,
      ...http,
    },
  ];
}

/** A rival's turns beside those of the session of its precision. */
export function rivalFigure(
  turns: Turns,
  { name, version }: Pick<Contender, 'name' | 'version'>,
  precision: BenchedPrecision,
): RivalFigure {
  return {
    name,
    version,
    precision,
    shareOfLimit: shareOfLimit(turns, name, precision),
    earshotOver: ratios(of(turns, name), of(turns, contenderName.session(precision))),
  };
}

function shareOfLimit(turns: Turns, name: string, precision: BenchedPrecision): Summary {
  const work = clipWork(SAMPLES);
  const rates = ratesByRound(turns);
  return summarise(
    of(turns, name).map((seconds, round) => {
      const roundRates = rates[round];
      if (roundRates === undefined) throw new Error(`Expected rates of round ${round}`);
      return leastSeconds(work, precision, roundRates) / seconds;
    }),
  );
}

function ratesByRound(turns: Turns): MatrixRates[] {
  const int8 = of(turns, contenderName.matrix('int8'));
  return of(turns, contenderName.matrix('fp32')).map((seconds, round) => ({
    fp32: matrixWork('fp32') / seconds,
    int8: matrixWork('int8') / (int8[round] ?? Number.NaN),
  }));
}

function of(turns: Turns, name: string): readonly number[] {
  const values = turns.get(name);
  if (values === undefined) throw new Error(`Expected turns of ${name}, found none`);
  return values;
}

export type Rival = RivalFigure | Absent;
