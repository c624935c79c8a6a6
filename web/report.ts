/** The report of a run in a browser: the page that `salora report` writes, from the run's files. Its charts load when it is asked for. */
import { inputError } from '../accelerated/errors/inputError.js'
import { nameOf } from '../accelerated/storage/paths.js'
import { readRunConfig, readRunResult } from '../finetuning/run/runFiles.js'
import type { Place } from './finetune.js'
import { version } from './version.js'

/** The built script and style of the report's page: dist/reporting/page/report.js and page.css. */
export type ReportFiles = { readonly script: string; readonly style: string }

/** One HTML text that loads nothing. @throws InputError if the run is not finished, or its files are not those of a run */
export const report = async (output: string, { storage }: Pick<Place, 'storage'>, files: ReportFiles): Promise<string> => {
  const [config, result] = [await readRunConfig(output, storage), await readRunResult(output, storage)]
  if (config === null || result === null)
    throw inputError(output, 'a finished run', `no ${config === null ? 'config.json' : 'result.json'}`)
  const { reportPage } = await import('../reporting/report/reportPage.js')
  const name = nameOf(output)
  const runs = [{ folder: output, name, place: null, config, result }]
  return (await reportPage({ runs, sweeps: [], transfers: [], skipped: [] }, { name, version, files, storage })).html
}
