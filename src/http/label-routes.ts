import type { RequestHandler } from 'express';
import type { Label } from '../inference/model-card.js';
import type { ModelRegistry } from '../inference/model-registry.js';
import type { Ontology } from '../ontology/ontology.js';
import { isFoundBy } from '../outputs/label-search.js';
import { type LabelTreeNode, labelTree } from '../outputs/label-tree.js';
import type { components } from './openapi-types.js';
import type { ParametersOf, ParseParameters } from './parameters.js';

type Schemas = components['schemas'];

export interface LabelRouteDeps {
  readonly registry: ModelRegistry;
  readonly ontology: Ontology;
  readonly parseParameters: ParseParameters;
}

/** GET /v1/labels */
export function listLabelsRoute(deps: LabelRouteDeps): RequestHandler {
  const { registry, ontology, parseParameters } = deps;
  return (request, response) => {
    const parameters = parseParameters('listLabels', request.query);
    const { card } = registry.get(parameters.model);
    const found = card.labels.filter((label) => isWanted(label, parameters));
    const summary = { model: card.name, total: found.length };
    const isTree = parameters.tree === '1' || parameters.tree === 'true';
    const reply: Schemas['LabelList'] | Schemas['LabelTree'] = isTree
      ? { object: 'tree', ...summary, data: labelTree(found, ontology).map(toTreeNode) }
      : { object: 'list', ...summary, data: found.map((label) => toLabel(label, ontology)) };
    response.json(reply);
  };
}

function isWanted(label: Label, { q, mid, trained }: ParametersOf<'listLabels'>): boolean {
  if (trained !== undefined && label.trained !== trained) return false;
  if (mid !== undefined && label.mid !== mid) return false;
  return q === undefined || isFoundBy(label, q);
}

function toLabel(label: Label, ontology: Ontology): Schemas['Label'] {
  const node = ontology.get(label.mid);
  return {
    label: label.name,
    mid: label.mid,
    description: node?.description ?? null,
    class_index: label.classIndex,
    trained: label.trained,
    positives: label.positives,
    average_precision: label.averagePrecision,
    threshold: label.threshold,
    parents: [...(node?.parents ?? [])],
    children: [...(node?.children ?? [])],
  };
}

function toTreeNode({ mid, name, label, children }: LabelTreeNode): Schemas['LabelTreeNode'] {
  return {
    label: name,
    mid,
    class_index: label?.classIndex ?? null,
    trained: label?.trained ?? false,
    children: children.map(toTreeNode),
  };
}
