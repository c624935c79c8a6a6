/** Table 2: style transfer on Yelp, with the paper's three metrics. */
import { published } from '../../../evaluation/styleTransfer/paperResults.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { markdown, type ResultsPage } from '../page.js'

type Scores = { readonly accuracy: number; readonly bleu: number; readonly perplexity: number }
type StoredTransfers = {
  readonly rows: ReadonlyArray<{ readonly name: string; readonly directions: Readonly<Record<string, Scores>> }>
  readonly classifier: {
    readonly base: string
    readonly steps: number
    readonly dev: number
    readonly test: number
    readonly seconds: number
    readonly peakMegabytes: number
  }
  readonly training: Readonly<
    Record<
      string,
      { readonly heldOutPerplexity: number; readonly seconds?: number; readonly peakMegabytes?: number; readonly retainedDensity?: number }
    >
  >
}

const header = ['', 'ACC − → +', 'BLEU', 'PPL', 'ACC + → −', 'BLEU', 'PPL']
const align = header.map((_, i) => (i === 0 ? 'left' : 'right')) as ReadonlyArray<'left' | 'right'>

export const styleTransferPage: ResultsPage = {
  name: 'style-transfer',
  regions: (read) => {
    const { rows, classifier, training } = read('style-transfer') as StoredTransfers
    const measured = rows.map(({ name, directions }) => [
      name,
      ...Object.values(directions).flatMap(({ accuracy, bleu, perplexity }) => [
        accuracy.toFixed(1),
        bleu.toFixed(2),
        perplexity.toFixed(1),
      ]),
    ])
    const paper = published.map(({ method, scores }) => [method, ...(scores['yelp'] ?? []).flat().map((value) => value.toFixed(2))])
    const trained = Object.entries(training).map(([name, { heldOutPerplexity, seconds, peakMegabytes, retainedDensity }]) => [
      name,
      heldOutPerplexity.toFixed(2),
      seconds === undefined ? '–' : String(seconds),
      peakMegabytes === undefined ? '–' : `${(peakMegabytes / 1000).toFixed(2)} GB`,
      retainedDensity === undefined ? '–' : retainedDensity.toFixed(3),
    ])
    const facts = [
      ['model and data', classifier.base],
      ['steps', String(classifier.steps)],
      ['accuracy on dev', `${classifier.dev} %`],
      ['accuracy on test', `${classifier.test} %`],
      ['training time, one thread', `${(classifier.seconds / 60).toFixed(0)} minutes`],
      ['peak memory', `${(classifier.peakMegabytes / 1000).toFixed(2)} GB`],
    ]
    return {
      scores: markdown(markdownTable(header, measured, align)),
      paper: markdown(markdownTable(header, paper, align)),
      classifier: markdown(markdownTable(['classifier', ''], facts)),
      training: markdown(
        markdownTable(
          ['SmolLM2-135M-Instruct', 'perplexity of held-out responses', 'training seconds', 'peak memory', 'retained share'],
          trained,
        ),
      ),
    }
  },
}
