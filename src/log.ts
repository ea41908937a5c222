import pino from 'pino';

/** Where the service says what it does: one JSON object a line. */
export type Log = Pick<pino.Logger, 'info' | 'warn' | 'error'>;

/**
 * A logger of JSON lines with an ISO time and the level as a word.
 *
 * File names, audio and keys are never logged: callers pass only what they counted or named themselves.
 *
 * @param destination defaults to standard output
 */
export function createLog({
  level,
  destination,
}: {
  level: string;
  destination?: pino.DestinationStream;
}): Log {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  return destination ? pino(options, destination) : pino(options);
}
