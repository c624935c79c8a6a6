/** LoRA's default learning rate beside a higher one on larger decoders: the losses of each model and set of text. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { signed } from '../numbers.js'
import { markdown, type ReadResults, type Region } from '../page.js'
import { decoderRun, sets, type StoredRun } from './decoderRuns.js'

type StoredRuns = { readonly runs: ReadonlyArray<StoredRun> }

/** Files of results, and their models. */
const models = { 'decoder-gemma': 'Gemma 3 270M', 'decoder-qwen': 'Qwen2.5-Coder 0.5B' }

export const largerDecoders = (read: ReadResults): Region => {
  const rows = Object.entries(models).flatMap(([file, title]) => {
    const found = (read(file) as StoredRuns).runs.map(decoderRun)
    return sets.flatMap(([set, text]) => {
      const [low, high] = [4e-4, 1e-3].map((at) => found.find((run) => run.part === 'report' && run.set === set && run.rate === at)?.loss)
      const shown = [low?.toFixed(4) ?? '–', high?.toFixed(4) ?? '–']
      const difference = low === undefined || high === undefined ? '–' : signed(high - low, 4)
      return low === undefined && high === undefined ? [] : [[title, text, ...shown, difference]]
    })
  })
  return markdown(markdownTable(['model', 'text', '4e-4', '1e-3', '1e-3 minus 4e-4'], rows, ['left', 'left', 'right', 'right', 'right']))
}
