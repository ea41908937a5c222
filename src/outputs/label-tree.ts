import type { Label } from '../inference/model-card.js';
import type { Ontology } from '../ontology/ontology.js';

/** A label or a heading, with what is below it. */
export interface LabelTreeNode {
  readonly mid: string;
  readonly name: string;
  /** Undefined for a heading that is no label. */
  readonly label: Label | undefined;
  readonly children: readonly LabelTreeNode[];
}

/**
 * The ontology from its roots down to these labels; what leads to none of them is left out.
 *
 * A label with several parents stands under each of them, and one that the ontology does not know at
 * the end, by itself.
 */
export function labelTree(labels: readonly Label[], ontology: Ontology): LabelTreeNode[] {
  const byMid = new Map(labels.map((label) => [label.mid, label]));
  const build = (mid: string): LabelTreeNode[] => {
    const node = ontology.get(mid);
    const label = byMid.get(mid);
    const children = (node?.children ?? []).flatMap(build);
    const name = node?.name ?? label?.name;
    if (name === undefined || (label === undefined && children.length === 0)) return [];
    return [{ mid, name, label, children }];
  };
  const roots = ontology.nodes.filter(({ parents }) => parents.length === 0);
  const strangers = labels.filter(({ mid }) => ontology.get(mid) === undefined);
  return [...roots, ...strangers].flatMap(({ mid }) => build(mid));
}
