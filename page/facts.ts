import type { components } from '../src/http/openapi-types.js';
import { duration } from './time.js';

type Audio = components['schemas']['Audio'];

/** What a recording is, as one line: `5.0 s · ogg vorbis · 44.1 kHz · mono`. */
export function factsLine(audio: Audio): string {
  const { duration_seconds: seconds, container, codec, sample_rate: sampleRate } = audio;
  const format = container === codec ? codec : `${container} ${codec}`;
  const parts = [
    duration(seconds),
    format,
    `${sampleRate / 1000} kHz`,
    channelWords(audio),
    ...(audio.peak_dbfs === null ? [] : [`peak ${audio.peak_dbfs.toFixed(1)} dBFS`]),
  ];
  return parts.join(' · ');
}

function channelWords({ channels }: Audio): string {
  return { 1: 'mono', 2: 'stereo' }[channels] ?? `${channels} channels`;
}
