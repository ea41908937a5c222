/** What the command line was given does not make sense, or nothing could be begun: one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
