import { parseArgs } from 'node:util';
import { type KeyLine, makeApiKey } from './http/api-keys.js';

const USAGE = `Makes a key for a client. The line for API_KEYS_FILE goes to standard output, the key to standard error:
it is shown this once, and stored nowhere.

  npm run --silent api-key -- CLIENT [--expires DATE] [--rate-limit-per-minute N] [--max-concurrent N] >> FILE

CLIENT  1 to 64 letters, digits, "_" or "-"; a second line with the same name is a second key of the same client
DATE    2027-01-31 (from its midnight in UTC on the key is refused) or 2027-01-31T12:00:00Z
N       0 for no limit; without it the limit of the service holds
`;

try {
  const { key, line } = makeApiKey(readArguments());
  process.stdout.write(`${line}\n`);
  process.stderr.write(`${key}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 1;
}

function readArguments(): Omit<KeyLine, 'sha256'> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      expires: { type: 'string' },
      'rate-limit-per-minute': { type: 'string' },
      'max-concurrent': { type: 'string' },
    },
  });
  const [client, ...others] = positionals;
  if (client === undefined || others.length > 0) {
    throw new Error(`Expected the name of one client, got ${positionals.length}`);
  }
  const { expires, 'rate-limit-per-minute': perMinute, 'max-concurrent': atOnce } = values;
  return {
    client,
    ...(expires !== undefined && { expires }),
    ...(perMinute !== undefined && { rate_limit_per_minute: Number(perMinute) }),
    ...(atOnce !== undefined && { max_concurrent: Number(atOnce) }),
  };
}
