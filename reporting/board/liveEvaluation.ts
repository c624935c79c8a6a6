/** The figure and the tables that a run's report has of its evaluation and its result. evaluation.json is read again when it has changed. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { detailsFile, readDetails } from '../../finetuning/runs/evaluationDetails.js'
import { confusionFigure } from '../charts/confusion.js'
import { keptStep } from '../charts/savedScore.js'
import { seriesOf, taskName } from '../charts/series.js'
import { tablesOf } from '../report/tables/index.js'
import type { ReportTable } from '../report/tables/reportTable.js'
import { resultOrMessage } from '../resultOrMessage.js'
import type { LiveFigure } from './liveFigures.js'
import type { WatchedRun } from './watchRun.js'

export type LiveEvaluation = {
  readonly figures: ReadonlyArray<LiveFigure>
  readonly tables: ReadonlyArray<ReportTable>
  /** one line for an invalid file */
  readonly problems: ReadonlyArray<string>
  /** differs for another content of the file */
  readonly version: string
}

export const noEvaluation: LiveEvaluation = { figures: [], tables: [], problems: [], version: '' }

/** Maximum number of cached runs. */
const cacheSize = 16

export const openEvaluations = (): { readonly read: (run: WatchedRun) => Promise<LiveEvaluation> } => {
  const cache = new Map<string, LiveEvaluation>()
  return {
    read: async (run) => {
      const stats = await lstat(join(run.folder, detailsFile)).catch(() => null)
      const { config, result } = run
      const version = JSON.stringify([stats?.ino, stats?.mtimeMs, stats?.size, config !== null, result])
      const cached = cache.get(run.id)
      if (cached?.version === version) return cached
      const evaluation = { ...(await evaluationOf(run)), version }
      cache.delete(run.id)
      cache.set(run.id, evaluation)
      for (const [oldest] of cache) if (cache.size > cacheSize) cache.delete(oldest)
      return evaluation
    },
  }
}

const evaluationOf = async ({ folder, config, result, name }: WatchedRun): Promise<Omit<LiveEvaluation, 'version'>> => {
  const [found, message] = await resultOrMessage(() => readDetails(folder))
  // as in a report: a finished run shows the checkpoint that it kept
  const details = result !== null && found?.step !== keptStep(result) ? null : found
  const evaluated = details === null ? [] : [{ task: config === null ? name : taskName(config), name, details }]
  const series = config === null || result === null ? [] : seriesOf([{ folder, name, place: null, config, result }])
  const figure = confusionFigure(evaluated)
  return {
    figures: figure === null ? [] : [figure],
    tables: tablesOf({ runs: [], sweeps: [], transfers: [], skipped: [] }, series, evaluated, []).details,
    problems: message === null ? [] : [message],
  }
}
