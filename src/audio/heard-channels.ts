import { ServiceError } from '../errors.js';
import { mixToMono } from './mix-to-mono.js';

/** Which channels of a clip are heard: their mean, one of them, or each by itself. */
export type ChannelChoice = 'mix' | 'left' | 'right' | 'each';

/**
 * How the signals that are heard are called: the indices of their channels, or 0 for the mean of all.
 *
 * @throws ServiceError invalid_value where the clip has no such channel
 */
export function heardChannels(choice: ChannelChoice, numChannels: number): number[] {
  if (choice === 'each') return Array.from({ length: numChannels }, (_, channel) => channel);
  if (choice === 'right' && numChannels < 2) throw noRightChannel();
  return [choice === 'right' ? 1 : 0];
}

/** The channels that take part in what is heard; a part of a clip with fewer lends its last one. */
export function takeChannels(
  choice: ChannelChoice,
  heard: readonly number[],
  channels: readonly Float32Array[],
): Float32Array[] {
  if (choice === 'mix') return [...channels];
  return heard.map((channel) => channels[Math.min(channel, channels.length - 1)]!);
}

/** The signals that are heard, one for each of `heardChannels`. */
export const toSignals = (choice: ChannelChoice, taken: readonly Float32Array[]) =>
  choice === 'mix' ? [mixToMono(taken)] : taken;

function noRightChannel(): ServiceError {
  const detail = 'Expected mix, left or each for a clip of one channel, got right';
  const errors = [{ parameter: 'channel', detail }];
  return new ServiceError('invalid_value', `channel: ${detail}`, { errors });
}
