/** Strings that only a client can have sent are sought in what the service tells others of its requests. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiKeys, makeApiKey } from '../../src/http/api-keys.js';
import { createLog } from '../../src/log.js';
import { clip, openWorkshop, startService, toneClip, type Workshop } from './test-service.js';

const PLACES = [
  'file name',
  'second file name',
  'field name',
  'field value',
  'file field',
  'query name',
  'query value',
  'path',
  'model',
  'key',
  'key id',
  'basic',
  'user agent',
  'referer',
  'cookie',
  'forwarded',
  'trace',
  'request id',
  'own header',
  'type of a part',
  'bytes of text',
  'tag in the sound',
  'label of a query',
  'head',
] as const;
type Place = (typeof PLACES)[number];

/** Each place has a string of its own, without a character that is escaped anywhere. */
const CANARY = Object.fromEntries(
  PLACES.map((place, i) => [place, `canary${i}${place.replaceAll(' ', '')}`]),
) as Record<Place, string>;
/** A client is shown what it sent where that is the fault; in no case who it is, or its files. */
const NEVER_IN_REPLIES: readonly Place[] = [
  'file name',
  'second file name',
  'key',
  'key id',
  'basic',
  'user agent',
  'referer',
  'cookie',
  'forwarded',
  'trace',
  'request id',
  'own header',
  'type of a part',
  'bytes of text',
  'tag in the sound',
];

const placesIn = (told: string, places: readonly Place[] = PLACES) =>
  places.filter((place) => told.toLowerCase().includes(CANARY[place].toLowerCase()));

const LAB = makeApiKey({ client: 'lab' });
const KEYS = ApiKeys.parse(LAB.line, 0);

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** Everywhere a client can put something, a canary sits; returns all replies, heads included. */
async function sendCanaries(own: Awaited<ReturnType<typeof startService>>): Promise<string[]> {
  const replies: string[] = [];
  const send = async (path: string, init: RequestInit = {}, key = LAB.key) => {
    const headers = {
      Authorization: `Bearer ${key}`,
      'User-Agent': CANARY['user agent'],
      Referer: `http://${CANARY.referer}.example/`,
      Cookie: `session=${CANARY.cookie}`,
      'X-Forwarded-For': CANARY.forwarded,
      traceparent: CANARY.trace,
      // Not the form of an id, so it is not taken.
      'X-Request-Id': `${CANARY['request id']} !`,
      'X-Own': CANARY['own header'],
      ...init.headers,
    };
    const reply = await fetch(own.url + path, { ...init, headers });
    replies.push(JSON.stringify([...reply.headers]) + (await reply.text()));
  };
  const form = (fill: (form: FormData) => void, query = '') => {
    const body = new FormData();
    body.append('file', new Blob([clip('dog.ogg')]), `${CANARY['file name']}.ogg`);
    fill(body);
    return send(`/v1/tags${query}`, { method: 'POST', body });
  };
  const post = (body: RequestInit['body'] & {}, query = '') =>
    send(`/v1/tags${query}`, { method: 'POST', body });
  await form(() => {});
  await form((body) => body.append('file', new Blob(['x']), CANARY['second file name']));
  await form((body) => body.append(CANARY['field name'], '1'));
  await form((body) => body.append('top_k', CANARY['field value']));
  await form((body) => body.append(CANARY['file field'], new Blob(['x']), 'x'));
  await form((body) =>
    body.append('file', new Blob(['x'], { type: `x/${CANARY['type of a part']}` }), 'x'),
  );
  await form(() => {}, `?${CANARY['query name']}=1`);
  await form(() => {}, `?top_k=${CANARY['query value']}`);
  await form(() => {}, `?model=${CANARY.model}`);
  await post(CANARY['bytes of text']);
  await post(
    Buffer.concat([
      Buffer.from(`ID3\x04\0\0\0\0\0\x40${CANARY['tag in the sound']}`),
      clip('dog_44k.mp3'),
    ]),
  );
  await send(`/v1/labels?q=${CANARY['label of a query']}`);
  await send(`/v1/models/${CANARY.model}`);
  await send(`/${CANARY.path}?${CANARY['query name']}=${CANARY['query value']}`);
  await send('/v1/info', {}, `${CANARY['key id']}.${CANARY.key}`);
  await send('/v1/info', { headers: { Authorization: `Basic ${CANARY.basic}` } });
  return replies;
}

test('logs and metrics hold nothing that a client sent; replies nothing of who it is', async () => {
  const apiKeys = { clientOf: (key: string) => KEYS.clientOf(key, 0) };
  const own = await startService(workshop, { apiKeys });
  const replies = await sendCanaries(own);
  const socket = connect(own.port, '127.0.0.1');
  socket.write(`${CANARY.head}\r\n\r\n`);
  replies.push(await text(socket));
  await expect.poll(() => own.logLines).toHaveLength(replies.length);
  const log = JSON.stringify(own.logLines);
  const metrics = await own.metrics.render();
  const told = replies.join('\n');
  expect(placesIn(log)).toEqual([]);
  expect(placesIn(metrics)).toEqual([]);
  expect(placesIn(told, NEVER_IN_REPLIES)).toEqual([]);
  const secret = LAB.key.split('.')[1] ?? '';
  for (const text of [log, metrics, told]) expect(text).not.toContain(secret);
  // One line for each request, whatever became of it.
  const statuses = own.logLines.map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 400, 401, 404, 415, 422]));
  await own.close();
});

test('nor does the line of an unexpected failure', async () => {
  const decoder = { decode: () => Promise.reject(new TypeError('ours')) };
  const apiKeys = { clientOf: (key: string) => KEYS.clientOf(key, 0) };
  const own = await startService(workshop, { apiKeys, decoder });
  const body = new FormData();
  body.append('file', new Blob([toneClip(1)]), CANARY['file name']);
  body.append('file', new Blob([toneClip(1)]), CANARY['second file name']);
  const headers = { Authorization: `Bearer ${LAB.key}`, 'User-Agent': CANARY['user agent'] };
  await fetch(`${own.url}/v1/tags`, { method: 'POST', body, headers });
  await expect.poll(() => own.logLines.map(({ msg }) => msg)).toContain('request');
  expect(own.logLines.some(({ level }) => level === 'error')).toBe(true);
  expect(placesIn(JSON.stringify(own.logLines))).toEqual([]);
  await own.close();
});

test('a log of heads and names would be noticed', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => lines.push(line) } });
  log.info({ headers: { 'user-agent': CANARY['user agent'] }, file: CANARY['file name'] }, 'x');
  expect(placesIn(lines.join())).toEqual(['file name', 'user agent']);
  expect(PLACES.length).toBeGreaterThanOrEqual(20);
});
