/** Metrics, reports and the board. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openMetricsLog } from '../../../finetuning/runs/metricsLog.js'
import { openChartRenderer } from '../../../reporting/board/chartCache.js'
import { openCurveCache } from '../../../reporting/board/curveCache.js'
import { viewState } from '../../../reporting/board/viewState.js'
import { openWatch } from '../../../reporting/board/watch.js'
import { makeReport } from '../../../reporting/report/report.js'
import { transferExamplesPage } from '../../../reporting/report/transferExamplesPage.js'
import { collectRuns } from '../../../reporting/discovery/collectRuns.js'
import { ranksOf, writeRun } from '../../property/reporting/reportRuns.js'
import { sentence, times } from '../made.js'
import type { Grown } from '../measured.js'

const runsIn = async (folder: string, count: number, steps = 4): Promise<void> => {
  for (let i = 0; i < count; i++)
    await writeRun(join(folder, `run-${i}`), {
      steps,
      seed: i,
      accuracy: 0.5 + (i % 97) / 200,
      settings: { rank: 4 + (i % 8) },
      ranks: ranksOf(1, 2, 3, 0),
    })
}

const board = { problem: null, queue: null }

const reporting = (what: string, of: string, from: number, make: (folder: string, size: number) => Promise<void>): Grown => ({
  what,
  of,
  from,
  prepare: async (size, folder) => {
    await make(join(folder, 'runs'), size)
    return () => makeReport({ folders: [join(folder, 'runs')], output: join(folder, 'page.html'), figures: null })
  },
})

const view = (
  what: string,
  kind: 'list' | 'run' | 'compare',
  of: string,
  from: number,
  make: (folder: string, size: number) => Promise<void>,
): Grown => ({
  what,
  of,
  from,
  prepare: async (size, folder) => {
    await make(folder, size)
    const watch = openWatch(folder)
    await watch.refresh()
    const ids = kind === 'list' ? [] : [...watch.runs().keys()].slice(0, 2)
    return () => viewState({ kind, ids }, { watch, charts: openChartRenderer(openCurveCache()), board }, null)
  },
})

const long = (folder: string, steps: number): Promise<void> => runsIn(folder, 2, steps)

export const boardAreas: ReadonlyArray<Grown> = [
  reporting('report of two runs', 'steps', 4_000, long),
  reporting('report of runs', 'runs', 20, runsIn),
  {
    what: 'collect runs',
    of: 'runs',
    from: 50,
    prepare: async (size, folder) => {
      await runsIn(folder, size)
      return () => collectRuns([folder])
    },
  },
  {
    what: 'open the metrics of a resumed run',
    of: 'lines',
    from: 20_000,
    prepare: async (size, folder) => {
      await runsIn(folder, 1, size)
      return () => openMetricsLog(join(folder, 'run-0'), size)
    },
  },
  view('board: show a run', 'run', 'steps', 4_000, long),
  view('board: compare two runs', 'compare', 'steps', 4_000, long),
  view('board: list runs', 'list', 'runs', 100, runsIn),
  {
    what: 'board: find runs',
    of: 'runs',
    from: 50,
    prepare: async (size, folder) => {
      await runsIn(folder, size)
      return () => openWatch(folder).refresh()
    },
  },
  {
    what: 'board: poll runs',
    of: 'runs',
    from: 100,
    bound: { exponent: 1.3, reason: 'what is read so far is shown after each 100 runs, of at most 5,000' },
    prepare: async (size, folder) => {
      await runsIn(folder, size)
      const watch = openWatch(folder)
      await watch.refresh()
      return async () => {
        for (let i = 0; i < 4; i++) await watch.refresh()
      }
    },
  },
  {
    what: 'board: follow a growing run by 200 lines',
    of: 'steps before',
    from: 4_000,
    prepare: async (size, folder) => {
      await long(folder, size)
      const curves = openCurveCache()
      const run = { id: 'x', folder: join(folder, 'run-0') }
      await curves.read(run)
      let step = size
      return async () => {
        for (let i = 0; i < 200; i++) {
          await appendFile(join(run.folder, 'metrics.jsonl'), `${JSON.stringify({ kind: 'step', step: ++step, taskLoss: 1 / step })}\n`)
          await curves.read(run)
        }
      }
    },
  },
  {
    what: 'report of single transfers',
    of: 'messages',
    from: 4_000,
    prepare: async (size) => {
      const examples = times(size, (i) => ({
        ...{ source: sentence(i, 12), output: sentence(i + 1, 12), reference: sentence(i + 2, 12) },
        scores: { probability: 0.9, bleu: 30, perplexity: 100 },
      }))
      return () => transferExamplesPage({ title: 'Transfers', groups: [{ direction: 'negative to positive', examples }] })
    },
  },
  {
    what: 'report of an evaluation with errors',
    of: 'classes',
    from: 20,
    prepare: async (size, folder) => {
      await mkdir(join(folder, 'runs'), { recursive: true })
      await runsIn(join(folder, 'runs'), 1)
      const details = {
        step: 4,
        byClass: times(size, (i) => ({ label: `class ${i}`, precision: 0.5, recall: 0.5, f1: 0.5, examples: 10 })),
        errors: [],
      }
      await writeFile(join(folder, 'runs', 'run-0', 'evaluation.json'), JSON.stringify(details))
      return () => makeReport({ folders: [join(folder, 'runs')], output: join(folder, 'page.html'), figures: null })
    },
  },
]
