import { toWav, wavSeconds } from './wav.js';

export interface RecorderOptions {
  /** The recording ends by itself before its file is larger. */
  readonly maxBytes: number;
  readonly maxSeconds: number;
  /** Hears how long the recording is, and its level from 0 to 1. */
  readonly onProgress: (seconds: number, level: number) => void;
  readonly onFull: () => void;
}

/** Takes the microphone down as it is, without loss: one channel, at the rate of the device. */
export class Recorder {
  readonly #stream: MediaStream;
  readonly #context: AudioContext;
  readonly #chunks: Float32Array[] = [];
  #samples = 0;

  /** @throws DOMException when there is no microphone, or the visitor does not want it to be used */
  static async start(options: RecorderOptions): Promise<Recorder> {
    // What makes speech clear takes away the sounds around it.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const context = new AudioContext();
    const recorder = new Recorder(stream, context);
    try {
      await context.audioWorklet.addModule(new URL('./recorder-worklet.js', import.meta.url));
      recorder.#listen(options);
      return recorder;
    } catch (error) {
      await recorder.#close();
      throw error;
    }
  }

  private constructor(stream: MediaStream, context: AudioContext) {
    this.#stream = stream;
    this.#context = context;
  }

  /** Lets the microphone go. @returns the recording as WAV */
  async stop(): Promise<Blob> {
    await this.#close();
    return new Blob([toWav(this.#chunks, this.#context.sampleRate)], { type: 'audio/wav' });
  }

  #listen({ maxBytes, maxSeconds, onProgress, onFull }: RecorderOptions): void {
    const { sampleRate } = this.#context;
    const fullSamples = sampleRate * Math.min(maxSeconds, wavSeconds(maxBytes, sampleRate));
    const node = new AudioWorkletNode(this.#context, 'recorder', { numberOfOutputs: 0 });
    this.#context.createMediaStreamSource(this.#stream).connect(node);
    node.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
      if (this.#samples + data.length > fullSamples) {
        onFull();
        return;
      }
      this.#chunks.push(data);
      this.#samples += data.length;
      const peak = data.reduce((max, sample) => Math.max(max, Math.abs(sample)), 0);
      onProgress(this.#samples / sampleRate, peak);
    };
  }

  async #close(): Promise<void> {
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context.close();
  }
}
