import { byId, create } from './elements.js';
import type { Label, Model, Question, Service } from './service.js';

/** Which model is asked, and for which labels. */
export class Options {
  readonly #select = byId('model', HTMLSelectElement);
  readonly #input = byId('label', HTMLInputElement);
  readonly #known = byId('labels', HTMLDataListElement);
  readonly #chips = byId('chosen', HTMLUListElement);
  readonly #key = byId('key', HTMLInputElement);
  readonly #service: Service;
  readonly #onChange: () => void;
  #models: readonly Model[] = [];
  #labels: readonly Label[] = [];
  readonly #chosen = new Map<string, Label>();

  /** @param onChange hears that the question is another one now */
  constructor(service: Service, onChange: () => void) {
    this.#service = service;
    this.#onChange = onChange;
    this.#select.addEventListener('change', () => this.#changeModel());
    byId('label-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#add(this.#input.value);
    });
    byId('key-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#service.useKey(this.#key.value.trim());
      this.#onChange();
    });
  }

  /** Asks for the key that the service wants. */
  askForKey(): void {
    byId('key-form', HTMLFormElement).hidden = false;
    byId('options', HTMLDetailsElement).open = true;
    this.#key.focus();
  }

  /** Asks the service for its models, and for the labels of the one that is chosen. */
  async load(): Promise<void> {
    const chosen = this.#select.value;
    this.#models = await this.#service.models();
    const choices = this.#models.map(
      ({ id, default: isDefault }) => new Option(id, id, isDefault, isDefault),
    );
    this.#select.replaceChildren(...choices);
    if (this.#models.some(({ id }) => id === chosen)) this.#select.value = chosen;
    byId('model-field', HTMLParagraphElement).hidden = this.#models.length < 2;
    await this.#loadLabels();
  }

  get question(): Question {
    return { model: this.#namedModel, labels: [...this.#chosen.keys()] };
  }

  get model(): Model | undefined {
    return this.#models.find(({ id }) => id === this.#select.value);
  }

  /** The default one needs no name. */
  get #namedModel(): string | undefined {
    return this.model?.default === false ? this.model.id : undefined;
  }

  async #loadLabels(): Promise<void> {
    this.#labels = await this.#service.labels(this.#namedModel);
    const names = this.#labels.map(({ label }) => label).toSorted((a, b) => a.localeCompare(b));
    this.#known.replaceChildren(...names.map((name) => new Option('', name)));
  }

  #changeModel(): void {
    // Another model may not know them.
    this.#chosen.clear();
    this.#showChips();
    this.#onChange();
  }

  #add(text: string): void {
    const wanted = text.trim().toLowerCase();
    const label = this.#labels.find((each) => each.label.toLowerCase() === wanted);
    const isUnknown = label === undefined && wanted !== '';
    this.#input.setCustomValidity(
      isUnknown ? 'Not a label of this model: choose from the list' : '',
    );
    this.#input.reportValidity();
    this.#input.addEventListener('input', () => this.#input.setCustomValidity(''), { once: true });
    if (label === undefined) return;
    this.#input.value = '';
    this.#chosen.set(label.mid, label);
    this.#showChips();
    this.#onChange();
  }

  #showChips(): void {
    const chips = [...this.#chosen.values()].map(({ mid, label }) => {
      const attributes = { type: 'button', 'aria-label': `Remove ${label}` };
      const button = create('button', { className: 'button chip', text: `${label} ×`, attributes });
      button.addEventListener('click', () => {
        this.#chosen.delete(mid);
        this.#showChips();
        this.#input.focus();
        this.#onChange();
      });
      return create('li', { children: [button] });
    });
    this.#chips.replaceChildren(...chips);
  }
}
