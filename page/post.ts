export interface Posting {
  readonly body: Blob;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Bytes of the body that have been sent so far. */
  readonly onSent?: (bytes: number) => void;
  /** A piece of a reply of 200, as it comes. */
  readonly onText?: (piece: string) => void;
}

export interface PostReply {
  readonly status: number;
  readonly text: string;
}

/** No reply came: the connection was refused or lost. */
export class NoReplyError extends Error {
  override readonly name = 'NoReplyError';
}

/**
 * Posts a body and reads the reply while it comes.
 *
 * By XMLHttpRequest, since `fetch` does not tell how much was sent.
 *
 * @throws NoReplyError, or the signal's reason
 */
export function post(url: string, posting: Posting): Promise<PostReply> {
  const { body, headers, signal, onSent, onText } = posting;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let read = 0;
    const readMore = () => {
      if (request.status !== 200) return;
      onText?.(request.responseText.slice(read));
      read = request.responseText.length;
    };
    const abort = () => request.abort();
    signal.throwIfAborted();
    signal.addEventListener('abort', abort);
    request.upload.onprogress = ({ loaded }) => onSent?.(loaded);
    request.upload.onload = () => onSent?.(body.size);
    request.onprogress = readMore;
    request.onload = () => {
      readMore();
      resolve({ status: request.status, text: request.responseText });
    };
    request.onerror = () => reject(new NoReplyError('The service did not answer'));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener('abort', abort);
    request.open('POST', url);
    const all = { 'Content-Type': 'application/octet-stream', ...headers };
    for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
    request.send(body);
  });
}
