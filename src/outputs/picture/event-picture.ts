import type { ListedEvent } from '../events/event-list.js';
import { type Lane, toLanes } from './lanes.js';
import {
  emptyLane,
  ground,
  lanePanel,
  type Strip,
  spectrogramPanel,
  timeAxis,
  wavePanel,
} from './panels.js';
import { descriptionOf, titleOf } from './picture-words.js';
import { PAGE, timeScale } from './scales.js';
import type { Spectrogram } from './spectrogram-columns.js';
import { element, textOf } from './svg.js';
import { DARK_STYLE, FONT_FAMILY, paint } from './theme.js';
import { toClock, toShort, toTicks } from './time-axis.js';
import type { Waveform } from './wave-columns.js';

/** What is drawn. Times are on the clock of the recording. */
export interface PictureContent {
  readonly model: string;
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly waveform: Waveform;
  readonly spectrogram: Spectrogram;
  readonly events: readonly ListedEvent[];
}

const WAVE: Strip = { top: 56, height: 84 };
const SPECTROGRAM: Strip = { top: 148, height: 184 };
const FIRST_LANE: Strip = { top: 344, height: 30 };
const LANE_PITCH = 32;
const AXIS_HEIGHT = 32;
const NOTE_HEIGHT = 28;
const MAX_LANES = 12;

/**
 * A recording as a picture: its waveform, its spectrogram and a lane of events for each label.
 *
 * It is drawn for light and for dark surroundings, and says in words what it shows.
 *
 * @returns SVG that needs no other file
 */
export function toEventPicture(content: PictureContent): string {
  const { lanes, others } = toLanes(content.events, { maxLanes: MAX_LANES });
  const laneStrips = Array.from({ length: Math.max(1, lanes.length) }, (_, i) => laneStrip(i));
  const lanesEnd = FIRST_LANE.top + LANE_PITCH * laneStrips.length;
  const axisEnd = lanesEnd + AXIS_HEIGHT;
  const height = axisEnd + (others.length > 0 ? NOTE_HEIGHT : 0);
  const x = timeScale(content);
  const ticks = toTicks(content.startSeconds, content.endSeconds);
  return element(
    'svg',
    { ...pageAttributes(height), role: 'img', 'aria-labelledby': 'title desc' },
    element('title', { id: 'title' }, textOf(titleOf(lanes))),
    element('desc', { id: 'desc' }, textOf(descriptionOf(content.events))),
    element('style', {}, DARK_STYLE),
    element('rect', { ...paint('page'), width: PAGE.width, height }),
    heading(content, lanes),
    ground([WAVE, ...laneStrips], ticks, x),
    wavePanel(content.waveform, WAVE),
    spectrogramPanel(content.spectrogram, SPECTROGRAM),
    lanes.length === 0 ? emptyLane(FIRST_LANE) : '',
    ...lanes.map((lane, i) => lanePanel(lane, laneStrip(i), x)),
    timeAxis(ticks, lanesEnd + 18, x),
    others.length > 0 ? note(others, axisEnd + 10) : '',
  );
}

const laneStrip = (place: number): Strip => ({
  ...FIRST_LANE,
  top: FIRST_LANE.top + place * LANE_PITCH,
});

const pageAttributes = (height: number) => ({
  xmlns: 'http://www.w3.org/2000/svg',
  width: PAGE.width,
  height,
  viewBox: `0 0 ${PAGE.width} ${height}`,
  'font-family': FONT_FAMILY,
});

function heading(
  { model, startSeconds, endSeconds }: PictureContent,
  lanes: readonly Lane[],
): string {
  const shown = endSeconds < 60 ? toShort : toClock;
  const facts = `${shown(startSeconds)} to ${shown(endSeconds)}, heard by ${model}`;
  const y = 36;
  return [
    element('text', { ...paint('text'), x: PAGE.left, y, 'font-size': 20 }, textOf(titleOf(lanes))),
    element(
      'text',
      { ...paint('muted'), x: PAGE.right, y, 'font-size': 14, 'text-anchor': 'end' },
      textOf(facts),
    ),
  ].join('');
}

/** The labels that found no lane. */
function note(labels: readonly string[], y: number): string {
  const [first = ''] = labels;
  const words =
    labels.length === 1 ? `Also heard: ${first}` : `Also heard: ${labels.length} more labels`;
  return element('text', { ...paint('muted'), x: PAGE.left, y, 'font-size': 14 }, textOf(words));
}
