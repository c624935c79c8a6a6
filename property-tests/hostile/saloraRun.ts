/** A SaLoRA run of eight steps on two matrices of a tiny model: its outline, and a state of it in the window and after. */
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Method } from '../../accelerated/methods/method.js'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { buildLayout } from '../../accelerated/training/assembly.js'
import { runOutline, initializeRun } from '../../accelerated/training/initialState.js'
import type { RunOutline } from '../../accelerated/checkpoints/loadCheckpoint.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { roberta } from './validFiles.js'

const { model } = parseConfigFile(JSON.stringify({ ...roberta, num_hidden_layers: 1 }), 'config.json')
const settings = resolveSettings({ method: 'salora', targetModules: ['query', 'value'], rank: 2, warmupRatio: 0.2 })
const assembly = {
  model,
  method: salora,
  settings,
  objective: sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }),
}

export const outlineOf = async (dtype: FloatType, method: Method = salora): Promise<RunOutline> => {
  const parts = { ...assembly, precision: findPrecision(dtype), method }
  return runOutline(parts, { steps: 8, start: await initializeRun(parts, async () => undefined) })
}

export type Described = { readonly step: number; readonly phase: SaloraPhase }

/** Numbers of a vector in that phase. */
export const sizeIn = (phase: SaloraPhase): number => buildLayout(assembly, phase).size

/** The state with vectors of that size, each number another; second moments are not negative. */
export const stateOf = ({ step, phase }: Described, size = sizeIn(phase)): RunState => {
  const vector = (first: number): Vector => Float32Array.from({ length: size }, (_, i) => first + i)
  return { step, phase, parameters: vector(-3), firstMoment: vector(-2), secondMoment: vector(0), memory: {} }
}

export const matrices = ['query', 'value'].map((part) => ({ name: `encoder.layer.0.attention.self.${part}`, d: 4, k: 4, r: 2 })) as [
  SaloraPhase['matrices'][0],
  SaloraPhase['matrices'][0],
]
const [query, value] = matrices

export const gated: Described = {
  step: 4,
  phase: { stage: 'gated', matrices, opened: { step: 2, density: 0.5 }, retained: null, gates: null, squaredNorms: null },
}
export const pruned: Described = {
  step: 6,
  phase: {
    stage: 'after',
    matrices: [{ ...value, r: 1 }],
    opened: { step: 2, density: 0.5 },
    retained: { step: 5, expectedDensity: 0.5, retainedDensity: 0.25, lambda: 1, ranks: { [query.name]: 0, [value.name]: 1 } },
    gates: null,
    squaredNorms: [[1]],
  },
}
