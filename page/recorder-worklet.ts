/** Entry of the audio thread: hands on what the microphone hears, its channels averaged. */

// The audio thread has names of its own, which no library of TypeScript declares.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, kind: new () => AudioWorkletProcessor): void;

/** The browser gives 128 samples at a time: a message for each would be hundreds a second. */
const CHUNK_SAMPLES = 4096;

registerProcessor(
  'recorder',
  class extends AudioWorkletProcessor {
    #chunk = new Float32Array(CHUNK_SAMPLES);
    #filled = 0;

    process([channels = []]: Float32Array[][]): boolean {
      const { length = 0 } = channels[0] ?? [];
      for (let i = 0; i < length; i++) {
        const sum = channels.reduce((total, samples) => total + samples[i]!, 0);
        this.#chunk[this.#filled++] = sum / channels.length;
        if (this.#filled === CHUNK_SAMPLES) this.#send();
      }
      return true;
    }

    #send(): void {
      this.port.postMessage(this.#chunk, [this.#chunk.buffer]);
      this.#chunk = new Float32Array(CHUNK_SAMPLES);
      this.#filled = 0;
    }
  },
);
