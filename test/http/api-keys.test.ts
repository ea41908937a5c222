import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ApiKeys, makeApiKey } from '../../src/http/api-keys.js';

const NOW_MS = Date.parse('2026-06-01T00:00:00Z');
const LINE = makeApiKey({ client: 'lab' }).line;

const parse = (...lines: string[]) => ApiKeys.parse(lines.join('\n'), NOW_MS);
const faultOf = (...lines: string[]): string => {
  try {
    parse(...lines);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('Expected a fault');
};
const withMembers = (members: object) => JSON.stringify({ ...JSON.parse(LINE), ...members });

test('a key is known by its hash alone, and by nothing but the whole of it', async () => {
  const { key, line } = makeApiKey({ client: 'lab', max_concurrent: 3 });
  const [id = '', secret = ''] = key.split('.');
  expect(id).toBe('lab');
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
  expect(line).not.toContain(secret);
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key));
  expect(JSON.parse(line).sha256).toBe(Buffer.from(digest).toString('hex'));
  const client = { id: 'lab', rateLimitPerMinute: undefined, maxConcurrent: 3 };
  expect(parse(line).clientOf(key, NOW_MS)).toEqual(client);
  expect(parse(LINE).clientOf(key, NOW_MS)).toBeUndefined();
});

test('a key changed anywhere is another key', () => {
  const { key, line } = makeApiKey({ client: 'lab' });
  const keys = parse(line);
  const changed = fc.oneof(
    fc.string(),
    fc.string().map((rest) => `lab.${rest}`),
    fc.string({ minLength: 1 }).map((rest) => key + rest),
    fc.nat(key.length - 1).map((at) => key.slice(0, at)),
    fc.nat(key.length - 1).map((at) => `${key.slice(0, at)}~${key.slice(at + 1)}`),
  );
  fc.assert(
    fc.property(changed, (guess) => {
      expect(keys.clientOf(guess, NOW_MS)).toBeUndefined();
    }),
  );
  expect(keys.clientOf(key, NOW_MS)?.id).toBe('lab');
});

test('a key of one client is none of another', () => {
  const [lab, phone] = [makeApiKey({ client: 'lab' }), makeApiKey({ client: 'phone' })];
  const keys = parse(lab.line, phone.line);
  expect(keys.clientOf(lab.key, NOW_MS)?.id).toBe('lab');
  expect(keys.clientOf(lab.key.replace('lab', 'phone'), NOW_MS)).toBeUndefined();
  for (const id of ['__proto__', 'constructor', '']) {
    expect(keys.clientOf(`${id}.x`, NOW_MS)).toBeUndefined();
  }
});

test('two keys of a client live at a time: the old one until the new one is everywhere', () => {
  const [old, next, third] = [0, 1, 2].map(() => makeApiKey({ client: 'lab' }));
  const both = parse(old!.line, next!.line);
  expect(both.numClients).toBe(1);
  for (const { key } of [old!, next!]) expect(both.clientOf(key, NOW_MS)?.id).toBe('lab');
  expect(parse(next!.line).clientOf(old!.key, NOW_MS)).toBeUndefined();
  expect(faultOf(old!.line, next!.line, third!.line)).toBe(
    'line 3: expected at most 2 live keys of a client, got one more of lab',
  );
  const expired = makeApiKey({ client: 'lab', expires: '2026-05-31' });
  const three = parse(expired.line, old!.line, next!.line);
  expect(three.clientOf(expired.key, NOW_MS)).toBeUndefined();
  expect(three.clientOf(next!.key, NOW_MS)?.id).toBe('lab');
});

test.each(['2026-06-02', '2026-06-02T02:00:00+02:00'])('%s: valid until then', (expires) => {
  const { key, line } = makeApiKey({ client: 'lab', expires });
  const endMs = Date.parse('2026-06-02T00:00:00Z');
  expect(parse(line).clientOf(key, endMs - 1)?.id).toBe('lab');
  expect(parse(line).clientOf(key, endMs)).toBeUndefined();
});

test('empty lines, comments and line ends of Windows say nothing', () => {
  const { key, line } = makeApiKey({ client: 'lab' });
  expect(parse('# ours', '', `${line}\r`, '  # end').clientOf(key, NOW_MS)?.id).toBe('lab');
  expect(parse('').numClients).toBe(0);
});

test.each([
  [{ client: 'a b' }, 'client: expected 1 to 64 letters, digits, "_" or "-"'],
  [{ client: 'a.b' }, 'client: expected 1 to 64 letters, digits, "_" or "-"'],
  [{ client: 7 }, 'client: expected a name'],
  [{ sha256: 'ABC' }, 'sha256: expected 64 hexadecimal digits in lower case'],
  [{ expires: 'soon' }, 'expires: expected a date'],
  [{ rate_limit_per_minute: -1 }, 'rate_limit_per_minute: expected an integer from 0 to 1000000'],
  [{ max_concurrent: 1.5 }, 'max_concurrent: expected an integer from 0 to 1000000'],
  [{ limit: 1 }, 'Unrecognized key: "limit"'],
])('%o is refused, with the number of its line', (members, fault) => {
  expect(faultOf('# ours', withMembers(members))).toBe(`line 2: ${fault}`);
});

test('a line that is no JSON is not shown: it may be a key in the wrong place', () => {
  const { key } = makeApiKey({ client: 'lab' });
  expect(faultOf(key)).toMatch(/^line 1: expected a JSON object .*, got no JSON$/);
  expect(faultOf(key)).not.toContain(key.split('.')[1]);
});

test('the lines of a client agree in its limits', () => {
  const [old, next] = [2, 3].map((max_concurrent) => makeApiKey({ client: 'lab', max_concurrent }));
  expect(faultOf(old!.line, next!.line)).toBe(
    'line 2: expected the same limits on every line of lab, got others',
  );
});
