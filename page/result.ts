import { CurlView } from './curl-view.js';
import { decodeSound } from './decode-sound.js';
import { byId, create } from './elements.js';
import { factsLine } from './facts.js';
import { Lanes } from './lanes.js';
import { assertFits } from './limits.js';
import { toPicture } from './picture.js';
import { PictureView } from './picture-view.js';
import { Player } from './player.js';
import { ProblemView } from './problem-view.js';
import { Progress } from './progress.js';
import type { Limits, Model, Question, Service, SoundEvent, Tagging } from './service.js';
import type { Sound } from './sound.js';
import { TagList } from './tag-list.js';
import { Timeline } from './timeline.js';

/** What a sound is heard with. */
export interface Ear {
  readonly question: Question;
  readonly model: Model | undefined;
  readonly limits: Limits | undefined;
}

/** Tags that are named in one line: so many, and none that scores less. */
const NAMED_TAGS = 3;
const LEAST_NAMED_SCORE = 0.1;

/** Everything about one sound: a new one drops the former, and what was asked about it. */
export class Result {
  readonly #section = byId('result', HTMLElement);
  readonly #name = byId('name', HTMLHeadingElement);
  readonly #facts = byId('facts', HTMLParagraphElement);
  readonly #warnings = byId('warnings', HTMLUListElement);
  readonly #servicePicture = byId('picture', HTMLImageElement);
  readonly #knows = byId('knows', HTMLParagraphElement);
  readonly #timeline = new Timeline((seconds) => this.#player.playFrom(seconds));
  readonly #player = new Player((seconds) => this.#timeline.showPlace(seconds));
  readonly #pictures = new PictureView();
  readonly #lanes = new Lanes(this.#timeline, (seconds) => this.#player.playFrom(seconds));
  readonly #tags = new TagList((seconds) => this.#player.playFrom(seconds));
  readonly #progress = new Progress(() => this.cancel());
  readonly #curl = new CurlView();
  readonly #problem: ProblemView;
  readonly #service: Service;
  #work = new AbortController();

  /** @param onAgain is called when the visitor wants the same once more */
  constructor(service: Service, onAgain: () => void) {
    this.#service = service;
    this.#problem = new ProblemView(onAgain);
  }

  /** Asks the service, and draws what the browser can tell by itself. */
  async hear(sound: Sound, ear: Ear): Promise<void> {
    this.#work.abort();
    this.#work = new AbortController();
    const { signal } = this.#work;
    this.#begin(sound);
    try {
      assertFits(sound, ear.limits);
      this.#progress.start();
      this.#curl.show(sound, ear.question, { hasKey: this.#service.hasKey });
      await Promise.all([this.#look(sound, ear, signal), this.#ask(sound, ear, signal)]);
    } catch (error) {
      if (signal.aborted) return;
      this.#work.abort();
      this.#progress.end('');
      this.#problem.show(error);
    }
  }

  cancel(): void {
    this.#work.abort();
    this.#progress.end('Cancelled');
  }

  #begin({ name }: Sound): void {
    this.#name.textContent = name;
    this.#facts.textContent = '';
    this.#warnings.replaceChildren();
    this.#knows.textContent = '';
    this.#problem.hide();
    this.#player.unload();
    this.#timeline.hide();
    this.#pictures.clear();
    this.#lanes.clear();
    this.#tags.clear();
    this.#curl.hide();
    this.#hideServicePicture();
    this.#progress.end('');
    this.#section.hidden = false;
    this.#name.focus();
  }

  /** Player and pictures: by the browser where it can, else by the service. */
  async #look({ bytes }: Sound, ear: Ear, signal: AbortSignal): Promise<void> {
    const toldSeconds = await this.#player.load(bytes);
    signal.throwIfAborted();
    if (toldSeconds !== undefined) this.#setDuration(toldSeconds);
    const decoded = await decodeSound(bytes, toldSeconds);
    signal.throwIfAborted();
    if (decoded === undefined) {
      this.#pictures.hide();
      await this.#showServicePicture(bytes, ear, signal);
      return;
    }
    const seconds = decoded.samples.length / decoded.sampleRate;
    const picture = await toPicture(decoded, signal);
    this.#setDuration(seconds);
    this.#pictures.show(picture, seconds);
  }

  async #ask({ bytes: body }: Sound, ear: Ear, signal: AbortSignal): Promise<void> {
    const onSent = sumOfTwo((bytes) => this.#progress.sent(bytes / (2 * body.size)));
    const [tagging, isTruncated] = await Promise.all([
      this.#service.askTags(ear.question, { body, signal, onSent: onSent(0) }).then((answer) => {
        this.#showTags(answer, ear);
        return answer;
      }),
      this.#service.streamEvents(ear.question, {
        body,
        signal,
        onSent: onSent(1),
        onEvent: (event) => this.#showEvent(event),
      }),
    ]);
    const labels = this.#lanes.settle();
    if (isTruncated)
      this.#warnings.append(create('li', { text: 'There are more events than shown' }));
    this.#progress.end(toWords(tagging, labels));
  }

  #showTags(tagging: Tagging, { model }: Ear): void {
    this.#facts.textContent = factsLine(tagging.audio);
    const warnings = tagging.audio.warnings.map((text) => create('li', { text }));
    this.#warnings.replaceChildren(...warnings);
    this.#setDuration(tagging.audio.duration_seconds);
    this.#tags.showTags(tagging.tags ?? []);
    if (model === undefined) return;
    const { id, num_trained_labels: trained, num_labels: all } = model;
    this.#knows.textContent = `${id} was trained on ${trained} of its ${all} labels. A score ranks what is heard; it is no probability.`;
  }

  #showEvent(event: SoundEvent): void {
    // Where nobody knows the length yet, the timeline grows with what is heard.
    if (event.end_seconds > this.#timeline.durationSeconds) this.#setDuration(event.end_seconds);
    this.#lanes.add(event);
    this.#tags.addEvent(event);
  }

  #setDuration(seconds: number): void {
    this.#timeline.show(seconds);
    this.#player.setDuration(seconds);
    this.#lanes.place();
  }

  async #showServicePicture(body: Blob, { question }: Ear, signal: AbortSignal): Promise<void> {
    const svg = await this.#service.askPicture(question, { body, signal });
    this.#servicePicture.src = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
    this.#servicePicture.hidden = false;
  }

  #hideServicePicture(): void {
    URL.revokeObjectURL(this.#servicePicture.src);
    this.#servicePicture.hidden = true;
  }
}

/** The sum of what two uploads have sent, from the bytes of each. */
function sumOfTwo(onSum: (bytes: number) => void) {
  const sent = [0, 0];
  return (which: 0 | 1) => (bytes: number) => {
    sent[which] = bytes;
    onSum(sent[0]! + sent[1]!);
  };
}

/** @param labels of events, the strongest first */
function toWords({ tags = [] }: Tagging, labels: readonly string[]): string {
  const named = tags.filter(({ score }) => score >= LEAST_NAMED_SCORE).map(({ label }) => label);
  const names = (of: readonly string[]) => of.slice(0, NAMED_TAGS).join(' · ');
  if (named.length > 0) return `Most likely: ${names(named)}`;
  if (labels.length > 0) return `At moments: ${names(labels)}`;
  return 'Nothing stands out that the model knows';
}
