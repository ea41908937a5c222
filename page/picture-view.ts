import { levelColours, onThemeChange, themeColour } from './colours.js';
import { byId, create } from './elements.js';
import type { Picture } from './picture.js';
import { heightOf, type Spectrogram } from './spectrogram.js';
import { duration } from './time.js';
import type { WaveformColumns } from './waveform-columns.js';

/** Frequencies that are named beside the spectrogram. */
const NAMED_HZ = [250, 1000, 4000];
/** A waveform is drawn to its own peak, but what is nearly silent is not blown up to noise. */
const SMALLEST_PEAK = 0.01;

/** Draws waveform and spectrogram, again whenever the theme or the width changes. */
export class PictureView {
  readonly #panel = byId('pictures', HTMLDivElement);
  readonly #waveform = byId('waveform', HTMLCanvasElement);
  readonly #spectrogram = byId('spectrogram', HTMLCanvasElement);
  readonly #hertz = byId('hertz', HTMLSpanElement);
  #picture: Picture | undefined;

  constructor() {
    const draw = () => this.#draw();
    new ResizeObserver(draw).observe(this.#waveform);
    onThemeChange(draw);
  }

  /** Keeps the room for what is being worked out, so that nothing moves when it comes. */
  clear(): void {
    this.#picture = undefined;
    this.#panel.hidden = false;
    this.#hertz.replaceChildren();
    for (const canvas of [this.#waveform, this.#spectrogram]) {
      canvas.setAttribute('aria-label', 'Not drawn yet');
      sized(canvas);
    }
  }

  show(picture: Picture, durationSeconds: number): void {
    this.#picture = picture;
    const of = `of ${duration(durationSeconds)} of sound`;
    this.#waveform.setAttribute('aria-label', `Waveform ${of}`);
    const text = `Spectrogram ${of}, from 0 to ${picture.sampleRate / 2000} kHz`;
    this.#spectrogram.setAttribute('aria-label', text);
    this.#nameFrequencies(picture.sampleRate);
    this.#draw();
  }

  /** Where there will be none. */
  hide(): void {
    this.#panel.hidden = true;
  }

  #draw(): void {
    if (this.#picture === undefined) return;
    drawWaveform(this.#waveform, this.#picture.waveform);
    drawSpectrogram(this.#spectrogram, this.#picture.spectrogram);
  }

  #nameFrequencies(sampleRate: number): void {
    const names = NAMED_HZ.map((hz) => {
      const text = hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`;
      const name = create('span', { className: 'hertz', text });
      name.style.bottom = `${100 * heightOf(hz, sampleRate)}%`;
      return name;
    });
    this.#hertz.replaceChildren(...names);
  }
}

function drawWaveform(canvas: HTMLCanvasElement, { lowest, highest }: WaveformColumns): void {
  const { context, width, height } = sized(canvas);
  const columns = lowest.length;
  const peak = highest.reduce((max, high, i) => Math.max(max, high, -lowest[i]!), SMALLEST_PEAK);
  const x = (column: number) => ((column + 0.5) / columns) * width;
  const y = (sample: number) => (0.5 - (0.48 * sample) / peak) * height;
  context.fillStyle = themeColour('--wave');
  context.beginPath();
  // At least a line's width, so that silence shows as a line.
  for (let i = 0; i < columns; i++) context.lineTo(x(i), y(highest[i]!) - 0.5);
  for (let i = columns - 1; i >= 0; i--) context.lineTo(x(i), y(lowest[i]!) + 0.5);
  context.fill();
}

function drawSpectrogram(canvas: HTMLCanvasElement, { columns, bands, levels }: Spectrogram): void {
  const colours = levelColours();
  const image = new ImageData(columns, bands);
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < bands; band++) {
      const level = 4 * levels[column * bands + band]!;
      const pixel = 4 * ((bands - 1 - band) * columns + column);
      image.data.set(colours.subarray(level, level + 4), pixel);
    }
  }
  const small = new OffscreenCanvas(columns, bands);
  small.getContext('2d')!.putImageData(image, 0, 0);
  const { context, width, height } = sized(canvas);
  context.drawImage(small, 0, 0, width, height);
}

/** As many pixels as the screen has for it, emptied. */
function sized(canvas: HTMLCanvasElement) {
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  return { context: canvas.getContext('2d')!, width: canvas.width, height: canvas.height };
}
