/** SaLoRA's early window beside the paper's on an encoder: scores of four tasks at rank 8 and density 0.5. */
import { mean } from 'simple-statistics'
import { scoreOf } from '../../../evaluation/glue/score.js'
import { clusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { differenceText, signed, verdict } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import { tasks, type StoredSweep, type SweepTask } from '../storedSweeps.js'

/** A task's scores by seed, in percent, of the runs whose gates are pruned after this fraction of the steps. */
const scoresOf = ({ runs }: StoredSweep, task: SweepTask, gateEnd: number): ReadonlyMap<unknown, number> =>
  new Map(
    runs
      .filter(({ config }) => config.task.task === task && config.settings['gateEnd'] === gateEnd)
      .map(({ config, result }) => [config.settings['seed'], scoreOf(task, 'last', result)]),
  )

export const windowOnEncoder = (sweep: StoredSweep): Region => {
  const byTask = tasks.map((task) => {
    const [paper, early] = [scoresOf(sweep, task, 0.5), scoresOf(sweep, task, 0.15)]
    const seeds = [...paper.keys()].filter((seed) => early.has(seed)).sort()
    const of = (scores: ReadonlyMap<unknown, number>): ReadonlyArray<number> => seeds.map((seed) => scores.get(seed) ?? NaN)
    return { task, paper: of(paper), early: of(early), pairs: seeds.map((seed) => (early.get(seed) ?? NaN) - (paper.get(seed) ?? NaN)) }
  })
  const rows = byTask.map(({ task, paper, early, pairs }) => [
    task,
    ...[paper, early].map((scores) => scores.map((score) => score.toFixed(2)).join(', ')),
    pairs.map((pair) => signed(pair, 2)).join(', '),
  ])
  const overall = clusteredDifference(byTask.map(({ pairs }) => pairs))
  const [ofPaper, ofEarly] = (['paper', 'early'] as const).map((window) => mean(byTask.map((one) => mean([...one[window]]))).toFixed(2))
  const last = [
    '**mean**',
    ofPaper ?? '–',
    ofEarly ?? '–',
    overall === null ? '–' : `${differenceText(overall, 2)}: ${verdict(overall.interval)}`,
  ]
  const head = ['task', 'window from 0.2 to 0.5, by seed', 'from 0.02 to 0.15, by seed', "early minus the paper's"]
  return markdown(markdownTable(head, [...rows, last], ['left', 'left', 'left', 'left']))
}
