import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Bounds of everything shorter than a request. */
export const STAGE_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

interface Family<Label extends string> {
  /** Without the prefix `earshot_`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
}

/** A number that only grows. */
export function counter<Label extends string>(
  registry: Registry,
  family: Family<Label>,
): Counter<Label> {
  return new Counter({ ...named(registry, family), labelNames: [...(family.labels ?? [])] });
}

/** A number that goes up and down. */
export function gauge<Label extends string>(
  registry: Registry,
  family: Family<Label>,
): Gauge<Label> {
  return new Gauge({ ...named(registry, family), labelNames: [...(family.labels ?? [])] });
}

/** A 0 or 1 that is asked for at every scrape. */
export function flag(registry: Registry, family: Family<never>, isSet: () => boolean): void {
  new Gauge({
    ...named(registry, family),
    collect() {
      this.set(isSet() ? 1 : 0);
    },
  });
}

/** Counts of observations up to each bound. */
export function histogram<Label extends string>(
  registry: Registry,
  family: Family<Label> & { readonly buckets: readonly number[] },
): Histogram<Label> {
  return new Histogram({
    ...named(registry, family),
    buckets: [...family.buckets],
    labelNames: [...(family.labels ?? [])],
  });
}

function named(registry: Registry, { name, help }: Family<string>) {
  return { name: `earshot_${name}`, help, registers: [registry] };
}
