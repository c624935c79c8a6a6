/** Figure 1: LoRA on one kind of matrix, or on the matrices of one layer, at several ranks. */
import type { ModelSpec } from '../../../accelerated/models/architecture.js'
import { withRank } from '../rows.js'
import type { Row, Sweep } from '../sweep.js'

const ranks = [1, 2, 4, 8]

/** A matrix's name within its layer: --target-modules matches it in each layer. */
const kindOf = (name: string, layer: string): string => name.slice(layer.length + 1)

const rowsOf = ({ layers, matrices }: ModelSpec): ReadonlyArray<Row> => {
  const namesByLayer = layers.map(({ name }) =>
    matrices.filter((matrix) => matrix.name.startsWith(`${name}.`)).map((matrix) => matrix.name),
  )
  const kinds = [...new Set(namesByLayer.flatMap((names, i) => names.map((name) => kindOf(name, layers[i]?.name ?? ''))))]
  const rowsAt = (name: string, targetModules: ReadonlyArray<string>): ReadonlyArray<Row> =>
    ranks.map((rank) => ({ name: `${name}, r = ${rank}`, settings: { ...withRank('lora', rank), targetModules: [...targetModules] } }))
  return [...kinds.flatMap((kind) => rowsAt(kind, [kind])), ...namesByLayer.flatMap((names, i) => rowsAt(`layer ${i + 1}`, names))]
}

export const figure1: Sweep = {
  name: 'figure1',
  summary: 'LoRA on one kind of matrix, or on one layer, by rank',
  tasks: ['mrpc'],
  rows: rowsOf,
}
