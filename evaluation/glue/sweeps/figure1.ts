/** Figure 1: LoRA on one kind of matrix, or on the matrices of one layer, at several ranks. */
import type { ModelSpec } from '../../../accelerated/models/architecture.js'
import { withRank } from '../rows.js'
import type { Row, Sweep } from '../sweep.js'

const ranks = [1, 2, 4, 8]

/** A matrix's name within its layer, by which --target-modules takes one of each layer. */
const kindOf = (name: string, layer: string): string => name.slice(layer.length + 1)

const rowsOf = ({ layers, matrices }: ModelSpec): ReadonlyArray<Row> => {
  const own = layers.map(({ name }) => matrices.filter((matrix) => matrix.name.startsWith(`${name}.`)).map((matrix) => matrix.name))
  const kinds = [...new Set(own.flatMap((names, i) => names.map((name) => kindOf(name, layers[i]?.name ?? ''))))]
  const at = (name: string, targetModules: ReadonlyArray<string>): ReadonlyArray<Row> =>
    ranks.map((rank) => ({ name: `${name}, r = ${rank}`, settings: { ...withRank('lora', rank), targetModules: [...targetModules] } }))
  return [...kinds.flatMap((kind) => at(kind, [kind])), ...own.flatMap((names, i) => at(`layer ${i + 1}`, names))]
}

export const figure1: Sweep = {
  name: 'figure1',
  summary: 'LoRA on one kind of matrix, or on one layer, by rank',
  tasks: ['mrpc'],
  rows: rowsOf,
}
