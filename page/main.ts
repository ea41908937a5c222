/** The page at `/`: puts its parts together. */
import { offerDemoSounds } from './demo-sounds.js';
import { openDropZone } from './drop-zone.js';
import { byId } from './elements.js';
import { showLimits } from './limits.js';
import { Options } from './options.js';
import { ProblemError } from './problem.js';
import { openRecordButton } from './record-button.js';
import { Result } from './result.js';
import { type Limits, Service } from './service.js';
import type { Sound } from './sound.js';

const UNREACHED = 'The service did not say what it can do. Does it still run?';
const notice = byId('notice', HTMLParagraphElement);
const service = new Service();
const result = new Result(service, () => hearAgain());
const options = new Options(service, () => void ask().then(hearAgain));
let limits: Limits | undefined;
let latest: Sound | undefined;

openDropZone({ onSound: hear, onNotice });
offerDemoSounds({ onSound: hear, onNotice });
openRecordButton({ limits: () => limits, onSound: hear, onNotice });
await Promise.all([ask(), linkToDocs()]);

/** What the service takes and knows. */
async function ask(): Promise<void> {
  try {
    [limits] = await Promise.all([service.limits(), options.load()]);
    notice.hidden = true;
    showLimits(limits);
  } catch (error) {
    const isLocked = error instanceof ProblemError && error.problem.status === 401;
    if (isLocked) options.askForKey();
    onNotice(isLocked ? 'This service answers to those who have a key.' : UNREACHED);
  }
}

/** They may be switched off. */
async function linkToDocs(): Promise<void> {
  const link = byId('docs', HTMLAnchorElement);
  link.hidden = await fetch(link.href, { method: 'HEAD' }).then(
    ({ ok }) => !ok,
    () => true,
  );
}

function hear(sound: Sound): void {
  notice.hidden = true;
  latest = sound;
  document.body.classList.add('has-result');
  const { question, model } = options;
  void result.hear(sound, { question, model, limits });
}

function hearAgain(): void {
  if (latest !== undefined) hear(latest);
}

function onNotice(text: string): void {
  notice.textContent = text;
  notice.hidden = false;
}
