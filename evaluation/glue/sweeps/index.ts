/** All sweeps, one line each. */
import { type Sweep, type Row, withRank, rowOf } from '../sweep.js'
import type { ModelSpec } from '../../../accelerated/models/architecture.js'
import { GLUE_NAMES } from '../../../finetuning/data/glueTasks.js'

/** Table 4: time and memory of LoRA and SaLoRA at three batch sizes, one run after another. */
const table4: Sweep = {
  name: 'table4',
  summary: 'time and memory of LoRA and SaLoRA by batch size, one run after another',
  tasks: ['mrpc'],
  rows: () =>
    [16, 32, 64].flatMap((batchSize) =>
      (['lora', 'salora'] as const).map((method) => ({ name: `${method}, batch ${batchSize}`, settings: { method, batchSize } })),
    ),
  inTurn: true,
}

/** Table 3: SaLoRA without the density constraint (λ = 0), and without the orthogonality term (β = 0). */
const table3: Sweep = {
  name: 'table3',
  summary: 'the ablations λ = 0 and β = 0',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'salora', settings: { method: 'salora' } },
    { name: 'salora, λ = 0', settings: { method: 'salora', control: 0, retain: 'paper' } },
    { name: 'salora, β = 0', settings: { method: 'salora', beta: 0 } },
  ],
}

/** Table 1: every method on every task. */
const methods = ['full', 'houlsby', 'pfeiffer', 'prefix', 'prompt', 'lora', 'adalora', 'salora']

export const table1: Sweep = {
  name: 'table1',
  summary: 'methods by tasks',
  tasks: GLUE_NAMES.filter((task) => task !== 'wnli'),
  rows: (_, requested) => requested ?? methods.map(rowOf),
}

/** Figure 5: SaLoRA at several densities, and LoRA. */
const figure5: Sweep = {
  name: 'figure5',
  summary: 'SaLoRA by density, and LoRA',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () => [
    { name: 'lora', settings: { method: 'lora' } },
    ...[0.125, 0.25, 0.375, 0.5, 0.625, 0.75].map((density) => ({
      name: `salora, b = ${density}`,
      settings: { method: 'salora' as const, density },
    })),
  ],
}

/** Figure 4: LoRA and SaLoRA at several ranks. */
const figure4: Sweep = {
  name: 'figure4',
  summary: 'LoRA and SaLoRA by rank',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () =>
    (['lora', 'salora'] as const).flatMap((method) =>
      [2, 4, 8, 16, 32].map((rank) => ({ name: `${method}, r = ${rank}`, settings: withRank(method, rank) })),
    ),
}

/** Figure 1: LoRA on one kind of matrix, or on the matrices of one layer, at several ranks. */
const ranks = [1, 2, 4, 8]

/** A matrix's name within its layer: --target-modules matches it in each layer. */
const kindOf = (name: string, layer: string): string => name.slice(layer.length + 1)

const rowsOf = ({ layers, matrices }: ModelSpec): readonly Row[] => {
  const namesByLayer = layers.map(({ name }) =>
    matrices.filter((matrix) => matrix.name.startsWith(`${name}.`)).map((matrix) => matrix.name),
  )
  const kinds = [...new Set(namesByLayer.flatMap((names, i) => names.map((name) => kindOf(name, layers[i]?.name ?? ''))))]
  const rowsAt = (name: string, targetModules: readonly string[]): readonly Row[] =>
    ranks.map((rank) => ({ name: `${name}, r = ${rank}`, settings: { ...withRank('lora', rank), targetModules: [...targetModules] } }))
  return [...kinds.flatMap((kind) => rowsAt(kind, [kind])), ...namesByLayer.flatMap((names, i) => rowsAt(`layer ${i + 1}`, names))]
}

const figure1: Sweep = {
  name: 'figure1',
  summary: 'LoRA on one kind of matrix, or on one layer, by rank',
  tasks: ['mrpc'],
  rows: rowsOf,
}

export const sweeps: readonly Sweep[] = [table1, table3, table4, figure1, figure4, figure5]
