/** Run folders as training writes them, with made-up numbers. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'

export type MadeRun = {
  readonly method?: string
  readonly task?: string
  readonly seed?: number
  readonly settings?: Readonly<Record<string, unknown>>
  /** of the last evaluation */
  readonly accuracy?: number
  readonly steps?: number
  readonly ranks?: Readonly<Record<string, number>>
  /** taskLoss at a step */
  readonly lossAt?: (step: number) => number
  readonly device?: string
  /** added to config.json */
  readonly config?: Readonly<Record<string, unknown>>
  /** added to result.json */
  readonly result?: Readonly<Record<string, unknown>>
}

/** The contents of a run's files. */
export const madeRun = ({
  method = 'salora',
  task = 'mrpc',
  seed = 0,
  settings = {},
  accuracy = 0.75,
  steps = 4,
  ranks,
  lossAt = (step) => 1 / step,
  device = 'cpu',
  config = {},
  result = {},
}: MadeRun) => {
  const scores = { accuracy, f1: accuracy / 2, matthews: accuracy / 3, loss: 0.5 }
  return {
    config: {
      formatVersion: 2,
      model: '/home/someone/models/tiny',
      task: { task, data: '/home/someone/glue' },
      settings: { ...resolveSettings({ method } as object), seed, ...settings },
      device,
      versions: {},
      ...config,
    },
    result: {
      device,
      precision: 'float32',
      examples: { training: 10, evaluation: 5 },
      trainableParameters: { adapter: 1000, gates: 10, head: 20 },
      majority: null,
      best: { step: steps, scores },
      last: { step: steps, scores },
      stepsDone: steps,
      interrupted: false,
      ...(method === 'salora'
        ? { targetDensity: 0.5, expectedDensity: 0.49876543210987, retainedDensity: 0.5, lambda: 12345.678901234 }
        : {}),
      ...(ranks === undefined ? {} : { ranks }),
      steps,
      seconds: 12.5,
      peakMemoryBytes: 1_000_000,
      seed,
      output: 'runs/x',
      ...result,
    },
    events: [
      ...Array.from({ length: steps }, (_, i) => ({
        kind: 'step',
        step: i + 1,
        loss: 2 * lossAt(i + 1),
        taskLoss: lossAt(i + 1),
        learningRate: 0.001 / (i + 1),
        gradientNorm: 1 + i,
        orthogonality: 100 - i,
        ...(method === 'salora' ? { orthogonalityA: 60 - 2 * i, orthogonalityB: 40 + i } : {}),
        density: method === 'salora' ? 1 - i / (2 * steps) : null,
        lambda: method === 'salora' ? 10 ** (i % 6) : null,
      })),
      { kind: 'evaluation', step: steps, epoch: 1, scores, selection: accuracy },
    ],
  }
}

export const writeRun = async (folder: string, run: MadeRun): Promise<ReturnType<typeof madeRun>> => {
  const made = madeRun(run)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify(made.config))
  await writeFile(join(folder, 'result.json'), JSON.stringify(made.result))
  await writeFile(join(folder, 'metrics.jsonl'), made.events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  return made
}

const matrix = (layer: number, name: string): string => `encoder.layer.${layer}.attention.self.${name}`

/** Two layers of two matrices. */
export const ranksOf = (a: number, b: number, c: number, d: number): Readonly<Record<string, number>> => ({
  [matrix(0, 'query')]: a,
  [matrix(0, 'key')]: b,
  [matrix(1, 'query')]: c,
  [matrix(1, 'key')]: d,
})
