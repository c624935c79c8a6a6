/** Training speed beside PEFT's: the same checkpoint and batches, a step of one after a step of the other. */
import type { PeersResult } from '../../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../../evaluation/benchmark/peersTable.js'
import { ratesCells } from '../../../evaluation/benchmark/productRates.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { chart, markdown, type ResultsPage } from '../page.js'

/** Results of older versions have no rates of products. */
type Stored = Omit<PeersResult, 'products'> &
  Partial<Pick<PeersResult, 'products'>> & { readonly date: string; readonly machine: string; readonly command: string }

export const speedPage: ResultsPage = {
  name: 'speed',
  regions: (read) => {
    const { rows, versions, products, date, machine, command } = read('benchmark') as Stored
    const points = rows.flatMap(({ case: name, method, precision, peer, ratio }) =>
      ratio === null || peer === null
        ? []
        : [
            {
              row: `${name}: ${method}, ${precision} / ${peer.precision}${peer.mode === 'eager' ? '' : `, ${peer.mode}`}`,
              value: ratio[1],
              low: ratio[0],
              high: ratio[2],
            },
          ],
    )
    const all = points.map(({ value }) => value)
    const environment = [
      ['machine', machine],
      ...(products === undefined ? [] : ratesCells(products)),
      ['date', date],
      ...Object.entries(versions).map(([name, version]) => [name, version.replace(/\+.*/, '')]),
      ['command', `\`${command}\``],
    ]
    return {
      steps: markdown(peersTable(rows)),
      chart: chart(
        `PEFT's time divided by salora's in every case, with quartiles: from ${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}.`,
        intervalChart(points, "PEFT's step time / salora's (median and quartiles)", 1),
      ),
      environment: markdown(markdownTable(['', ''], environment)),
    }
  },
}
