import { byId, create } from './elements.js';
import type { SoundEvent, Tag } from './service.js';
import { clockTime } from './time.js';

interface Row {
  readonly label: string;
  readonly score: number;
  /** Where it can be heard. */
  readonly playSeconds: number | undefined;
}

/** Tags with their scores, the best first. While events come, what they show so far. */
export class TagList {
  readonly #section = byId('tags-section', HTMLElement);
  readonly #title = byId('tags-title', HTMLHeadingElement);
  readonly #list = byId('tags', HTMLOListElement);
  readonly #onPick: (seconds: number) => void;
  /** The best event of each label, by MID. */
  readonly #events = new Map<string, SoundEvent>();
  /** Undefined until the service has answered. */
  #tags: readonly Tag[] | undefined;

  /** @param onPick hears of the place of a tag that was chosen, in seconds */
  constructor(onPick: (seconds: number) => void) {
    this.#onPick = onPick;
  }

  clear(): void {
    this.#events.clear();
    this.#tags = undefined;
    this.#section.hidden = true;
    this.#list.replaceChildren();
  }

  addEvent(event: SoundEvent): void {
    const best = this.#events.get(event.mid);
    if (best !== undefined && best.score >= event.score) return;
    this.#events.set(event.mid, event);
    this.#show();
  }

  showTags(tags: readonly Tag[]): void {
    this.#tags = tags;
    this.#show();
  }

  #show(): void {
    this.#section.hidden = false;
    this.#title.textContent = this.#tags === undefined ? 'Heard so far' : 'Heard';
    const rows =
      this.#tags?.map((tag) => this.#toRow(tag)) ?? [...this.#events.values()].map(soFar);
    const best = rows.toSorted((a, b) => b.score - a.score);
    this.#list.replaceChildren(...best.map((row) => this.#toItem(row)));
  }

  /** It is played from the start of its best event; without one, from its strongest row. */
  #toRow({ label, mid, score, peak }: Tag): Row {
    const playSeconds = this.#events.get(mid)?.start_seconds ?? peak?.start_seconds;
    return { label, score, playSeconds };
  }

  #toItem({ label, score, playSeconds }: Row): HTMLLIElement {
    const fill = create('span', { className: 'fill' });
    fill.style.width = `${100 * score}%`;
    const bar = create('span', { className: 'bar', children: [fill] });
    bar.setAttribute('aria-hidden', 'true');
    const children: Node[] = [
      create('span', { className: 'tag-name', text: label }),
      bar,
      create('span', { className: 'score', text: score.toFixed(2) }),
    ];
    if (playSeconds !== undefined) children.push(this.#toPlace(label, playSeconds));
    return create('li', { children });
  }

  #toPlace(label: string, seconds: number): HTMLButtonElement {
    const text = clockTime(seconds);
    const attributes = { type: 'button', 'aria-label': `${label} is heard at ${text}, play` };
    const button = create('button', { className: 'button plain', text, attributes });
    button.addEventListener('click', () => this.#onPick(seconds));
    return button;
  }
}

const soFar = ({ label, score, start_seconds: playSeconds }: SoundEvent): Row => ({
  label,
  score,
  playSeconds,
});
