import type { ListedEvent } from './event-list.js';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/**
 * Events as captions for a player (WebVTT): label and score while it is heard.
 *
 * @see https://www.w3.org/TR/webvtt1/
 */
export function toWebVtt(events: readonly ListedEvent[]): string {
  const cues = events.map((event) => {
    const { start_seconds: start, end_seconds: end, label, score, channel } = event;
    const place = channel === undefined ? '' : ` (channel ${channel})`;
    const text = `${label.replace(/\s+/g, ' ')} ${Math.round(score * 100)} %${place}`;
    return `${toTimestamp(start)} --> ${toTimestamp(end)}\n${escaped(text)}\n`;
  });
  return ['WEBVTT\n', ...cues].join('\n');
}

const escaped = (text: string): string =>
  text.replace(/[&<>]/g, (character) => ESCAPES[character] ?? '');

/** `hh:mm:ss.mmm`; hours may have more digits. */
function toTimestamp(seconds: number): string {
  const ms = Math.round(seconds * 1000);
  const part = (value: number, digits: number) => String(Math.floor(value)).padStart(digits, '0');
  const minutes = part((ms / 60_000) % 60, 2);
  return `${part(ms / 3_600_000, 2)}:${minutes}:${part((ms / 1000) % 60, 2)}.${part(ms % 1000, 3)}`;
}
