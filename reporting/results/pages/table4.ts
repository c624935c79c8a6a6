/** Table 4: time and memory of whole runs of LoRA and SaLoRA at three batch sizes. */
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { gigabytes } from '../numbers.js'
import { markdown, type ResultsPage } from '../page.js'
import { readSweep, runOf } from '../storedSweeps.js'

export const table4Page: ResultsPage = {
  name: 'table-4',
  regions: (read) => {
    const sweep = readSweep(read, { file: 'table4' })
    const rows = [16, 32, 64].map((batch) => {
      const [lora, salora] = ['lora', 'salora'].map((method) => runOf(sweep, 'mrpc', `${method}, batch ${batch}`, 0).result)
      const seconds = [lora?.seconds ?? NaN, salora?.seconds ?? NaN] as const
      return [
        String(batch),
        ...seconds.map((one) => one.toFixed(0)),
        (seconds[1] / seconds[0]).toFixed(2),
        gigabytes(lora?.peakMemoryBytes ?? NaN),
        gigabytes(salora?.peakMemoryBytes ?? NaN),
      ]
    })
    const header = ['batch size', 'LoRA, seconds', 'SaLoRA, seconds', 'SaLoRA / LoRA', 'LoRA, peak memory', 'SaLoRA, peak memory']
    return {
      runs: markdown(
        markdownTable(
          header,
          rows,
          header.map(() => 'right'),
        ),
      ),
    }
  },
}
