/** The early window at rank 1 on GLUE: SaLoRA's two windows beside LoRA. */
import { mean } from 'simple-statistics'
import { clusteredDifference, tInterval } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { differenceText, intervalText, signed, verdict } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import type { StoredSweep } from '../storedSweeps.js'
import { early, lora, pairsByTask, salora } from './rankOneRuns.js'

/** A table by task, whose last line is the mean over tasks. */
export const earlyWindow = (sweep: StoredSweep): Region => {
  const [fromLora, fromPaper] = [pairsByTask(sweep, lora, early), pairsByTask(sweep, salora, early)]
  const rows = fromLora.map(({ task, seeds, first, second, pairs }, i) => {
    const [interval, paper] = [tInterval(pairs), fromPaper[i]]
    const meanOf = (scores: ReadonlyMap<number, number> | undefined): string =>
      seeds.length === 0 ? '–' : mean(seeds.map((seed) => scores?.get(seed) ?? NaN)).toFixed(2)
    return [
      task,
      String(seeds.length),
      ...[first, paper?.first, second].map(meanOf),
      pairs.length === 0 ? '–' : `${signed(mean([...pairs]), 2)} (${intervalText(interval, 2)})`,
      interval === null ? '–' : verdict(interval),
      paper === undefined || paper.pairs.length === 0 ? '–' : signed(mean([...paper.pairs]), 2),
    ]
  })
  const [overall, ofPaper] = [fromLora, fromPaper].map((all) => clusteredDifference(all.map(({ pairs }) => pairs)))
  const last =
    overall == null || ofPaper == null
      ? []
      : [['all', String(overall.pairs), '', '', '', differenceText(overall, 2), verdict(overall.interval), differenceText(ofPaper, 2)]]
  const head = ['task', 'seeds', lora.title, salora.title, early.title, 'early window minus LoRA', 'it is', "early minus the paper's"]
  return markdown(markdownTable(head, [...rows, ...last], ['left', 'right', 'right', 'right', 'right', 'left', 'left', 'left']))
}
