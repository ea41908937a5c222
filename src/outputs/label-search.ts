import { distance } from 'fastest-levenshtein';
import type { Label } from '../inference/model-card.js';

/** Of a name that is suggested, one letter of three may be wrong. */
const MAX_WRONG_SHARE = 1 / 3;
/** Longer than any name: not worth comparing. */
const MAX_CHARACTERS = 100;

/** A name as it is compared: without case, accents and outer spaces, one space after each comma. */
export function toComparable(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/ ?, ?/g, ', ')
    .trim();
}

/**
 * Whether a label is meant by a search: each word of the text starts a word of the name, or the text
 * is the MID.
 */
export function isFoundBy({ name, mid }: Pick<Label, 'name' | 'mid'>, text: string): boolean {
  if (text.trim() === mid) return true;
  const words = wordsOf(name);
  const wanted = wordsOf(text);
  return wanted.length > 0 && wanted.every((start) => words.some((word) => word.startsWith(start)));
}

/** Labels that a misspelt or unknown name may have meant, the nearest first. */
export function nearLabels(labels: readonly Label[], text: string, max = 3): Label[] {
  if (text.length > MAX_CHARACTERS) return [];
  const wanted = [toComparable(text), ...wordsOf(text).filter((word) => word.length > 2)];
  return labels
    .map((label) => ({ label, wrong: wrongShare(label, wanted) }))
    .filter(({ wrong }) => wrong <= MAX_WRONG_SHARE)
    .sort((a, b) => a.wrong - b.wrong || a.label.classIndex - b.label.classIndex)
    .slice(0, max)
    .map(({ label }) => label);
}

/** Least share of letters that differ between one of the texts and a name or a part of it. */
function wrongShare({ name, mid }: Label, texts: readonly string[]): number {
  const comparable = toComparable(name);
  const parts = [comparable, mid.toLowerCase(), ...comparable.split(', '), ...wordsOf(name)];
  return Math.min(
    ...parts.flatMap((part) =>
      texts.map((text) => distance(part, text) / Math.max(part.length, 1)),
    ),
  );
}

function wordsOf(text: string): string[] {
  return toComparable(text).match(/[\p{L}\p{N}]+/gu) ?? [];
}
