import { byId } from './elements.js';
import { Recorder } from './recorder.js';
import type { Limits } from './service.js';
import type { Sound } from './sound.js';
import { clockTime } from './time.js';

const NAME = 'recording.wav';

export interface RecordButtonOptions {
  readonly limits: () => Limits | undefined;
  readonly onSound: (sound: Sound) => void;
  readonly onNotice: (text: string) => void;
}

/** Starts a recording, shows how long and how loud it is, and ends it; Escape drops it. */
export function openRecordButton(options: RecordButtonOptions): void {
  const button = byId('record', HTMLButtonElement);
  if (!('mediaDevices' in navigator)) {
    button.disabled = true;
    button.title = 'Browsers lend the microphone to https and localhost only';
    return;
  }
  new RecordButton(button, options);
}

class RecordButton {
  readonly #button: HTMLButtonElement;
  readonly #options: RecordButtonOptions;
  #recorder: Recorder | undefined;

  constructor(button: HTMLButtonElement, options: RecordButtonOptions) {
    this.#button = button;
    this.#options = options;
    button.addEventListener('click', () => {
      if (this.#recorder === undefined) void this.#start();
      else void this.#finish();
    });
    document.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') void this.#end();
    });
  }

  async #start(): Promise<void> {
    const { limits, onNotice } = this.#options;
    this.#button.disabled = true;
    try {
      this.#recorder = await Recorder.start({
        maxBytes: limits()?.max_upload_bytes ?? Number.POSITIVE_INFINITY,
        maxSeconds: limits()?.max_clip_seconds ?? Number.POSITIVE_INFINITY,
        onProgress: (seconds, level) => this.#show(seconds, level),
        onFull: () => {
          onNotice('The recording was ended: it is as long as the service takes.');
          void this.#finish();
        },
      });
      this.#show(0, 0);
    } catch (error) {
      onNotice(toNotice(error));
    } finally {
      this.#button.disabled = false;
    }
  }

  async #finish(): Promise<void> {
    const bytes = await this.#end();
    if (bytes !== undefined) this.#options.onSound({ name: NAME, bytes, isRecording: true });
  }

  async #end(): Promise<Blob | undefined> {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    this.#button.classList.remove('recording');
    this.#button.textContent = 'Record';
    return recorder?.stop();
  }

  #show(seconds: number, level: number): void {
    if (this.#recorder === undefined) return;
    this.#button.classList.add('recording');
    this.#button.textContent = `Stop ${clockTime(seconds)}`;
    this.#button.style.setProperty('--level', level.toFixed(3));
  }
}

function toNotice(error: unknown): string {
  if (!(error instanceof DOMException)) throw error;
  if (error.name === 'NotAllowedError') return 'The browser was not allowed to use the microphone.';
  if (error.name === 'NotFoundError') return 'There is no microphone here.';
  return `The microphone cannot be used: ${error.message}`;
}
