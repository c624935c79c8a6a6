/** Reloads the data that a run was evaluated on. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAmong, rowsDigest, type RunRows } from '../runs/runRows.js'
import { loadEvaluation, loadTask, type Evaluation, type TaskOptions } from '../tasks/index.js'

/** What a run stored about its rows, and the digest of those that it evaluated on. */
export type StoredRows = { readonly rows: RunRows; readonly digest: string | undefined }

/**
 * The data that a run evaluated on, with a warning if it has changed. If the run held out rows of its file, these rows are looked up by their texts:
 * another split of a file that has grown would hold out rows that the run trained on.
 * @throws InputError
 */
export const evaluationOfRun = async (
  { testData: _, ...task }: TaskOptions,
  stored: StoredRows | null = null,
): Promise<Evaluation & { readonly warning: string | null }> => {
  const heldOut = stored?.rows.heldOut === true
  const labeled: Evaluation = await (heldOut ? loadEvaluation(task) : loadTask(task))
  if (stored === null) return { ...labeled, warning: null }
  const all = labeled.evaluation
  const evaluation = heldOut ? { ...all, examples: all.examples.filter((example) => isAmong(stored.rows.evaluation, example)) } : all
  const { source, examples } = evaluation
  if (examples.length === 0) throw inputError(source, 'rows that the run held out', 'none of them')
  const changed = stored.digest !== undefined && stored.digest !== rowsDigest(evaluation)
  const before = Number.parseInt(stored.digest ?? '', 10)
  const change =
    before === examples.length
      ? 'are there with other labels, texts or in another order'
      : `were ${before}, and ${examples.length} are there now`
  return { ...labeled, evaluation, warning: changed ? `${source}: the rows that the run was evaluated on ${change}` : null }
}
