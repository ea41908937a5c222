import { byId, create } from './elements.js';
import type { SoundEvent } from './service.js';
import { clockTime } from './time.js';
import type { Timeline } from './timeline.js';

/** So many are shown at first; the rest on request. */
const LANES_AT_FIRST = 12;

interface Lane {
  readonly label: string;
  readonly item: HTMLLIElement;
  readonly plot: HTMLDivElement;
  bestScore: number;
}

/** A lane for each label with its events on the timeline, growing while they come. */
export class Lanes {
  readonly #list = byId('lanes', HTMLOListElement);
  readonly #more = byId('more-lanes', HTMLButtonElement);
  readonly #timeline: Timeline;
  readonly #onPick: (seconds: number) => void;
  readonly #lanes = new Map<string, Lane>();

  /** @param onPick hears of the start of an event that was chosen, in seconds */
  constructor(timeline: Timeline, onPick: (seconds: number) => void) {
    this.#timeline = timeline;
    this.#onPick = onPick;
    this.#more.addEventListener('click', () => this.#showAll());
    this.#list.addEventListener('keydown', (event) => moveAmongEvents(event));
  }

  clear(): void {
    this.#lanes.clear();
    this.#list.replaceChildren();
    this.#list.classList.remove('all');
    this.#more.hidden = true;
  }

  add(event: SoundEvent): void {
    const lane = this.#laneOf(event);
    lane.bestScore = Math.max(lane.bestScore, event.score);
    lane.plot.append(this.#toButton(event, { isFirst: lane.plot.childElementCount === 0 }));
    this.#countHidden();
  }

  /** Puts the strongest first, once nothing moves any more. @returns the labels in that order */
  settle(): string[] {
    const best = [...this.#lanes.values()].toSorted((a, b) => b.bestScore - a.bestScore);
    this.#list.append(...best.map(({ item }) => item));
    return best.map(({ label }) => label);
  }

  /** Puts every event where it belongs after the scale has changed. */
  place(): void {
    for (const button of this.#list.querySelectorAll('button')) this.#place(button);
  }

  #laneOf({ label, mid }: SoundEvent): Lane {
    const known = this.#lanes.get(mid);
    if (known !== undefined) return known;
    const plot = create('div', { className: 'plot' });
    const name = create('span', { className: 'lane-name', text: label });
    const item = create('li', { className: 'lane', children: [name, plot] });
    this.#list.append(item);
    const lane = { label, item, plot, bestScore: 0 };
    this.#lanes.set(mid, lane);
    return lane;
  }

  #toButton(event: SoundEvent, { isFirst }: { isFirst: boolean }): HTMLButtonElement {
    const { label, start_seconds: start, end_seconds: end, score } = event;
    const times = `${clockTime(start)} to ${clockTime(end)}`;
    const text = `${label}, ${times}, score ${score.toFixed(2)}`;
    const button = create('button', {
      className: 'event',
      // One stop of the Tab key for each lane; arrow keys go on from there.
      attributes: {
        type: 'button',
        'aria-label': text,
        title: text,
        tabindex: isFirst ? '0' : '-1',
      },
    });
    Object.assign(button.dataset, { start, end });
    button.style.setProperty('--score', String(score));
    button.addEventListener('click', (click) => {
      click.stopPropagation();
      this.#onPick(start);
    });
    this.#place(button);
    return button;
  }

  #place(button: HTMLButtonElement): void {
    const { start, end } = button.dataset;
    button.style.left = this.#timeline.toPercent(Number(start));
    button.style.width = this.#timeline.toPercent(Number(end) - Number(start));
  }

  #countHidden(): void {
    const hidden = this.#lanes.size - LANES_AT_FIRST;
    this.#more.hidden = hidden <= 0 || this.#list.classList.contains('all');
    this.#more.textContent = `Show ${hidden} more`;
  }

  #showAll(): void {
    this.#list.classList.add('all');
    this.#more.hidden = true;
  }
}

/** Left and right within a lane. */
function moveAmongEvents(event: KeyboardEvent): void {
  const { target, key } = event;
  if (!(target instanceof HTMLButtonElement)) return;
  const next = {
    ArrowLeft: target.previousElementSibling,
    ArrowRight: target.nextElementSibling,
  }[key];
  if (!(next instanceof HTMLButtonElement)) return;
  event.preventDefault();
  target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
