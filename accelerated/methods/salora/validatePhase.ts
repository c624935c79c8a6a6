/** Validates the phase of a checkpoint against the start of its SaLoRA run. */
import type { TrainingProgress } from '../method.js'
import type { SaloraPhase } from './phase.js'

export const validatePhase = (
  { stage, opened, retained, matrices, gates, squaredNorms }: SaloraPhase,
  start: SaloraPhase,
  { step }: TrainingProgress,
): { readonly expected: string; readonly got: string } | null => {
  const started = new Map(start.matrices.map((matrix) => [matrix.name, matrix]))
  const rankOf = new Map(matrices.map(({ name, r }) => [name, r]))
  const stranger = matrices.find(({ name, d, k, r }) => {
    const initial = started.get(name)
    return initial === undefined || initial.d !== d || initial.k !== k || r > initial.r || (retained === null && r < initial.r)
  })
  const inOrder = start.matrices.filter(({ name }) => rankOf.has(name)).map(({ name }) => name)
  const ranksFit =
    retained === null ||
    (Object.keys(retained.ranks).length === start.matrices.length &&
      start.matrices.every(({ name }) => retained.ranks[name] === (rankOf.get(name) ?? 0)))
  const checks: ReadonlyArray<readonly [expected: string, got: string, holds: boolean]> = [
    [
      'the adapted matrices with the ranks of its start or, once pruned, fewer',
      stranger === undefined ? '' : `${stranger.name} ${stranger.d} × ${stranger.k} of rank ${stranger.r}`,
      stranger === undefined,
    ],
    [
      `${retained === null ? start.matrices.length : 'those'} matrices, each once and in their order`,
      String(matrices.length),
      matrices.every(({ name }, i) => name === inOrder[i]) && (retained !== null || matrices.length === start.matrices.length),
    ],
    ['retention after T_end, and nowhere else', stage, (stage === 'after') === (retained !== null)],
    [
      'gates from T_start on, with the density they began with',
      stage,
      stage === 'before' ? opened === null : stage === 'after' || opened !== null,
    ],
    [
      `gates opened and closed within ${step} steps`,
      `${opened?.step ?? 'none'} and ${retained?.step ?? 'none'}`,
      (opened?.step ?? 0) <= (retained?.step ?? step) && (retained?.step ?? 0) <= step,
    ],
    [
      'gates and norms of as many triplets as its matrices have',
      'others',
      [gates, squaredNorms].every(
        (byMatrix) =>
          byMatrix === null || (byMatrix.length === matrices.length && byMatrix.every((values, i) => values.length === matrices[i]?.r)),
      ),
    ],
    ['retained ranks that are those of its matrices', 'others', ranksFit],
  ]
  const failed = checks.find(([, , holds]) => !holds)
  return failed === undefined ? null : { expected: failed[0], got: failed[1] }
}
