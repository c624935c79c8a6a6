/** What the server counts, as Prometheus reads it. */

/** Upper bounds of the histogram of durations, in seconds. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const

export type Metrics = {
  readonly request: (path: string, status: number, seconds: number) => void
  readonly texts: (model: string, count: number, truncated: number) => void
  readonly tokens: (model: string, prompt: number, generated: number) => void
  /** @param gauges values of this moment, by name */
  readonly text: (gauges: Readonly<Record<string, number>>) => string
}

type Counts = Map<string, number>

export const openMetrics = (): Metrics => {
  const [requests, texts, truncated, promptTokens, generatedTokens]: readonly Counts[] = Array.from({ length: 5 }, () => new Map())
  const durations = new Map<string, { readonly buckets: number[]; sum: number; count: number }>()
  const add = (counts: Counts | undefined, labels: Readonly<Record<string, string>>, by: number): void => {
    const key = labelText(labels)
    counts?.set(key, (counts.get(key) ?? 0) + by)
  }
  return {
    request: (path, status, seconds) => {
      add(requests, { path, status: String(status) }, 1)
      const of = durations.get(path) ?? { buckets: bounds.map(() => 0), sum: 0, count: 0 }
      durations.set(path, of)
      bounds.forEach((bound, i) => {
        if (seconds <= bound) of.buckets[i] = (of.buckets[i] ?? 0) + 1
      })
      of.sum += seconds
      of.count += 1
    },
    texts: (model, count, longer) => {
      add(texts, { model }, count)
      add(truncated, { model }, longer)
    },
    tokens: (model, prompt, generated) => {
      add(promptTokens, { model }, prompt)
      add(generatedTokens, { model }, generated)
    },
    text: (gauges) =>
      [
        ...counter('salora_requests_total', 'Requests by path and status.', requests),
        ...histogram(durations),
        ...counter('salora_texts_total', 'Texts that were classified.', texts),
        ...counter('salora_truncated_texts_total', 'Texts that were longer than the model reads.', truncated),
        ...counter('salora_prompt_tokens_total', 'Tokens of prompts.', promptTokens),
        ...counter('salora_generated_tokens_total', 'Generated tokens.', generatedTokens),
        ...Object.entries(gauges).flatMap(([name, value]) => [`# TYPE ${name} gauge`, `${name} ${value}`]),
        '',
      ].join('\n'),
  }
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
    .join(',')

const counter = (name: string, help: string, counts: Counts | undefined): readonly string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} counter`,
  ...[...(counts ?? [])].map(([labels, value]) => `${name}{${labels}} ${value}`),
]

const histogram = (
  durations: ReadonlyMap<string, { readonly buckets: readonly number[]; readonly sum: number; readonly count: number }>,
): readonly string[] => {
  const name = 'salora_request_seconds'
  return [
    `# HELP ${name} Duration of requests.`,
    `# TYPE ${name} histogram`,
    ...[...durations].flatMap(([path, { buckets, sum, count }]) => [
      ...bounds.map((bound, i) => `${name}_bucket{${labelText({ path, le: String(bound) })}} ${buckets[i] ?? 0}`),
      `${name}_bucket{${labelText({ path, le: '+Inf' })}} ${count}`,
      `${name}_sum{${labelText({ path })}} ${sum}`,
      `${name}_count{${labelText({ path })}} ${count}`,
    ]),
  ]
}
