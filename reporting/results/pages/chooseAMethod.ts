/** Which method, which rank: LoRA beside each other method at their chosen rates, ranks 4 and 8, learning rates, and the decoder. */
import { mean } from 'simple-statistics'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { embeddedOnly, methodRows } from '../methodRows.js'
import { differenceText, thousands, verdict } from '../numbers.js'
import { markdown, type Region, type ResultsPage } from '../page.js'
import {
  averageOf,
  embedded,
  encoders,
  miniLm,
  overallDifference,
  overBoth,
  readSweep,
  runOf,
  seeds,
  sizeOf,
  taskDifferences,
  tasks,
  type Encoder,
  type StoredSweep,
} from '../storedSweeps.js'
import { heldOutMeans } from './learningRate.js'

type Sweeps = (encoder: Encoder) => StoredSweep

const chosenLora = 'lora:learning-rate=3e-4'

const overEncoders = (sweepOf: Sweeps, row: string, other: string) =>
  overBoth(encoders.map((encoder) => taskDifferences(sweepOf(encoder), encoder, row, other)))

const methodTable = (sweepOf: Sweeps): Region => {
  const rows = methodRows
    .filter(({ row, choice }) => choice === 'chosen' && !embeddedOnly.includes(row))
    .map(({ row, method, rate }) => {
      const sizes = tasks.flatMap((task) => seeds.map((seed) => sizeOf(runOf(sweepOf(miniLm), task, row, seed).result)))
      const overall = overEncoders(sweepOf, chosenLora, row)
      return [
        `\`${method}\``,
        rate,
        thousands(mean(sizes)),
        ...encoders.map((encoder) => averageOf(sweepOf(encoder), row).toFixed(1)),
        ...(row === chosenLora ? ['–', '–'] : [differenceText(overall), verdict(overall.interval)]),
      ]
    })
  const header = ['method', 'rate', 'trained numbers', ...encoders.map(({ title }) => title), 'LoRA minus it, both encoders', 'LoRA is']
  return markdown(markdownTable(header, rows, ['left', 'left', 'right', ...encoders.map(() => 'right' as const), 'left', 'left']))
}

const rankTable = (sweepOf: Sweeps): Region => {
  const ofEmbedded = overallDifference(taskDifferences(sweepOf(embedded), embedded, 'lora-4:learning-rate=3e-4', chosenLora))
  const rows = [
    ['1e-3', 'both encoders', overEncoders(sweepOf, 'lora-4', 'lora')] as const,
    ['3e-4', embedded.title.toLowerCase(), ofEmbedded] as const,
  ]
  return markdown(
    markdownTable(
      ['rate', 'on', 'rank 4 minus rank 8', 'rank 4 is'],
      rows.map(([rate, on, overall]) => [rate, on, differenceText(overall), verdict(overall.interval)]),
    ),
  )
}

/** The held-out means of LoRA by rate, in a sentence. */
const rateSentence = (sweepOf: Sweeps): Region => {
  const scores = [...heldOutMeans(sweepOf(embedded), 'lora')].sort(([a], [b]) => a - b)
  const [first = '', ...others] = scores.map(([rate, score]) => `${score.toFixed(1)} at ${rate.toExponential()}`)
  return markdown(`On held-out rows, LoRA's mean score was ${first}, ${others.join(', and ')} (one seed, the embedded model).`)
}

type Training = Readonly<Record<'lora' | 'salora' | 'before', { readonly heldOutPerplexity: number }>>

const decoderSentence = ({ lora, salora, before }: Training): Region => {
  const text = ({ heldOutPerplexity }: Training['lora']): string => heldOutPerplexity.toFixed(2)
  return markdown(
    `On a decoder of 135 million parameters, the perplexity of held-out responses fell from ${text(before)} to ${text(lora)} with \`lora\`. ` +
      `It fell to ${text(salora)} with \`salora\`, which has half of the numbers (one seed, 400 steps of [Alpaca](../results/style-transfer.md)).`,
  )
}

export const chooseAMethodPage: ResultsPage = {
  name: 'choose-a-method',
  folder: 'docs/how-to',
  regions: (read) => {
    const sweeps = new Map(encoders.map((encoder) => [encoder.file, readSweep(read, encoder)]))
    const sweepOf: Sweeps = ({ file }) => sweeps.get(file) as StoredSweep
    return {
      methods: methodTable(sweepOf),
      ranks: rankTable(sweepOf),
      rates: rateSentence(sweepOf),
      decoder: decoderSentence((read('style-transfer') as { readonly training: Training }).training),
    }
  },
}
