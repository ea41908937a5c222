import { byId } from './elements.js';
import type { Sound } from './sound.js';

/** Takes a file by choice, drop or paste; the whole page is the target. */
export function openDropZone({
  onSound,
  onNotice,
}: {
  onSound: (sound: Sound) => void;
  onNotice: (text: string) => void;
}): void {
  const input = byId('file', HTMLInputElement);
  const zone = byId('drop', HTMLElement);
  const take = (files: FileList | null | undefined) => {
    const [file, ...others] = files ?? [];
    if (file === undefined) return;
    onSound({ name: file.name, bytes: file });
    if (others.length > 0) onNotice(`One sound at a time: this is ${file.name}.`);
  };
  input.addEventListener('change', () => {
    take(input.files);
    // So that the same file can be chosen again.
    input.value = '';
  });
  document.addEventListener('paste', ({ clipboardData }) => take(clipboardData?.files));
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over-it');
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => {
    if (relatedTarget === null) zone.classList.remove('over-it');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over-it');
    take(event.dataTransfer?.files);
  });
}
