import { byId } from './elements.js';

/** How far an answer is: sending, listening, over. */
export class Progress {
  readonly #panel = byId('progress', HTMLDivElement);
  readonly #bar = byId('bar', HTMLProgressElement);
  readonly #state = byId('state', HTMLParagraphElement);

  constructor(onCancel: () => void) {
    byId('cancel', HTMLButtonElement).addEventListener('click', onCancel);
  }

  start(): void {
    this.#panel.hidden = false;
    this.#bar.value = 0;
    this.say('Sending');
  }

  /** @param share of the upload, from 0 to 1; after it nobody knows how long it takes */
  sent(share: number): void {
    if (share < 1) {
      this.#bar.value = share;
      return;
    }
    this.#bar.removeAttribute('value');
    this.say('Listening');
  }

  end(words: string): void {
    this.#panel.hidden = true;
    this.say(words);
  }

  /** Screen readers say it too, so only what is new is written. */
  say(words: string): void {
    if (this.#state.textContent !== words) this.#state.textContent = words;
  }
}
