/** AdaLoRA's regularizer in a graph: ‖AAᵀ − I‖ and ‖BᵀB − I‖ (Zhang et al., 2023, section 3.1), not squared, as in PEFT. */
import type { Expression } from '../../graph/expression.js'
import { clip, concat, constant, matMul, reduceSum, reshape, sqrt, square, sub } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import type { AdaptedMatrix } from '../lowRank.js'

/** A squared norm below it counts as 0. The norm has no derivative there; as in PyTorch it is 0 instead of 0/0. */
const smallest = 1e-30

/** ‖A Aᵀ − I‖_F and ‖Bᵀ B − I‖_F of matrices of one rank → [matrices, 2] */
export const distancesFromOrthonormal = (matrices: ReadonlyArray<AdaptedMatrix>, parameter: TensorSource): Expression => {
  const grams = matrices.flatMap(({ name }) => [
    matMul(parameter(`${name}.A`), parameter(`${name}.A`), { transposeB: true }),
    matMul(parameter(`${name}.B`), parameter(`${name}.B`), { transposeA: true }),
  ])
  const r = matrices[0]?.r ?? 0
  const entries = r * r
  const identity = constant(
    Array.from({ length: entries }, (_, i) => Number(i % (r + 1) === 0)),
    [entries],
    (grams[0] as Expression).dtype,
  )
  const all = concat(
    grams.map((gram) => reshape(gram, [1, entries])),
    0,
  )
  return reshape(sqrt(clip(reduceSum(square(sub(all, identity)), [1]), smallest, Infinity)), [matrices.length, 2])
}
