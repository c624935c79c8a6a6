/** LayerNorm (Ba et al., 2016) by its tensors' names, and a sublayer whose sum it follows, as in BERT. */
import type { Expression } from '../../graph/expression.js'
import { add, layerNormalization } from '../../graph/operators.js'
import type { TensorShape } from '../architecture.js'
import type { Host } from '../host.js'

export const normTensors = (name: string, size: number): readonly (readonly [string, TensorShape])[] => [
  [`${name}.weight`, [size]],
  [`${name}.bias`, [size]],
]

export const layerNorm =
  (host: Host, name: string, epsilon: number) =>
  (x: Expression): Expression =>
    layerNormalization(x, host.tensor(`${name}.weight`), host.tensor(`${name}.bias`), epsilon)

/** Names of a sublayer: its site of dropout, which adapters have too, its last matrix and its norm. */
type SublayerNames = { readonly name: string; readonly matrix: string; readonly norm: string }

/** norm(residual + dropout(W x + b)) */
export const normedSublayer = (
  host: Host,
  at: SublayerNames,
  { dropout, epsilon }: { readonly dropout: number; readonly epsilon: number },
  x: Expression,
  residual: Expression,
): Expression => {
  const norm = layerNorm(host, at.norm, epsilon)
  const output = host.dropout(at.name, host.linear(at.matrix, x), dropout)
  return norm(add(host.sublayer(at.name, output, { residual, norm }), residual))
}
