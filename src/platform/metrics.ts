/** Prometheus metrics of one server: a registry of its own, so several servers fit in one process. */
import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from "prom-client";

/** Values of a metric's labels, by their names. */
export type Labels<Name extends string> = Readonly<Record<Name, string>>;

/** A number that only grows. */
export interface CounterMetric<Name extends string> {
  /** Adds `by`, 1 unless told. */
  increase(...args: [Name] extends [never] ? [by?: number] : [labels: Labels<Name>, by?: number]): void;
}

/** A number that goes up and down. */
export interface GaugeMetric<Name extends string> {
  set(...args: [Name] extends [never] ? [value: number] : [labels: Labels<Name>, value: number]): void;
}

/** Observations in buckets; seconds unless the name says otherwise. */
export interface HistogramMetric<Name extends string> {
  observe(...args: [Name] extends [never] ? [value: number] : [labels: Labels<Name>, value: number]): void;
}

/** Everything that one process measured, as it can be sent to another one. */
export type MetricValues = readonly MetricObjectWithValues<MetricValue<string>>[];

/** What several processes make of a gauge: what they have together, or the worst of it. */
export type Combining = "sum" | "min";

/** Makes metrics and writes them out. Names begin with `sotto_`; asking for one twice gives the same. */
export interface Metrics {
  counter<Name extends string = never>(name: string, help: string, labels?: readonly Name[]): CounterMetric<Name>;
  gauge<Name extends string = never>(name: string, help: string, labels?: readonly Name[]): GaugeMetric<Name>;
  /** A gauge that is asked when it is written out; `combining`: see {@link sumMetrics}, standard `sum`. */
  measured(name: string, help: string, read: () => number, combining?: Combining): void;
  histogram<Name extends string = never>(
    name: string,
    help: string,
    labels?: readonly Name[],
    buckets?: readonly number[],
  ): HistogramMetric<Name>;
  /** Everything, in Prometheus' text format. */
  text(): Promise<string>;
  /** Everything, for {@link sumMetrics}. */
  values(): Promise<MetricValues>;
}

/** Kinds of metrics that may not fall, as their readers take a fall for a new beginning. */
const LASTING: ReadonlySet<string> = new Set(["counter", "histogram"]);
/** From a millisecond to ten seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Makes an empty registry, with the process' own metrics. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  function once<T>(name: string, make: () => T): T {
    return (registry.getSingleMetric(name) as T | undefined) ?? make();
  }

  return {
    counter(name, help, labels = []) {
      const metric = once(name, () => new Counter({ name, help, labelNames: [...labels], registers: [registry] }));
      return {
        increase: (...[first, by]) => (typeof first === "object" ? metric.inc(first, by ?? 1) : metric.inc(first ?? 1)),
      };
    },
    gauge(name, help, labels = []) {
      const metric = once(name, () => new Gauge({ name, help, labelNames: [...labels], registers: [registry] }));
      return {
        set: (...[first, value]) => (typeof first === "object" ? metric.set(first, value ?? 0) : metric.set(first)),
      };
    },
    measured(name, help, read, combining = "sum") {
      once(
        name,
        () =>
          new Gauge({
            name,
            help,
            registers: [registry],
            aggregator: combining,
            collect() {
              this.set(read());
            },
          }),
      );
    },
    histogram(name, help, labels = [], buckets = SECONDS) {
      const metric = once(
        name,
        () => new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] }),
      );
      return {
        observe: (...[first, value]) =>
          typeof first === "object" ? metric.observe(first, value ?? 0) : metric.observe(first),
      };
    },
    text: () => registry.metrics(),
    values: () => registry.getMetricsAsJSON(),
  };
}

/**
 * What several processes measured together: sums of counters, histograms and gauges. Not summed are
 * gauges that say otherwise, the event loop's delays (averages, the least and the greatest) and the
 * version of the runtime; the time of a process' start is left out.
 */
export function sumMetrics(all: readonly MetricValues[]): Pick<Metrics, "text" | "values"> {
  const registry = AggregatorRegistry.aggregate(all.map((values) => [...values]));
  return { text: () => registry.metrics(), values: () => registry.getMetricsAsJSON() };
}

/** Of the measurements of a process that is gone, what it leaves to the sums: what only grows. */
export function lastingValues(values: MetricValues): MetricValues {
  return values.filter(({ type }) => LASTING.has(String(type)));
}
