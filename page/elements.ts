/**
 * The element of index.html with this id.
 *
 * @throws Error when it is not there or of another kind
 */
export function byId<T extends Element>(id: string, kind: abstract new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`Expected a ${kind.name} with the id ${id}, got ${String(element)}`);
}

interface Parts {
  readonly className?: string;
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly children?: readonly Node[];
}

/** A new element. Text is text: what a file or the service says is never read as HTML. */
export function create<K extends keyof HTMLElementTagNameMap>(
  name: K,
  { className, text, attributes = {}, children = [] }: Parts = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  if (className !== undefined) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
