import { curlCommand } from './curl.js';
import { byId, create } from './elements.js';
import { eventsUrl, type Question, tagsUrl } from './service.js';
import type { Sound } from './sound.js';

/** How long "Copied" stays. */
const SAID_MS = 2000;

/** The questions of the page as commands to copy. */
export class CurlView {
  readonly #section = byId('curl-section', HTMLElement);
  readonly #commands = byId('commands', HTMLDivElement);
  readonly #save = byId('save', HTMLParagraphElement);
  #savedUrl: string | undefined;

  show(sound: Sound, question: Question, { hasKey }: { hasKey: boolean }): void {
    this.#section.hidden = false;
    const urls: [string, string][] = [
      ['Tags', tagsUrl(question)],
      ['Events', eventsUrl(question, 'json')],
    ];
    const blocks = urls.map(([name, url]) => {
      const fileUrl = sound.url === undefined ? undefined : absolute(sound.url);
      const request = { url: absolute(url), fileName: sound.name, fileUrl, hasKey };
      return toBlock(name, curlCommand(request));
    });
    this.#commands.replaceChildren(...blocks);
    this.#offerToSave(sound);
  }

  hide(): void {
    this.#section.hidden = true;
  }

  /** A recording is in no folder yet. */
  #offerToSave({ name, bytes, isRecording = false }: Sound): void {
    if (this.#savedUrl !== undefined) URL.revokeObjectURL(this.#savedUrl);
    this.#savedUrl = isRecording ? URL.createObjectURL(bytes) : undefined;
    this.#save.hidden = !isRecording;
    if (this.#savedUrl === undefined) return;
    const attributes = { href: this.#savedUrl, download: name };
    this.#save.replaceChildren(create('a', { text: `Save ${name}`, attributes }));
  }
}

const absolute = (url: string): string => new URL(url, document.baseURI).href;

function toBlock(name: string, command: string): HTMLDivElement {
  const code = create('code', { text: command });
  const text = create('pre', { children: [code] });
  const copy = create('button', {
    className: 'button',
    text: 'Copy',
    attributes: { type: 'button' },
  });
  copy.setAttribute('aria-label', `Copy the command for ${name.toLowerCase()}`);
  copy.addEventListener('click', async () => {
    copy.textContent = (await copied(code)) ? 'Copied' : 'Press Ctrl+C';
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, SAID_MS);
  });
  return create('div', {
    className: 'command',
    children: [create('h4', { text: name }), text, copy],
  });
}

/** Without https there is no clipboard to write to: the text is selected, and the visitor copies it. */
async function copied(element: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(element.textContent ?? '');
    return true;
  } catch {
    getSelection()?.selectAllChildren(element);
    return false;
  }
}
