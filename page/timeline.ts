import { byId, create } from './elements.js';
import { clockTime, roundStep, tickLabel } from './time.js';

/** Space that a time on the axis wants. */
const PIXELS_PER_TICK = 84;

/** The scale of time that pictures and lanes share: axis, playhead, and the place under the pointer. */
export class Timeline {
  readonly #figure = byId('timeline', HTMLElement);
  readonly #axis = byId('axis', HTMLDivElement);
  readonly #playhead = byId('playhead', HTMLDivElement);
  readonly #hover = byId('hover', HTMLDivElement);
  readonly #hoverClock = byId('hover-clock', HTMLSpanElement);
  #durationSeconds = 0;

  /** @param onPick hears of the place that was clicked, in seconds */
  constructor(onPick: (seconds: number) => void) {
    this.#figure.addEventListener('click', (event) => {
      const seconds = this.#secondsAt(event);
      if (seconds !== undefined) onPick(seconds);
    });
    this.#figure.addEventListener('pointermove', (event) => this.#follow(event));
    this.#figure.addEventListener('pointerleave', () => this.#follow(undefined));
    new ResizeObserver(() => this.#drawAxis()).observe(this.#axis);
  }

  get durationSeconds(): number {
    return this.#durationSeconds;
  }

  show(durationSeconds: number): void {
    this.#durationSeconds = durationSeconds;
    this.#figure.hidden = false;
    this.#drawAxis();
  }

  hide(): void {
    this.#durationSeconds = 0;
    this.#figure.hidden = true;
    this.showPlace(undefined);
  }

  /** @param seconds undefined: nothing has been played */
  showPlace(seconds: number | undefined): void {
    this.#playhead.hidden = seconds === undefined;
    this.#playhead.style.left = this.toPercent(seconds ?? 0);
  }

  toPercent(seconds: number): string {
    const share = this.#durationSeconds === 0 ? 0 : seconds / this.#durationSeconds;
    return `${(100 * Math.max(0, Math.min(1, share))).toFixed(3)}%`;
  }

  #drawAxis(): void {
    const most = Math.max(1, Math.floor(this.#axis.clientWidth / PIXELS_PER_TICK));
    const step = roundStep(this.#durationSeconds, most);
    const ticks = [];
    for (let i = 0; i * step <= this.#durationSeconds; i++) {
      const tick = create('span', { className: 'tick', text: tickLabel(i * step, step) });
      tick.style.left = this.toPercent(i * step);
      ticks.push(tick);
    }
    this.#axis.replaceChildren(...ticks);
  }

  #follow(event: PointerEvent | undefined): void {
    const seconds = event === undefined ? undefined : this.#secondsAt(event);
    this.#hover.hidden = seconds === undefined || event?.pointerType === 'touch';
    if (seconds === undefined) return;
    this.#hover.style.left = this.toPercent(seconds);
    this.#hoverClock.textContent = clockTime(seconds);
  }

  #secondsAt({ clientX }: MouseEvent): number | undefined {
    const { left, width } = this.#axis.getBoundingClientRect();
    const share = (clientX - left) / width;
    return share < 0 || share > 1 ? undefined : share * this.#durationSeconds;
  }
}
