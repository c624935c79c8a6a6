/** The newest evaluation of the run that a page shows, as a figure. evaluation.json is read again when it has changed. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { detailsFile, readDetails } from '../../finetuning/runs/evaluationDetails.js'
import { confusionFigure } from '../charts/confusion.js'
import { taskName } from '../charts/series.js'
import { resultOrMessage } from '../resultOrMessage.js'
import type { LiveFigure } from './liveFigures.js'
import type { WatchedRun } from './watchRun.js'

export type LiveEvaluation = {
  readonly figures: ReadonlyArray<LiveFigure>
  /** one line for an invalid file */
  readonly problems: ReadonlyArray<string>
  /** differs for another content of the file */
  readonly version: string
}

export const noEvaluation: LiveEvaluation = { figures: [], problems: [], version: '' }

/** Maximum number of cached runs. */
const cacheSize = 16

export const openEvaluations = (): { readonly read: (run: WatchedRun) => Promise<LiveEvaluation> } => {
  const cache = new Map<string, LiveEvaluation>()
  return {
    read: async (run) => {
      const stats = await lstat(join(run.folder, detailsFile)).catch(() => null)
      if (stats === null) return noEvaluation
      const version = `${stats.ino} ${stats.mtimeMs} ${stats.size}`
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

const evaluationOf = async ({ folder, config, name }: WatchedRun): Promise<Omit<LiveEvaluation, 'version'>> => {
  const [details, message] = await resultOrMessage(() => readDetails(folder))
  if (details === null) return { figures: [], problems: message === null ? [] : [message] }
  const task = config === null ? name : taskName(config)
  const figure = confusionFigure([{ task, name: `step ${details.step}`, details }])
  return { figures: figure === null ? [] : [figure], problems: [] }
}
