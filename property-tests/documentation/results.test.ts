/** README's tables of results are those that the scripts wrote, and agree with the runs beside them. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { PeersResult } from '../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../evaluation/benchmark/peersTable.js'
import { cellId } from '../../evaluation/glue/plan.js'

type Results = {
  readonly command: string
  readonly table: ReadonlyArray<string>
  readonly runs: ReadonlyArray<{
    readonly variant: string
    readonly last: { readonly scores: Readonly<Record<string, number>> }
    readonly retainedDensity: number | null
    readonly expectedDensity: number | null
    readonly targetDensity?: number | null
  }>
}

const readme = readFileSync('README.md', 'utf8')
const flat = readme.replaceAll('\n', ' ')
/** What a table has of a row: a test that fails shows these, not all of README. */
const linesFrom = (start: string): ReadonlyArray<string> => readme.split('\n').filter((line) => line.startsWith(start))
/** That README has these words, across the ends of its lines: a test that fails shows the words, not all of README. */
const says = (words: string): void => expect(flat.includes(words.replaceAll('\n', ' ')), words).toBe(true)
const tables = [...readme.matchAll(/<!-- results: ([\w-]+) -->\n([\s\S]*?)\n<!-- end -->/g)].map(([, name = '', text = '']) => ({
  name,
  text,
}))

describe('README', () => {
  it('shows the table of the comparison of bases', () => expect(tables.map(({ name }) => name)).toEqual(['bases']))

  it.each(tables)('shows $name as its script wrote it', ({ name, text }) => {
    const { table, runs } = JSON.parse(readFileSync(`evaluation/results/${name}.json`, 'utf8')) as Results
    expect(text.split('\n')).toEqual(table)
    for (const variant of new Set(runs.map((run) => run.variant))) {
      const [first = ''] = Object.keys(runs[0]?.last.scores ?? {})
      const scores = runs.filter((run) => run.variant === variant).map((run) => 100 * (run.last.scores[first] ?? NaN))
      const mean = scores.reduce((a, b) => a + b, 0) / scores.length
      expect(text).toContain(`| ${variant} | ${mean.toFixed(1)} ± `)
    }
  })

  it.each(tables)('reports runs of $name that kept to their budget', ({ name }) => {
    const { runs } = JSON.parse(readFileSync(`evaluation/results/${name}.json`, 'utf8')) as Results
    for (const { targetDensity, expectedDensity, retainedDensity } of runs) {
      if (targetDensity == null) continue // no budget
      expect(Math.abs((expectedDensity ?? NaN) - targetDensity)).toBeLessThanOrEqual(0.02)
      expect(retainedDensity).toBeLessThanOrEqual(targetDensity)
      expect(retainedDensity).toBeGreaterThan(targetDensity - 0.01)
    }
  })
})

const structureRows = ['lora', 'lora-4', 'salora:orthogonality=sum', 'salora:retain=random', 'salora:retain=magnitude']
/** `alone`: rows of every method that it alone has, beside the others. */
const encoders: ReadonlyArray<{ readonly file: string; readonly layers: number; readonly alone: ReadonlyArray<string> }> = [
  { file: 'glue-embedded', layers: 4, alone: ['lora-4:learning-rate=3e-4', 'salora:learning-rate=3e-4:orthogonality=sum'] },
  { file: 'glue-minilm', layers: 6, alone: [] },
]
const metrics = { cola: 'matthews', mrpc: 'accuracy', sst2: 'accuracy', stsb: 'pearson' } as const
const tasks = ['cola', 'mrpc', 'sst2', 'stsb'] as const
const seeds = [0, 1, 2]

type SweepRun = {
  readonly cell: string
  readonly config: { readonly settings: { readonly seed: number; readonly retain?: string; readonly control?: string } }
  readonly result: Omit<Results['runs'][number], 'variant'> & {
    readonly ranks?: Readonly<Record<string, number>>
    readonly retainedParameters?: number
    readonly trainableParameters: Readonly<Record<string, number>>
    readonly seconds: number
    readonly peakMemoryBytes: number
  }
}
const sweepRuns = (file: string): ReadonlyArray<SweepRun> =>
  (JSON.parse(readFileSync(`evaluation/results/${file}.json`, 'utf8')) as { readonly runs: ReadonlyArray<SweepRun> }).runs

/** Of the last epoch, in percent. */
const scoreIn = (runs: ReadonlyArray<SweepRun>, task: keyof typeof metrics, row: string, seed: number): number => {
  const [run, second] = runs.filter(({ cell }) => cell === cellId({ task, row, seed }))
  expect([run?.config.settings.seed, second]).toEqual([seed, undefined])
  return 100 * (run?.result.last.scores[metrics[task]] ?? NaN)
}
/** `ahead`, SaLoRA where nothing is said, minus the row, task by task and seed by seed. */
const pairsIn = (
  runs: ReadonlyArray<SweepRun>,
  row: string,
  { ahead = 'salora', on = tasks }: { readonly ahead?: string; readonly on?: ReadonlyArray<keyof typeof metrics> } = {},
): ReadonlyArray<ReadonlyArray<number>> =>
  on.map((task) => seeds.map((seed) => scoreIn(runs, task, ahead, seed) - scoreIn(runs, task, row, seed)))

const mean = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0) / numbers.length
const signed = (by: number): string => (Math.abs(by) < 0.05 ? '0.0' : `${by > 0 ? '+' : '−'}${Math.abs(by).toFixed(1)}`)
/** Mean and largest deviation. */
const spread = (scores: ReadonlyArray<number>, digits = 1): string =>
  `${mean(scores).toFixed(digits)} ± ${Math.max(...scores.map((score) => Math.abs(score - mean(scores)))).toFixed(digits)}`
const withError = (all: ReadonlyArray<number>): string => {
  const variance = mean(all.map((by) => (by - mean(all)) ** 2)) * (all.length / (all.length - 1))
  return `${signed(mean(all))} ± ${Math.sqrt(variance / all.length).toFixed(1)}`
}

describe.each(encoders)('README’s tables of structure, by $file,', ({ file, layers }) => {
  const runs = sweepRuns(file)

  it.each(['salora', ...structureRows])('have mean and largest deviation of %s and each task', (row) => {
    const cells = tasks.map((task) => spread(seeds.map((seed) => scoreIn(runs, task, row, seed))))
    expect(linesFrom(`| \`${row}\` |`)).toContain(`| \`${row}\` | ${cells.join(' | ')} |`)
  })

  it.each(structureRows)('say how far SaLoRA is ahead of %s, seed by seed, and how sure that is', (row) => {
    const pairs = pairsIn(runs, row)
    expect(linesFrom(`| of \`${row}\` by |`)).toContain(
      `| of \`${row}\` by | ${pairs.map((of) => signed(mean(of))).join(' | ')} | ${withError(pairs.flat())} |`,
    )
  })

  it('have beside them the mean ranks by matrix and by layer', () => {
    const ranks = runs.filter(({ cell }) => cell.includes('.salora.seed-')).flatMap(({ result }) => Object.entries(result.ranks ?? {}))
    const of = (part: string): string => mean(ranks.flatMap(([name, rank]) => (name.includes(part) ? [rank] : []))).toFixed(1)
    const kinds = ['self.value', 'attention.output', 'self.key', 'self.query', 'intermediate'].map(of)
    const down = mean(ranks.flatMap(([name, rank]) => (/layer\.\d+\.output/.test(name) ? [rank] : []))).toFixed(1)
    const [value, output, key, query, up] = kinds
    says(
      `value ${value}, attention's output ${output}, key ${key}, query ${query}, up ${up}, down ${down}; by layer ${Array.from({ length: layers }, (_, layer) => of(`layer.${layer}.`)).join(', ')}.`,
    )
  })

  it('are of runs that kept to their budget', () => {
    for (const { cell, config, result } of runs) {
      const { targetDensity, expectedDensity, retainedDensity } = result
      if (targetDensity == null || config.settings.control === 'free') continue // no budget, or none that anything holds
      // halves by magnitude have no gates that could have a density
      if (config.settings.retain !== 'magnitude') expect(Math.abs((expectedDensity ?? NaN) - targetDensity), cell).toBeLessThanOrEqual(0.02)
      expect(retainedDensity, cell).toBeLessThanOrEqual(targetDensity)
      expect(retainedDensity, cell).toBeGreaterThan(targetDensity - 0.01)
    }
  })
})

/** Each that names a rate has that which a held-out tenth of train chose on the embedded model; of the others it was fixed. */
const everyMethod = [
  'lora',
  'lora-4',
  'salora',
  'lora:learning-rate=3e-4',
  'salora:learning-rate=3e-4',
  'full:learning-rate=1e-4',
  'adalora:learning-rate=3e-3',
  'houlsby:learning-rate=1e-3',
  'pfeiffer:learning-rate=3e-3',
  'prefix:learning-rate=3e-3',
  'prompt:learning-rate=3e-3',
]

describe.each(encoders)('README’s table of every method, by $file,', ({ file, alone }) => {
  const runs = sweepRuns(file)

  it.each([...everyMethod, ...alone])('has of %s its size, its scores and how far SaLoRA is ahead of it', (row) => {
    const cellNames = tasks.flatMap((task) => seeds.map((seed) => cellId({ task, row, seed })))
    const sizes = runs.filter(({ cell }) => cellNames.includes(cell)).map(({ result }) => sizeOf(result))
    expect(sizes.length).toBe(tasks.length * seeds.length)
    const scores = tasks.map((task) => seeds.map((seed) => scoreIn(runs, task, row, seed)))
    const cells = [
      Math.round(mean(sizes)).toLocaleString('en'),
      ...scores.map((of) => spread(of)),
      mean(scores.flat()).toFixed(1),
      row === 'salora' ? '–' : withError(pairsIn(runs, row).flat()),
    ]
    const called = row.replace(':learning-rate=', ', ')
    expect(linesFrom(`| ${called} |`)).toContain(`| ${[called, ...cells].join(' | ')} |`)
  })
})

const tried = sweepRuns('glue-embedded')
/** By rate, the mean of SST-2's and CoLA's held-out scores of a method, where both were tried. */
const heldOut = (method: string): ReadonlyMap<number, number> => {
  const scores = (task: 'cola' | 'sst2'): ReadonlyMap<number, number> =>
    new Map(
      tried.flatMap(({ cell, result }) => {
        const rate = new RegExp(`^${task}\\.${method}\\.grid-train-(.+)\\.seed-0$`).exec(cell)
        return rate === null ? [] : [[Number(rate[1]), 100 * (result.last.scores[metrics[task]] ?? NaN)] as const]
      }),
    )
  const cola = scores('cola')
  return new Map([...scores('sst2')].flatMap(([rate, score]) => (cola.has(rate) ? [[rate, mean([score, cola.get(rate) ?? NaN])]] : [])))
}
const bestOf = (means: ReadonlyMap<number, number>): number => [...means].reduce((best, found) => (found[1] > best[1] ? found : best))[0]

it.each(everyMethod.filter((row) => row.includes('learning-rate')))(
  'README’s tables of every method have %s with the best rate of a held-out part of the embedded model’s, of those tried on both tasks',
  (row) => {
    const [method = '', rate = ''] = row.split(':learning-rate=')
    expect(heldOut(method).size).toBeGreaterThanOrEqual(3)
    expect(bestOf(heldOut(method))).toBe(Number(rate))
  },
)

describe('README says what the fixed rate of SaLoRA and LoRA is worth beside the chosen one', () => {
  const [chosenSalora, chosenLora] = ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'] as const
  const [embedded, minilm] = [sweepRuns('glue-embedded'), sweepRuns('glue-minilm')]
  const averageIn = (runs: ReadonlyArray<SweepRun>, row: string): number =>
    mean(tasks.flatMap((task) => seeds.map((seed) => scoreIn(runs, task, row, seed))))

  it('on the held-out part', () => {
    const [salora, lora] = ['salora', 'lora'].map(heldOut)
    for (const means of [salora, lora]) expect([means?.size, means && bestOf(means)]).toEqual([3, 3e-4])
    const means = (rate: number): string => [salora, lora].map((of) => of?.get(rate)?.toFixed(1)).join(' and ')
    says(`(held-out means of ${means(3e-4)}, for ${means(1e-3)} with 1e-3)`)
  })

  it.each(encoders)('by $file', ({ file }) => {
    const pairs = pairsIn(sweepRuns(file), chosenLora, { ahead: chosenSalora })
    const [first, second, third, last] = pairs.map((of) => signed(mean(of)))
    says(`With 3e-4 SaLoRA minus LoRA is ${withError(pairs.flat())} over all pairs: ${first}, ${second}, ${third} and ${last} in the order`)
  })

  it('with the better of the two on dev for each', () => {
    const [salora, lora] = [averageIn(embedded, 'salora'), averageIn(embedded, chosenLora)]
    expect([salora > averageIn(embedded, chosenSalora), lora > averageIn(embedded, 'lora')]).toEqual([true, true])
    says(`the means are ${[salora, lora].map((of) => of.toFixed(1)).join(' and ')}`)
  })

  it('beside LoRA of rank 4, which has SaLoRA’s budget', () => {
    const small = 'lora-4:learning-rate=3e-4'
    const budget = pairsIn(embedded, chosenLora, { ahead: small })
    const method = pairsIn(embedded, small, { ahead: chosenSalora })
    says(`minus LoRA is ${withError(budget.flat())} there, SaLoRA minus it ${withError(method.flat())}`)
    const then = (task: (typeof tasks)[number]): string =>
      [budget, method].map((of) => signed(mean(of[tasks.indexOf(task)] ?? []))).join(', then ')
    says(`on STS-B is lost with the rank (${then('stsb')}), on CoLA it is not (${then('cola')})`)
  })

  it('beside the paper’s sum of R_orth', () => {
    const sumMinusMean = (row: string): string => withError(pairsIn(embedded, row, { ahead: `${row}:orthogonality=sum` }).flat())
    says(`the paper's sum minus the mean is ${sumMinusMean(chosenSalora)} there, ${sumMinusMean('salora')} at 1e-3`)
  })

  it('over both encoders, and how far each method gains by it with MiniLM', () => {
    const both = [embedded, minilm].flatMap((runs) => pairsIn(runs, chosenLora, { ahead: chosenSalora }).flat())
    says(
      `Over both encoders it is ${withError(both)}, with 1e-3 ${withError([embedded, minilm].flatMap((runs) => pairsIn(runs, 'lora').flat()))}`,
    )
    const gain = (row: string, chosen: string): string => signed(averageIn(minilm, chosen) - averageIn(minilm, row))
    says(`LoRA gains ${gain('lora', chosenLora)} by that rate and SaLoRA ${gain('salora', chosenSalora)}`)
  })
})

it.each(['salora', 'salora, λ = 0', 'salora, β = 0'])(
  'README’s Table 3 has scores and densities of %s, and how far SaLoRA is ahead of it',
  (row) => {
    const [runs, of] = [sweepRuns('glue-embedded'), ['mrpc', 'stsb', 'cola'] as const]
    const cells = of.flatMap((task) => {
      const densities = seeds.map((seed) => runs.find(({ cell }) => cell === cellId({ task, row, seed }))?.result.expectedDensity ?? NaN)
      return [spread(seeds.map((seed) => scoreIn(runs, task, row, seed))), spread(densities, 2)]
    })
    const ahead = row === 'salora' ? '–' : withError(pairsIn(runs, row, { on: of }).flat())
    expect(linesFrom(`| ${row} |`)).toContain(`| ${[row, ...cells, ahead].join(' | ')} |`)
  },
)

it.each([16, 32, 64])(
  'README’s Table 4 has seconds and memory of whole runs of LoRA and SaLoRA at batch %d, one beside the other',
  (batch) => {
    const runs = sweepRuns('table4')
    const of = (method: string) =>
      runs.filter(({ cell }) => cell.startsWith(cellId({ task: 'mrpc', row: `${method}, batch ${batch}`, seed: 0 }).slice(0, -1)))
    const [lora, salora] = [of('lora'), of('salora')]
    expect([lora.length, salora.length]).toEqual([1, 1])
    const seconds = [lora, salora].map((all) => mean(all.map(({ result }) => result.seconds)))
    const peaks = [lora, salora].map((all) => `${(Math.max(...all.map(({ result }) => result.peakMemoryBytes)) / 1e9).toFixed(2)} GB`)
    const ratio = (seconds[1] ?? NaN) / (seconds[0] ?? NaN)
    expect(ratio).toBeLessThanOrEqual(1.03)
    expect(linesFrom(`| ${batch} |`)).toEqual([`| ${[batch, ...seconds.map(Math.round), ratio.toFixed(2), ...peaks].join(' | ')} |`])
  },
)

/** The numbers that a run ends with, its head apart. */
const sizeOf = ({ retainedParameters, trainableParameters }: SweepRun['result']): number =>
  retainedParameters ?? Object.entries(trainableParameters).reduce((sum, [name, count]) => (name === 'head' ? sum : sum + count), 0)

it.each(structureRows)('README says of both encoders together how far SaLoRA is ahead of %s', (row) => {
  const all = encoders.flatMap(({ file }) => pairsIn(sweepRuns(file), row).flat())
  expect(all.length).toBe(24)
  says(`${withError(all)} of \`${row}\``)
})

describe('README’s style transfer', () => {
  it('has each row as it was measured, and the classifier that ACC is by', () => {
    type Scores = { readonly accuracy: number; readonly bleu: number; readonly perplexity: number }
    const { rows, classifier, training } = JSON.parse(readFileSync('evaluation/results/style-transfer.json', 'utf8')) as {
      readonly rows: ReadonlyArray<{ readonly name: string; readonly directions: Readonly<Record<string, Scores>> }>
      readonly classifier: { readonly test: number }
      readonly training: Readonly<Record<string, { readonly heldOutPerplexity: number }>>
    }
    expect(rows.length).toBe(7)
    for (const { name, directions } of rows) {
      const cells = Object.values(directions).map(({ accuracy, bleu, perplexity }) =>
        [accuracy.toFixed(1), bleu.toFixed(2), perplexity.toFixed(1)].join(' | '),
      )
      expect(linesFrom(`| ${name} |`)).toContain(`| ${name} | ${cells.join(' | ')} |`)
    }
    says(`${classifier.test} % of the test sentences`)
    for (const { heldOutPerplexity } of Object.values(training)) says(heldOutPerplexity.toFixed(2))
  })
})

describe('README’s price of int8', () => {
  it('is the mean difference of the runs, pair by pair', () => {
    const all: (readonly [number, number])[] = []
    for (const task of ['mrpc', 'cola', 'sst2', 'stsb']) {
      const { runs } = JSON.parse(readFileSync(`evaluation/results/int8-${task}.json`, 'utf8')) as {
        readonly runs: ReadonlyArray<{ readonly variant: string; readonly seed: number } & Results['runs'][number]>
      }
      for (const method of ['lora', 'salora']) {
        const scores = (precision: string) =>
          runs
            .filter(({ variant }) => variant === `${method}-${precision}`)
            .sort((a, b) => a.seed - b.seed)
            .map(({ last }) => 100 * (Object.values(last.scores)[0] ?? NaN))
        const pairs = scores('float32').map((single, i) => [single, scores('int8')[i] ?? NaN] as const)
        says(rowOf(`${task}, ${method}`, pairs))
        all.push(...pairs)
      }
    }
    expect(all.length).toBe(24)
    says(rowOf('all', all))
  })

  const rowOf = (name: string, pairs: ReadonlyArray<readonly [number, number]>): string =>
    `| ${name} | ${mean(pairs.map(([single]) => single)).toFixed(1)} | ${mean(pairs.map(([, eight]) => eight)).toFixed(1)} | ${mean(pairs.map(([single, eight]) => eight - single)).toFixed(2)} (`
})

describe('README’s benchmark', () => {
  it('is what its run measured', () => {
    const { rows, versions } = JSON.parse(readFileSync('evaluation/results/benchmark.json', 'utf8')) as PeersResult
    says(peersTable(rows))
    expect(Object.keys(versions)).toEqual(expect.arrayContaining(['torch', 'transformers', 'peft', 'onnxruntime-node']))
    for (const name of ['torch', 'transformers', 'peft']) says(`${name} ${versions[name]?.replace(/\+.*/, '')}`)
  })
})

describe('the table of estimated and measured memory', () => {
  it('has estimates within 10 % of the peaks of eight cases or more, with recomputation and without', () => {
    const { rows } = JSON.parse(readFileSync('evaluation/results/estimate.json', 'utf8')) as {
      readonly rows: ReadonlyArray<{
        readonly flags: string
        readonly ratio: number
        readonly measured: number
        readonly estimated: { readonly peak: number }
      }>
    }
    expect(rows.length).toBeGreaterThanOrEqual(8)
    for (const words of ['--gradient-checkpointing', 'int8', 'salora', 'lora', 'full', '--batch-size 8', '--batch-size 16'])
      expect(rows.some(({ flags }) => flags.includes(words))).toBe(true)
    for (const { ratio, measured, estimated } of rows) {
      expect(ratio).toBeCloseTo(estimated.peak / measured, 9)
      expect(Math.abs(ratio - 1)).toBeLessThan(0.1)
    }
  })
})
