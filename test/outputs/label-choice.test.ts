import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ServiceError } from '../../src/errors.js';
import type { ModelCard } from '../../src/inference/model-card.js';
import { resolveLabels } from '../../src/outputs/label-choice.js';
import { tinyCard } from '../inference/tiny-model.js';

let card: ModelCard;
beforeAll(async () => {
  card = await tinyCard();
});

const namesOf = (values: string[]) => resolveLabels(card, values).map(({ name }) => name);

function problemOf(values: string[], parameter?: string): ServiceError {
  try {
    resolveLabels(card, values, parameter);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error('Expected a ServiceError');
}

describe('resolveLabels', () => {
  it.each([
    [['Dog'], ['Dog']],
    [
      ['dog', 'CAT'],
      ['Dog', 'Cat'],
    ],
    [['/m/0bt9lr'], ['Dog']],
    [['Dog, cat ,/m/09x0r'], ['Dog', 'Cat', 'Speech']],
    [['Chewing, mastication'], ['Chewing, mastication']],
    [['Dog,chewing,mastication,Speech'], ['Dog', 'Chewing, mastication', 'Speech']],
    [['Dog', 'Dog,/m/0bt9lr'], ['Dog']],
  ])('%j names %j', (values, names) => {
    expect(namesOf(values)).toEqual(names);
  });

  it('finds every label again, in any order, by MID and by name, alone and in one list', () => {
    fc.assert(
      fc.property(
        fc.subarray([...card.labels], { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.boolean()),
        (labels, byMid) => {
          const values = labels.map((label) => (byMid.next().value ? label.mid : label.name));
          expect(resolveLabels(card, values)).toEqual(labels);
          expect(resolveLabels(card, [values.join(',')])).toEqual(labels);
        },
      ),
    );
  });

  it('has no name that could be read as two others', () => {
    const names = new Set(card.labels.map(({ name }) => name.toLowerCase()));
    const ambiguous = card.labels.filter(
      ({ name }) => name.includes(',') && name.split(',').some((part) => names.has(part.trim())),
    );
    expect(ambiguous.map(({ name }) => name)).toEqual([]);
  });

  it('refuses what it does not know by name, with what may have been meant', () => {
    const problem = problemOf(['Dog,Syntesizer'], 'exclude_labels');
    expect(problem.code).toBe('invalid_value');
    expect(problem.message).toContain('Expected MIDs or names of labels of tiny, got "Syntesizer"');
    expect(problem.extensions.suggestions).toContain('Synthesizer');
    expect(problem.extensions.errors).toMatchObject([{ parameter: 'exclude_labels' }]);
    expect(problemOf(['mastication']).extensions.suggestions).toEqual(['Chewing, mastication']);
    expect(problemOf(['x'.repeat(9000)]).message.length).toBeLessThan(200);
  });

  it.each([[['']], [['Dog,']], [[',']], [['/m/nothing']]])('refuses %j', (values) => {
    expect(problemOf(values).code).toBe('invalid_value');
  });
});
