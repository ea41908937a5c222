import { expect, it } from 'vitest';
import { TextTail } from '../../src/inference/text-tail.js';

it('keeps the last bytes, however they come in', () => {
  const text = 'first line\nsecond line\nlast line\n';
  for (const pieceBytes of [1, 3, 100]) {
    const tail = new TextTail(16);
    for (let i = 0; i < text.length; i += pieceBytes)
      tail.push(Buffer.from(text.slice(i, i + pieceBytes)));
    expect(tail.text()).toBe(text.slice(-16));
  }
});
