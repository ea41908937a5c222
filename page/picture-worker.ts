/** Thread entry: samples in, what is drawn out, while the page stays free. */
import type { DecodedSound } from './decode-sound.js';
import { type Spectrogram, toSpectrogram } from './spectrogram.js';
import { toWaveformColumns, type WaveformColumns } from './waveform-columns.js';

export interface PictureRequest extends DecodedSound {
  readonly columns: number;
  readonly bands: number;
}

export interface PictureReply {
  readonly waveform: WaveformColumns;
  readonly spectrogram: Spectrogram;
}

addEventListener('message', ({ data }: MessageEvent<PictureRequest>) => {
  const { samples, columns } = data;
  const reply: PictureReply = {
    waveform: toWaveformColumns(samples, columns),
    spectrogram: toSpectrogram(samples, data),
  };
  postMessage(reply);
});
