/** Is the embedded model worth fine-tuning? The quickstart's run on it, and on random weights of the same shape. */
import { mean } from 'simple-statistics'
import type { ComparedRun } from '../../../evaluation/studies/comparison.js'
import { tInterval } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalText, signed, thousands } from '../numbers.js'
import { markdown, type ResultsPage } from '../page.js'

type StoredRun = Pick<ComparedRun, 'variant' | 'seed'> & ComparedRun['result']

export const embeddedModelPage: ResultsPage = {
  name: 'embedded-model',
  regions: (read) => {
    const { runs } = read('bases') as { readonly runs: ReadonlyArray<StoredRun> }
    const of = (variant: string) => runs.filter((run) => run.variant === variant).sort((a, b) => a.seed - b.seed)
    const accuracies = (variant: string) => of(variant).map(({ last }) => 100 * (last.scores['accuracy'] ?? NaN))
    const range = (values: ReadonlyArray<number>): string => `${Math.min(...values).toFixed(3)} … ${Math.max(...values).toFixed(3)}`
    const rows = [...new Set(runs.map(({ variant }) => variant))].map((variant) => [
      variant,
      ...(
        [
          ['last', 'accuracy'],
          ['last', 'macroF1'],
          ['best', 'accuracy'],
        ] as const
      ).map(([which, metric]) => {
        const values = of(variant).map((run) => 100 * ((run[which] ?? run.last).scores[metric] ?? NaN))
        const [low, high] = tInterval(values) ?? [NaN, NaN]
        return `${mean(values).toFixed(1)} ± ${((high - low) / 2).toFixed(1)}`
      }),
      range(of(variant).map(({ expectedDensity }) => expectedDensity ?? NaN)),
      range(of(variant).map(({ retainedDensity }) => retainedDensity ?? NaN)),
      thousands(mean(of(variant).map(({ retainedParameters }) => retainedParameters ?? NaN))),
      String(of(variant).length),
    ])
    const differences = accuracies('pretrained').map((value, i) => value - (accuracies('random')[i] ?? NaN))
    const header = [
      '',
      'accuracy, last epoch',
      'macro-F1, last epoch',
      'accuracy, best epoch',
      'C(Θ) at T_end',
      'retained share',
      'adapter parameters',
      'seeds',
    ]
    return {
      bases: markdown(markdownTable(header, rows)),
      difference: markdown(
        `Pretrained minus random: ${signed(mean(differences))} points of accuracy after the last epoch (95 % t interval ${intervalText(tInterval(differences))}, ${differences.length} pairs).`,
      ),
    }
  },
}
