/**
 * The pure rooms that StrykerJS mutates, each with the tests that answer for it. They run in process, since a spawned program is not mutated, and read
 * no sources, which hold all mutants at once.
 */

export type Room = { readonly sources: readonly string[]; readonly tests: readonly string[] }

const property = (...names: readonly string[]): readonly string[] => names.map((name) => `property-tests/property/${name}.test.ts`)
const agreement = (...names: readonly string[]): readonly string[] => names.map((name) => `property-tests/agreement/${name}.test.ts`)
const golden = (...names: readonly string[]): readonly string[] => names.map((name) => `property-tests/golden/${name}.test.ts`)

export const rooms: Readonly<Record<string, Room>> = {
  reference: {
    sources: ['reference'],
    tests: [...property('reference/!(imports)'), ...agreement('gateControl', 'initialization', 'retention', 'schedules', 'equations')],
  },
  graph: {
    sources: ['accelerated/graph'],
    tests: property('graph/!(liveness)'),
  },
  methods: {
    sources: ['accelerated/methods'],
    tests: [
      ...property(
        'accelerated/adalora',
        'accelerated/bottleneck',
        'accelerated/virtualTokens',
        'accelerated/trainedNumbers',
        'accelerated/settingsInput',
        'accelerated/methodReporting',
      ),
      ...agreement('gateControl', 'initialization', 'retention', 'schedules', 'step', 'finiteChecks', 'run', 'runState', 'steps', 'train'),
      ...golden('gated', 'adalora'),
    ],
  },
  precisions: {
    sources: ['accelerated/precisions'],
    tests: [
      ...property(
        'accelerated/int8',
        'accelerated/quantizedRuns',
        'accelerated/mixed',
        'accelerated/frozenWeights',
        'accelerated/layers',
        'accelerated/speedup',
      ),
      ...agreement('int8', 'quantizedMatMul', 'blockMatMul', 'halfMatMul'),
    ],
  },
  answers: {
    sources: [
      ...['grammar', 'jsonSchema'].map((name) => `accelerated/generation/${name}.ts`),
      ...['chat', 'toolCalls'].map((name) => `finetuning/use/serving/http/${name}.ts`),
      'accelerated/methods/targetedMatrices.ts',
    ],
    tests: [...property('accelerated/answerForm'), 'property-tests/serving/requests.test.ts', ...golden('targets')],
  },
  metrics: {
    sources: [
      'finetuning/metrics',
      ...['embeddings', 'preferences', 'tokenClassification'].map((task) => `finetuning/tasks/${task}/metrics.ts`),
      'finetuning/tasks/multiLabel/index.ts',
      'finetuning/tasks/multipleChoice/index.ts',
      'evaluation/bleu',
    ],
    tests: [
      ...property(
        'finetuning/metrics',
        'finetuning/metricsLaws',
        'finetuning/preferenceScores',
        'evaluation/bleuLaws',
        'evaluation/statistics',
        'evaluation/ngram',
      ),
      ...golden('bleu', 'entities', 'preference'),
    ],
  },
}

/** Lines of a file, from 1. */
export type Window = { readonly file: string; readonly from: number; readonly to: number }

const lines = 4

/** A sample of `count` windows with equal chances for each. `random` gives numbers in [0, 1). Windows never overlap; with fewer lines than windows, every line is in one. */
export const sampleWindows = (
  lengths: readonly { readonly file: string; readonly lines: number }[],
  count: number,
  random: () => number,
): readonly Window[] => {
  const windows = lengths.flatMap(({ file, lines: length }) =>
    Array.from({ length: Math.ceil(length / lines) }, (_, i) => ({ file, from: i * lines + 1, to: Math.min(length, (i + 1) * lines) })),
  )
  return windows
    .map((window) => ({ window, key: random() }))
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ window }) => window)
}
