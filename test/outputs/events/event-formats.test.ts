import { parse as parseCsv } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { WebVTTParser } from 'webvtt-parser';
import { toAudacityLabels } from '../../../src/outputs/events/audacity-labels.js';
import { toWebVtt } from '../../../src/outputs/events/event-captions.js';
import { toEventCsv } from '../../../src/outputs/events/event-csv.js';
import type { ListedEvent } from '../../../src/outputs/events/event-list.js';
import { toTimelineScores } from '../../../src/outputs/events/timeline.js';

const NAMES = ['Dog', 'Chewing, mastication', 'a "quoted" <b>&amp; --> name', 'tab\tand\nline'];

const events: ListedEvent[] = NAMES.map((label, i) => ({
  ...{ label, mid: `/m/${i}`, class_index: i },
  start_seconds: i * 1800.16,
  end_seconds: i * 1800.16 + 0.48,
  ...{ score: 0.9 - i / 10, score_mean: 0.8 - i / 10 },
}));
const withChannels = events.map((event, channel) => ({ ...event, channel }));

describe('CSV', () => {
  test.each([false, true])('is read back by another reader (channels: %s)', (hasChannels) => {
    const given = hasChannels ? withChannels : events;
    const text = toEventCsv(given, { hasChannels });
    const read = parseCsv(text, {
      columns: true,
      cast: (value, { header, column }) =>
        header || column === 'label' || column === 'mid' ? value : Number(value),
    });
    expect(read).toEqual(given);
    expect(text.endsWith('\r\n')).toBe(true);
  });

  test('of no events is its head', () => {
    expect(toEventCsv([], { hasChannels: false })).toBe(
      'start_seconds,end_seconds,label,mid,class_index,score,score_mean\r\n',
    );
  });
});

test('Audacity reads start, end and one name per line', () => {
  const lines = toAudacityLabels(withChannels).split('\n').slice(0, -1);
  expect(lines).toHaveLength(events.length);
  for (const [i, line] of lines.entries()) {
    const [start, end, name, ...rest] = line.split('\t');
    expect(Number(start)).toBeCloseTo(events[i]?.start_seconds ?? -1, 6);
    expect(Number(end)).toBeCloseTo(events[i]?.end_seconds ?? -1, 6);
    expect(name).toBe(`${NAMES[i]?.replace(/\s+/g, ' ')} (channel ${i})`);
    expect(rest).toEqual([]);
  }
});

describe('WebVTT', () => {
  const read = (text: string) => new WebVTTParser().parse(text, 'captions');
  const unescaped = (text: string) =>
    text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

  test('is read back by another reader, whatever the names hold', () => {
    const { cues, errors } = read(toWebVtt(events));
    expect(errors).toEqual([]);
    expect(cues).toHaveLength(events.length);
    for (const [i, cue] of cues.entries()) {
      expect(cue.startTime).toBeCloseTo(events[i]?.start_seconds ?? -1, 3);
      expect(cue.endTime).toBeCloseTo(events[i]?.end_seconds ?? -1, 3);
      const percent = Math.round(100 * (events[i]?.score ?? 0));
      expect(unescaped(cue.text)).toBe(`${NAMES[i]?.replace(/\s+/g, ' ')} ${percent} %`);
      expect(cue.text).not.toMatch(/[<>]/);
    }
  });

  test('of no events is a head alone', () => {
    expect(read(toWebVtt([]))).toMatchObject({ cues: [], errors: [] });
  });
});

describe('timeline', () => {
  const rows = [Float32Array.of(0, 0.25), Float32Array.of(0.123456789, 1)];
  const bytesOf = (type: 'float32' | 'float16' | 'uint8') =>
    Buffer.from(toTimelineScores(rows, { encoding: 'base64', type }) as string, 'base64');

  test('as numbers has six decimals, or whole steps of uint8', () => {
    expect(toTimelineScores(rows, { encoding: 'json', type: 'float32' })).toEqual([
      [0, 0.25],
      [0.123457, 1],
    ]);
    expect(toTimelineScores(rows, { encoding: 'json', type: 'uint8' })).toEqual([
      [0, 64],
      [31, 255],
    ]);
  });

  test('as bytes is little-endian, row after row', () => {
    const floats = bytesOf('float32');
    expect([0, 4, 8, 12].map((place) => floats.readFloatLE(place))).toEqual([
      ...rows[0]!,
      ...rows[1]!,
    ]);
    expect([...bytesOf('uint8')]).toEqual([0, 64, 31, 255]);
    // 0.25 is 2 ** -2: exponent 13 of float16, no fraction; 1 is exponent 15.
    const halves = bytesOf('float16');
    expect([0, 2, 6].map((place) => halves.readUInt16LE(place))).toEqual([0, 13 << 10, 15 << 10]);
  });
});
