import { byId, create } from './elements.js';
import type { SoundEvent, Tag } from './service.js';
import { clockTime } from './time.js';

interface Row {
  readonly label: string;
  readonly score: number;
  /** Where it is strongest, in seconds. */
  readonly peakSeconds?: number | undefined;
}

/** Tags with their scores, the best first. While events come, what they show so far. */
export class TagList {
  readonly #section = byId('tags-section', HTMLElement);
  readonly #title = byId('tags-title', HTMLHeadingElement);
  readonly #list = byId('tags', HTMLOListElement);
  readonly #onPick: (seconds: number) => void;
  readonly #soFar = new Map<string, SoundEvent>();
  #isAnswered = false;

  /** @param onPick hears of the place of a tag that was chosen, in seconds */
  constructor(onPick: (seconds: number) => void) {
    this.#onPick = onPick;
  }

  clear(): void {
    this.#soFar.clear();
    this.#isAnswered = false;
    this.#section.hidden = true;
    this.#list.replaceChildren();
  }

  addEvent(event: SoundEvent): void {
    const best = this.#soFar.get(event.mid);
    if (best === undefined || event.score > best.score) this.#soFar.set(event.mid, event);
    if (this.#isAnswered) return;
    const rows = [...this.#soFar.values()].map(({ label, score, start_seconds: start }) => ({
      label,
      score,
      peakSeconds: start,
    }));
    this.#show('Heard so far', rows);
  }

  showTags(tags: readonly Tag[]): void {
    this.#isAnswered = true;
    const rows = tags.map(({ label, score, peak }) => ({
      label,
      score,
      peakSeconds: peak?.start_seconds,
    }));
    this.#show('Heard', rows);
  }

  #show(title: string, rows: readonly Row[]): void {
    this.#section.hidden = false;
    this.#title.textContent = title;
    const best = rows.toSorted((a, b) => b.score - a.score);
    this.#list.replaceChildren(...best.map((row) => this.#toItem(row)));
  }

  #toItem({ label, score, peakSeconds }: Row): HTMLLIElement {
    const fill = create('span', { className: 'fill' });
    fill.style.width = `${100 * score}%`;
    const bar = create('span', { className: 'bar', children: [fill] });
    bar.setAttribute('aria-hidden', 'true');
    const children: Node[] = [
      create('span', { className: 'tag-name', text: label }),
      bar,
      create('span', { className: 'score', text: score.toFixed(2) }),
    ];
    if (peakSeconds !== undefined) children.push(this.#toPeak(label, peakSeconds));
    return create('li', { children });
  }

  #toPeak(label: string, seconds: number): HTMLButtonElement {
    const text = clockTime(seconds);
    const attributes = { type: 'button', 'aria-label': `${label} is strongest at ${text}, play` };
    const button = create('button', { className: 'button plain', text, attributes });
    button.addEventListener('click', () => this.#onPick(seconds));
    return button;
  }
}
