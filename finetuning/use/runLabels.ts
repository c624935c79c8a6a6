/** Labels of a run's evaluation rows that are probably wrong, by the answers of the model, which was not trained on them. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { detailsFile, readDetails, type ErrorText } from '../run/evaluationDetails.js'
import { readRunConfig } from '../run/runFiles.js'

export type RunLabels = {
  readonly run: string
  /** the evaluated checkpoint */
  readonly step: number
  /** the file of the rows; null: they were held out of the run's data */
  readonly evalData: string | null
  /** the errors that were looked at: the worst of the evaluation */
  readonly errors: number
  /** the largest loss first */
  readonly issues: readonly ErrorText[]
}

/** @throws InputError for a folder that is no run, or has no evaluation of classes */
export const inspectLabels = async (run: string): Promise<RunLabels> => {
  const config = await readRunConfig(run)
  if (config === null) throw inputError(run, 'the folder of a run of salora train', 'no config.json there')
  const details = await readDetails(run)
  if (details === null || details.errors.some(({ labelIssue }) => labelIssue === undefined))
    throw inputError(
      run,
      'a run with one class per row that was evaluated by this version',
      details === null ? `no ${detailsFile}` : `a ${detailsFile} that tells nothing of labels`,
    )
  const { step, errors } = details
  const evalData = config.task.evalData ?? null
  return { run, step, evalData, errors: errors.length, issues: errors.filter(({ labelIssue }) => labelIssue === true) }
}
