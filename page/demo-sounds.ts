import { byId, create } from './elements.js';
import type { Sound } from './sound.js';

/** CC0 recordings that come with the page; who made them stands in sounds/ATTRIBUTION.csv. */
const DEMOS = [
  { text: 'a morning', file: 'morning.ogg' },
  { text: 'a dog', file: 'dog.ogg' },
  { text: 'a baby', file: 'baby.ogg' },
];

/** Sounds to try at once. */
export function offerDemoSounds({
  onSound,
  onNotice,
}: {
  onSound: (sound: Sound) => void;
  onNotice: (text: string) => void;
}): void {
  const buttons = DEMOS.map(({ text, file }) => {
    const url = `page/sounds/${file}`;
    const button = create('button', {
      className: 'button plain',
      text,
      attributes: { type: 'button' },
    });
    button.addEventListener('click', async () => {
      try {
        onSound({ name: file, bytes: await fetchSound(url), url });
      } catch {
        onNotice(`${file} could not be fetched. Does the service still run?`);
      }
    });
    return button;
  });
  byId('demos', HTMLParagraphElement).append(...buttons);
}

async function fetchSound(url: string): Promise<Blob> {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`Expected a sound, got status ${reply.status}`);
  return reply.blob();
}
