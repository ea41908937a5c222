/** A kind of sound, or a heading over several. */
export interface OntologyNode {
  readonly mid: string;
  readonly name: string;
  readonly description: string;
  /** MIDs of what it is a kind of: often one, sometimes several, none for a root. */
  readonly parents: readonly string[];
  readonly children: readonly string[];
  /** `abstract`: a heading only; `blacklist`: too vague to be labelled. */
  readonly restrictions: readonly string[];
}

/** What kind of sound is what: a directed graph without circles. MIDs that it does not know have no relatives. */
export interface Ontology {
  /** In the order of its file. */
  readonly nodes: readonly OntologyNode[];
  get(mid: string): OntologyNode | undefined;
  /** All that it is a kind of, itself left out. */
  ancestors(mid: string): ReadonlySet<string>;
  /** All that are kinds of it, itself left out. */
  descendants(mid: string): ReadonlySet<string>;
}

/** @throws Error that names a node without a place: a child that is not there, or one below itself */
export function createOntology(given: readonly Omit<OntologyNode, 'parents'>[]): Ontology {
  const parents = parentsOf(given);
  const nodes = given.map((node) => ({ ...node, parents: parents.get(node.mid) ?? [] }));
  const byMid = new Map(nodes.map((node) => [node.mid, node]));
  const reach = (mid: string, way: 'parents' | 'children') =>
    reachable(mid, (each) => byMid.get(each)?.[way] ?? []);
  for (const { mid, children } of nodes) {
    const lost = children.find((child) => !byMid.has(child));
    if (lost !== undefined)
      throw new Error(`Ontology: ${mid} has a child ${lost} that is not there`);
    if (reach(mid, 'children').has(mid)) throw new Error(`Ontology: ${mid} is below itself`);
  }
  return {
    nodes,
    get: (mid) => byMid.get(mid),
    ancestors: (mid) => reach(mid, 'parents'),
    descendants: (mid) => reach(mid, 'children'),
  };
}

function parentsOf(nodes: readonly Omit<OntologyNode, 'parents'>[]): Map<string, string[]> {
  const parents = new Map<string, string[]>();
  for (const { mid, children } of nodes) {
    for (const child of children) parents.set(child, [...(parents.get(child) ?? []), mid]);
  }
  return parents;
}

function reachable(start: string, next: (mid: string) => readonly string[]): Set<string> {
  const seen = new Set<string>();
  const waiting = [...next(start)];
  for (let mid = waiting.pop(); mid !== undefined; mid = waiting.pop()) {
    if (seen.has(mid)) continue;
    seen.add(mid);
    waiting.push(...next(mid));
  }
  return seen;
}
