/** Classifies a reader's sentence with a run's adapter. One model is held at a time, and it is released when nobody has asked for a while. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { OpenRun, RunPrediction } from '../../finetuning/use/serving/openRun.js'
import type { WatchedRun } from './watchRun.js'

export type Sentence = { readonly text: string; readonly textPair?: string }

export type SentenceModel = {
  /** Requests are answered one after another. @throws InputError if the run cannot be opened, the text cannot be read, or too many wait */
  readonly classify: (run: Pick<WatchedRun, 'folder' | 'result'>, sentence: Sentence) => Promise<RunPrediction>
  /** Waits for the request that is being answered. */
  readonly close: () => Promise<void>
}

/** Maximum number of requests that wait, and of characters in a sentence. */
export const [waitingLimit, sentenceLimit] = [8, 5_000]
/** Milliseconds after the last request until the model is released. */
const idleTimeout = 5 * 60_000

type Held = { readonly key: string; readonly run: OpenRun }

/** @param open opens a run's folder */
export const openSentenceModel = (open: (folder: string) => Promise<OpenRun> = openLazily): SentenceModel => {
  let held: Held | null = null
  let waiting = 0
  let idle: NodeJS.Timeout | null = null
  let isClosed = false
  let queue: Promise<unknown> = Promise.resolve()
  const release = async (): Promise<void> => {
    const before = held
    held = null
    await before?.run.release()
  }
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const next = queue.then(work)
    queue = next.catch(() => undefined)
    return next
  }
  /** A run that was resumed since has another adapter. */
  const toKey = ({ folder, result }: Pick<WatchedRun, 'folder' | 'result'>): string =>
    JSON.stringify([folder, result?.stepsDone, result?.finishedAt, result?.seconds])
  const openModel = async (run: Pick<WatchedRun, 'folder' | 'result'>): Promise<OpenRun> => {
    const key = toKey(run)
    if (held?.key === key) return held.run
    await release() // before the next one takes memory
    held = { key, run: await open(run.folder) }
    return held.run
  }
  return {
    classify: async (run, sentence) => {
      if (isClosed || waiting >= waitingLimit)
        throw inputError('the board', `at most ${waitingLimit} sentences at a time`, 'more; try again')
      waiting += 1
      if (idle !== null) clearTimeout(idle)
      try {
        return await inTurn(async () => {
          const opened = await openModel(run)
          if (opened.columns.textPair !== undefined && sentence.textPair === undefined)
            throw inputError(run.folder, 'two texts, as in the data of the run', 'one')
          return opened.predict(toRow(sentence, opened.columns))
        })
      } finally {
        waiting -= 1
        if (waiting === 0 && !isClosed) idle = setTimeout(() => void inTurn(release), idleTimeout).unref()
      }
    },
    close: async () => {
      isClosed = true
      if (idle !== null) clearTimeout(idle)
      await inTurn(release)
    },
  }
}

/** The sentence as a row of the run's data. */
const toRow = ({ text, textPair }: Sentence, columns: OpenRun['columns']): Readonly<Record<string, string>> => ({
  [columns.text]: text,
  ...(columns.textPair === undefined || textPair === undefined ? {} : { [columns.textPair]: textPair }),
})

const openLazily = async (folder: string): Promise<OpenRun> => (await import('../../finetuning/use/serving/openRun.js')).openRun(folder)
