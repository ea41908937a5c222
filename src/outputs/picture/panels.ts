import { encodePng } from './indexed-png.js';
import type { Lane } from './lanes.js';
import { frequencyTicks, PAGE, type TimeScale } from './scales.js';
import type { Spectrogram } from './spectrogram-columns.js';
import { toSpectrogramImage } from './spectrogram-image.js';
import { element, textOf } from './svg.js';
import { paint } from './theme.js';
import { type Tick, toShort } from './time-axis.js';
import type { Waveform } from './wave-columns.js';

/** A strip of the page, in pixels. */
export interface Strip {
  readonly top: number;
  readonly height: number;
}

const PANEL_WIDTH = PAGE.right - PAGE.left;
const LABEL_X = PAGE.left - 12;
/** So that a quiet recording is seen, and digital silence still is a line. */
const LEAST_PEAK = 1e-4;
const MIN_BAR_WIDTH = 3;
const MAX_NAME_CHARACTERS = 22;

export function wavePanel({ columns, numColumns }: Waveform, { top, height }: Strip): string {
  const peak = columns.reduce((most, { low, high }) => Math.max(most, -low, high), LEAST_PEAK);
  const x = (column: number) => round(PAGE.left + Math.min(1, column / numColumns) * PANEL_WIDTH);
  const y = (sample: number) => round(top + (height / 2) * (1 - (0.92 * sample) / peak));
  // At least one pixel thick, also where it is silent.
  const upper = columns.map(({ high }, i) => `${x(i + 0.5)} ${round(y(high) - 0.5)}`);
  const lower = columns.map(({ low }, i) => `${x(i + 0.5)} ${round(y(low) + 0.5)}`);
  const outline = `M${upper.join('L')}L${lower.reverse().join('L')}Z`;
  const level = peak > LEAST_PEAK ? `${(20 * Math.log10(peak)).toFixed(1)} dBFS` : 'silent';
  return [
    element('path', { ...paint('wave'), d: outline }),
    sideText('Waveform', top + height / 2 - 4),
    sideText(`peak ${level.replace('-', '−')}`, top + height / 2 + 16, 'muted'),
  ].join('');
}

export function spectrogramPanel(spectrogram: Spectrogram, { top, height }: Strip): string {
  const png = encodePng(toSpectrogramImage(spectrogram)).toString('base64');
  const ticks = frequencyTicks(spectrogram.maxHz).map(({ text, share }) => {
    const y = top + height * (1 - share);
    // A label at the very top stays beside the panel.
    return (
      tickLine({ x: PAGE.left - 6, y, width: 6, height: 1 }) +
      sideText(text, Math.max(y, top + 7) + 5, 'muted')
    );
  });
  const image = element('image', {
    x: PAGE.left,
    y: top,
    width: PANEL_WIDTH,
    height,
    preserveAspectRatio: 'none',
    href: `data:image/png;base64,${png}`,
  });
  return [image, ...ticks].join('');
}

/** The events of one label. */
export function lanePanel({ label, events }: Lane, { top, height }: Strip, x: TimeScale): string {
  const bars = events.map((event) => {
    const [left, right] = [x(event.start_seconds), x(event.end_seconds)];
    const times = `${toShort(event.start_seconds)} to ${toShort(event.end_seconds)}`;
    const words = `${event.label}, ${times}, score ${event.score.toFixed(2)}`;
    const width = Math.max(MIN_BAR_WIDTH, right - left);
    const place = { x: left, y: top + 5, width, height: height - 10, rx: Math.min(4, width / 2) };
    const strength = { 'fill-opacity': 0.35 + 0.65 * event.score };
    return element(
      'rect',
      { ...paint('bar'), ...place, ...strength },
      element('title', {}, textOf(words)),
    );
  });
  return [...bars, sideText(shortened(label), top + height / 2 + 4)].join('');
}

/** What stands where no label has a lane. */
export function emptyLane({ top, height }: Strip): string {
  const place = { x: PAGE.left + 12, y: top + height / 2 + 4, 'font-size': 15 };
  return element('text', { ...paint('muted'), ...place }, 'No events at these thresholds');
}

/** The ground of the panels, with a line for every round time. */
export function ground(strips: readonly Strip[], ticks: readonly Tick[], x: TimeScale): string {
  return strips
    .flatMap(({ top, height }) => [
      element('rect', { ...paint('panel'), x: PAGE.left, y: top, width: PANEL_WIDTH, height }),
      ...ticks.map(({ seconds }) => tickLine({ x: x(seconds) - 0.5, y: top, width: 1, height })),
    ])
    .join('');
}

/** The round times in words. */
export function timeAxis(ticks: readonly Tick[], y: number, x: TimeScale): string {
  const style = { ...paint('muted'), y, 'font-size': 14, 'text-anchor': 'middle' };
  return ticks
    .map(({ seconds, text }) => element('text', { ...style, x: x(seconds) }, textOf(text)))
    .join('');
}

const tickLine = (place: { x: number; y: number; width: number; height: number }): string =>
  element('rect', { ...paint('grid'), ...place });

/** Text left of the panels, on a base line. */
function sideText(text: string, y: number, name: 'text' | 'muted' = 'text'): string {
  const size = name === 'text' ? 15 : 13;
  const place = { x: LABEL_X, y, 'font-size': size, 'text-anchor': 'end' };
  return element('text', { ...paint(name), ...place }, textOf(text));
}

/** By characters, not by halves of them. */
function shortened(name: string): string {
  const characters = [...name];
  if (characters.length <= MAX_NAME_CHARACTERS) return name;
  return `${characters
    .slice(0, MAX_NAME_CHARACTERS - 1)
    .join('')
    .trimEnd()}…`;
}

const round = (pixels: number): number => Math.round(pixels * 10) / 10;
