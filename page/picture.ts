import type { DecodedSound } from './decode-sound.js';
import type { PictureReply, PictureRequest } from './picture-worker.js';

const COLUMNS = 1200;
const BANDS = 80;

export type Picture = PictureReply & Pick<DecodedSound, 'sampleRate'>;

/** Works out waveform and spectrogram in a thread of their own. The samples are given away. */
export async function toPicture(sound: DecodedSound, signal: AbortSignal): Promise<Picture> {
  signal.throwIfAborted();
  const worker = new Worker(new URL('./picture-worker.js', import.meta.url), { type: 'module' });
  const request: PictureRequest = { ...sound, columns: COLUMNS, bands: BANDS };
  try {
    const reply = await new Promise<PictureReply>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<PictureReply>) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(`The picture failed: ${message}`));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      worker.postMessage(request, [sound.samples.buffer]);
    });
    return { ...reply, sampleRate: sound.sampleRate };
  } finally {
    worker.terminate();
  }
}
