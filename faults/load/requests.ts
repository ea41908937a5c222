import { type Agent, type ClientRequest, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';

/** One request with audio, as the load generators send it. */
export interface Sent {
  readonly url: string;
  readonly path?: string;
  readonly clip: Uint8Array;
  readonly agent?: Agent;
  readonly apiKey?: string;
}

/** What became of it. */
export interface Answered {
  /** 0: the connection ended without a reply. */
  readonly status: number;
  /** `Retry-After`, in seconds. */
  readonly retryAfterSeconds: number | undefined;
  readonly body: string;
  readonly startMs: number;
  /** When its last byte had gone; that of the end where it never did. */
  readonly sentMs: number;
  readonly endMs: number;
}

/** Sends a clip and waits for the end of the reply; never rejects. */
export function send(sent: Sent): Promise<Answered> {
  const startMs = performance.now();
  const lost = { status: 0, retryAfterSeconds: undefined, body: '' };
  return new Promise((resolve) => {
    let sentMs: number | undefined;
    const end = (reply: Omit<Answered, 'startMs' | 'sentMs' | 'endMs'>) => {
      const endMs = performance.now();
      resolve({ ...reply, startMs, sentMs: sentMs ?? endMs, endMs });
    };
    const request = open(sent);
    request.on('error', () => end(lost));
    request.on('finish', () => {
      sentMs = performance.now();
    });
    request.on('response', (reply) => {
      const retryAfter = reply.headers['retry-after'];
      const retryAfterSeconds = retryAfter === undefined ? undefined : Number(retryAfter);
      text(reply).then(
        (body) => end({ status: reply.statusCode ?? 0, retryAfterSeconds, body }),
        () => end(lost),
      );
    });
    request.end(sent.clip);
  });
}

/** Opens the request with its head; the body is the caller's. */
export function open({ url, path = '/v1/tags', clip, agent, apiKey }: Sent): ClientRequest {
  return httpRequest(new URL(path, url), {
    method: 'POST',
    ...(agent && { agent }),
    headers: {
      'Content-Type': 'application/octet-stream',
      'Content-Length': clip.byteLength,
      ...(apiKey !== undefined && { Authorization: `Bearer ${apiKey}` }),
    },
  });
}
