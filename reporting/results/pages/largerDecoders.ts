/** LoRA's default learning rate beside a higher one on larger decoders: the losses of each model and set of text. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type Region } from '../page.js'
import { decoderRun, sets, type StoredRun } from './decoderRuns.js'

export type StoredRuns = { readonly runs: ReadonlyArray<StoredRun> }

/** @param models each with its title */
export const largerDecoders = (models: ReadonlyArray<readonly [title: string, StoredRuns]>): Region => {
  const rows = models.flatMap(([title, { runs }]) => {
    const found = runs.map(decoderRun)
    return sets.flatMap(([set, text]) => {
      const [low, high] = [4e-4, 1e-3].map((at) => found.find((run) => run.part === 'report' && run.set === set && run.rate === at)?.loss)
      const shown = [low?.toFixed(4) ?? '–', high?.toFixed(4) ?? '–']
      const difference = low === undefined || high === undefined ? '–' : signed(high - low, 4)
      return low === undefined && high === undefined ? [] : [[title, text, ...shown, difference]]
    })
  })
  return markdown(markdownTable(['model', 'text', '4e-4', '1e-3', '1e-3 minus 4e-4'], rows, ['left', 'left', 'right', 'right', 'right']))
}
