import { byId } from './elements.js';
import { clockTime, roundStep } from './time.js';

/** Arrow keys cross a sound in about so many steps. */
const STEPS_ACROSS = 40;

/** Plays one sound, and tells where it is. Its bytes stay in the browser. */
export class Player {
  readonly #audio = new Audio();
  readonly #panel = byId('player', HTMLDivElement);
  readonly #button = byId('play', HTMLButtonElement);
  readonly #position = byId('position', HTMLInputElement);
  readonly #clock = byId('clock', HTMLOutputElement);
  readonly #onTime: (seconds: number | undefined) => void;
  #url: string | undefined;
  #isPlayable = false;
  #durationSeconds = 0;
  /** Ends the wait for a sound that another one has replaced. */
  #abandon = () => {};

  /** @param onTime hears of every change of place; undefined when nothing has been played */
  constructor(onTime: (seconds: number | undefined) => void) {
    this.#onTime = onTime;
    this.#audio.id = 'audio';
    this.#panel.append(this.#audio);
    this.#button.addEventListener('click', () => this.toggle());
    this.#position.addEventListener('input', () => this.seek(Number(this.#position.value)));
    this.#position.addEventListener('keydown', (event) => this.#seekByKey(event));
    for (const name of ['play', 'pause', 'ended']) {
      this.#audio.addEventListener(name, () => this.#showState());
    }
    this.#audio.addEventListener('seeked', () => this.#showTime());
    document.addEventListener('keydown', (event) => this.#playByKey(event));
  }

  /** @returns its length, or undefined where the browser cannot play it or tell */
  async load(bytes: Blob): Promise<number | undefined> {
    this.unload();
    this.#url = URL.createObjectURL(bytes);
    this.#audio.src = this.#url;
    const isPlayable = await new Promise<boolean>((resolve) => {
      this.#audio.onloadedmetadata = () => resolve(true);
      this.#audio.onerror = () => resolve(false);
      this.#abandon = () => resolve(false);
    });
    this.#isPlayable = isPlayable;
    const { duration } = this.#audio;
    if (!isPlayable || !Number.isFinite(duration)) return undefined;
    this.setDuration(duration);
    return duration;
  }

  unload(): void {
    this.#abandon();
    this.#audio.pause();
    this.#audio.removeAttribute('src');
    this.#audio.load();
    if (this.#url !== undefined) URL.revokeObjectURL(this.#url);
    this.#url = undefined;
    this.#isPlayable = false;
    this.#panel.hidden = true;
    this.#onTime(undefined);
  }

  /** What is counted while decoding is exact; a header may lie. */
  setDuration(seconds: number): void {
    if (!this.#isPlayable) return;
    this.#durationSeconds = seconds;
    this.#position.max = String(seconds);
    this.#panel.hidden = false;
    this.#showTime();
  }

  playFrom(seconds: number): void {
    if (this.#panel.hidden) return;
    this.seek(seconds);
    void this.#audio.play();
  }

  seek(seconds: number): void {
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.#durationSeconds));
    this.#showTime();
  }

  toggle(): void {
    if (this.#audio.paused) void this.#audio.play();
    else this.#audio.pause();
  }

  #showState(): void {
    const isPlaying = !this.#audio.paused;
    this.#button.setAttribute('aria-label', isPlaying ? 'Pause' : 'Play');
    this.#button.classList.toggle('playing', isPlaying);
    if (isPlaying) this.#follow();
  }

  #follow(): void {
    this.#showTime();
    if (!this.#audio.paused) requestAnimationFrame(() => this.#follow());
  }

  #showTime(): void {
    if (this.#panel.hidden) return;
    const { currentTime } = this.#audio;
    const [at, end] = [clockTime(currentTime), clockTime(this.#durationSeconds)];
    this.#position.value = String(currentTime);
    this.#position.setAttribute('aria-valuetext', `${at} of ${end}`);
    this.#clock.textContent = `${at} / ${end}`;
    const isUntouched = currentTime === 0 && this.#audio.paused;
    this.#onTime(isUntouched ? undefined : currentTime);
  }

  /** A step of the browser's own would be a hundredth of the way, or none. */
  #seekByKey(event: KeyboardEvent): void {
    const step = roundStep(this.#durationSeconds, STEPS_ACROSS);
    const { currentTime } = this.#audio;
    const target = {
      ArrowLeft: currentTime - step,
      ArrowRight: currentTime + step,
      Home: 0,
      End: this.#durationSeconds,
    }[event.key];
    if (target === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.seek(target);
  }

  /** Wherever the focus is, unless something there takes the key for itself. */
  #playByKey(event: KeyboardEvent): void {
    if (this.#panel.hidden || event.defaultPrevented) return;
    const focused = event.target instanceof Element ? event.target : document.body;
    const isRange = focused === this.#position;
    if (!isRange && focused.closest('button, input, select, textarea, summary, a, label')) return;
    if (event.key === ' ') {
      event.preventDefault();
      this.toggle();
    } else if (!isRange) {
      this.#seekByKey(event);
    }
  }
}
