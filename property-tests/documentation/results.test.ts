/** The results pages: they are up to date, and their tables have the numbers of the stored runs, which kept to their budgets. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { PeersResult } from '../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../evaluation/benchmark/peersTable.js'
import { cellId } from '../../evaluation/glue/plan.js'
import { replaceRegions } from '../../reporting/results/regions.js'
import { renderPages, resultsFolder } from '../../reporting/results/renderPages.js'

type Result = {
  readonly last: { readonly scores: Readonly<Record<string, number>> }
  readonly retainedDensity?: number | null
  readonly expectedDensity?: number | null
  readonly targetDensity?: number | null
  readonly retainedParameters?: number
  readonly ranks?: Readonly<Record<string, number>>
  readonly trainableParameters: Readonly<Record<string, number>>
  readonly seconds: number
  readonly peakMemoryBytes: number
}
type SweepRun = {
  readonly cell: string
  readonly config: { readonly settings: { readonly seed: number; readonly retain?: string; readonly control?: string } }
  readonly result: Result
}
type ComparedRun = Result & { readonly variant: string; readonly seed: number }

const stored = <Content>(name: string): Content => JSON.parse(readFileSync(`evaluation/results/${name}.json`, 'utf8')) as Content
const sweepRuns = (name: string): ReadonlyArray<SweepRun> => stored<{ readonly runs: ReadonlyArray<SweepRun> }>(name).runs

/** The rows of a generated table, without its header, as cells. */
const tableOf = (page: string, region: string): ReadonlyArray<ReadonlyArray<string>> => {
  const text = readFileSync(`${resultsFolder}/${page}.md`, 'utf8')
  const [, content = ''] = new RegExp(`<!-- generated: ${region} -->\\n([\\s\\S]*?)\\n<!-- end -->`).exec(text) ?? []
  return content
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)
const mean = (numbers: ReadonlyArray<number>): number => sum(numbers) / numbers.length
const deviation = (numbers: ReadonlyArray<number>): number =>
  Math.sqrt(sum(numbers.map((x) => (x - mean(numbers)) ** 2)) / (numbers.length - 1))
/** t of 0.975 by degrees of freedom, from a printed table. */
const t = [NaN, 12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462]
const signed = (value: number, digits = 1): string => {
  const text = Math.abs(value).toFixed(digits)
  return Number(text) === 0 ? text : `${value > 0 ? '+' : '−'}${text}`
}
const spread = (scores: ReadonlyArray<number>, digits = 1): string =>
  `${mean(scores).toFixed(digits)} ± ${Math.max(...scores.map((score) => Math.abs(score - mean(scores)))).toFixed(digits)}`
const interval = (numbers: ReadonlyArray<number>): readonly [number, number] => {
  const radius = (t[numbers.length - 1]! * deviation(numbers)) / Math.sqrt(numbers.length)
  return [mean(numbers) - radius, mean(numbers) + radius]
}
const shown = ([low, high]: readonly [number, number], digits = 1): string => `${signed(low, digits)}\u00a0…\u00a0${signed(high, digits)}`
/** A mean over tasks with its clustered error, and what its interval shows. */
const overall = (effects: ReadonlyArray<number>, digits = 1): readonly [string, string] => {
  const [low, high] = interval(effects)
  const error = deviation(effects) / Math.sqrt(effects.length)
  return [
    `${signed(mean(effects), digits)} ± ${error.toFixed(digits)} (${shown([low, high], digits)})`,
    low > 0 ? 'ahead' : high < 0 ? 'behind' : 'no difference shown',
  ]
}

const metrics = { cola: 'matthews', mrpc: 'accuracy', sst2: 'accuracy', stsb: 'pearson' } as const
type Task = keyof typeof metrics
const tasks = ['cola', 'mrpc', 'sst2', 'stsb'] as const
const seeds = [0, 1, 2]

/** Of the last epoch, in percent. */
const scoreIn = (runs: ReadonlyArray<SweepRun>, task: Task, row: string, seed: number): number => {
  const [run, second] = runs.filter(({ cell }) => cell === cellId({ task, row, seed }))
  expect([run?.config.settings.seed, second]).toEqual([seed, undefined])
  return 100 * (run?.result.last.scores[metrics[task]] ?? NaN)
}

const encoders = [
  { region: 'embedded', file: 'glue-embedded', layers: 4, seen: [] },
  { region: 'minilm', file: 'glue-minilm', layers: 6, seen: [0, 1] },
] as const
type Encoder = (typeof encoders)[number]

/** SaLoRA's row minus the other, by task; without CoLA's pairs that were seen while SaLoRA's defaults were chosen. */
const pairsOf = ({ file, seen }: Encoder, row: string, other: string, on: ReadonlyArray<Task> = tasks) => {
  const runs = sweepRuns(file)
  return on.map((task) =>
    seeds
      .filter((seed) => task !== 'cola' || !(seen as ReadonlyArray<number>).includes(seed))
      .map((seed) => scoreIn(runs, task, row, seed) - scoreIn(runs, task, other, seed)),
  )
}
const differenceCells = (pairs: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<string> => [
  ...pairs.map((of) => (of.length === 1 ? `${signed(of[0]!)} (1 pair)` : `${signed(mean(of))} (${shown(interval(of))})`)),
  ...overall(pairs.map(mean)),
]
const structureRows = ['lora', 'lora-4', 'salora:orthogonality=sum', 'salora:retain=random', 'salora:retain=magnitude']

describe('the results pages', () => {
  it('are what `npm run results` would write now, charts included', async () => {
    const files = await renderPages('.')
    for (const [file, text] of files) expect(readFileSync(file, 'utf8'), `${file} (npm run results)`).toBe(text)
    const charts = readdirSync(`${resultsFolder}/charts`).map((name) => `${resultsFolder}/charts/${name}`)
    expect(charts.filter((file) => !files.has(file))).toEqual([])
  }, 60_000)

  it('keep their words: only the text between the markers of a region is replaced', () => {
    const page = 'Words.\n<!-- generated: a -->\nold\n<!-- end -->\nMore.\n<!-- generated: b -->\n<!-- end -->\n'
    const texts = new Map([
      ['a', 'new $& text'],
      ['b', 'second'],
    ])
    const replaced = 'Words.\n<!-- generated: a -->\nnew $& text\n<!-- end -->\nMore.\n<!-- generated: b -->\nsecond\n<!-- end -->\n'
    expect(replaceRegions('p.md', page, texts)).toBe(replaced)
    expect(replaceRegions('p.md', replaced, texts)).toBe(replaced)
  })

  it('refuse a region without a text, and a text without a region', () => {
    const page = '<!-- generated: a -->\n<!-- end -->\n'
    expect(() => replaceRegions('p.md', page, new Map([['b', '']]))).toThrow(/^p\.md: expected regions named b, got a$/)
    const both = new Map([
      ['a', ''],
      ['b', ''],
    ])
    expect(() => replaceRegions('p.md', page, both)).toThrow(/^p\.md: expected a region <!-- generated: b --> … <!-- end -->, got none$/)
  })
})

describe.each(encoders)('the structure tables of $file', (encoder) => {
  const { region, file, layers } = encoder
  const runs = sweepRuns(file)

  it('have the mean and largest deviation of every row and task', () => {
    expect(tableOf('structure', `${region}-scores`)).toEqual(
      ['salora', ...structureRows].map((row) => [
        `\`${row}\``,
        ...tasks.map((task) => spread(seeds.map((seed) => scoreIn(runs, task, row, seed)))),
      ]),
    )
  })

  it("have SaLoRA's differences by task with t intervals, and over the tasks with an error clustered by task", () => {
    expect(tableOf('structure', `${region}-differences`)).toEqual(
      structureRows.map((row) => [`\`${row}\``, ...differenceCells(pairsOf(encoder, 'salora', row))]),
    )
  })

  it('have the mean ranks of each matrix and layer', () => {
    const ranks = tasks.flatMap((task) =>
      seeds.map((seed) => runs.find(({ cell }) => cell === cellId({ task, row: 'salora', seed }))?.result.ranks ?? {}),
    )
    const of = (part: RegExp): string =>
      mean(ranks.flatMap((one) => Object.entries(one).flatMap(([name, rank]) => (part.test(name) ? [rank] : [])))).toFixed(1)
    const numbers = Array.from({ length: layers }, (_, layer) => layer)
    const endings = ['self.query', 'self.key', 'self.value', 'attention.output.dense', 'intermediate.dense', '\\d.output.dense']
    const titles = ['query', 'key', 'value', 'attention output', 'up', 'down']
    expect(tableOf('structure', `${region}-ranks`)).toEqual([
      ...titles.map((title, i) => {
        const ending = endings[i]!.replace('\\d.', '')
        const inLayer = (layer: number | string): RegExp =>
          new RegExp(`layer\\.${layer}\\.${title === 'down' ? 'output\\.dense' : `.*${ending}`}$`)
        return [title, ...numbers.map((layer) => of(inLayer(layer))), of(inLayer('\\d+'))]
      }),
      ['all', ...numbers.map((layer) => of(new RegExp(`layer\\.${layer}\\.`))), of(/./)],
    ])
  })

  it('are of runs that kept to their budget', () => {
    for (const { cell, config, result } of runs) {
      const { targetDensity, expectedDensity, retainedDensity } = result
      if (targetDensity == null || config.settings.control === 'free') continue // no budget, or one that nothing enforces
      // halves by magnitude have no gates, so they have no density
      if (config.settings.retain !== 'magnitude') expect(Math.abs((expectedDensity ?? NaN) - targetDensity), cell).toBeLessThanOrEqual(0.02)
      expect(retainedDensity, cell).toBeLessThanOrEqual(targetDensity)
      expect(retainedDensity, cell).toBeGreaterThan(targetDensity - 0.01)
    }
  })
})

it('the structure table of both encoders has tasks as clusters, and each encoder counts the same', () => {
  expect(tableOf('structure', 'both-differences')).toEqual(
    structureRows.map((row) => {
      const [first, second] = encoders.map((encoder) => pairsOf(encoder, 'salora', row).map(mean))
      return [`\`${row}\``, ...overall(tasks.map((_, i) => mean([first![i]!, second![i]!])))]
    }),
  )
})

const embeddedOnly = ['lora-4:learning-rate=3e-4', 'salora:learning-rate=3e-4:orthogonality=sum']
const everyMethod = [
  'lora',
  'lora-4',
  'salora',
  'lora:learning-rate=3e-4',
  'lora-4:learning-rate=3e-4',
  'salora:learning-rate=3e-4',
  'salora:learning-rate=3e-4:orthogonality=sum',
  'full:learning-rate=1e-4',
  'adalora:learning-rate=3e-3',
  'houlsby:learning-rate=1e-3',
  'pfeiffer:learning-rate=3e-3',
  'prefix:learning-rate=3e-3',
  'prompt:learning-rate=3e-3',
]
/** Parameters that a run ends with, without its head. */
const sizeOf = ({ retainedParameters, trainableParameters }: Result): number =>
  retainedParameters ?? sum(Object.entries(trainableParameters).flatMap(([name, count]) => (name === 'head' ? [] : [count])))

describe.each(encoders)('the tables of every method on $file', (encoder) => {
  const runs = sweepRuns(encoder.file)
  const rows = everyMethod.filter((row) => encoder.region === 'embedded' || !embeddedOnly.includes(row))
  const rateOf = (row: string): string => /learning-rate=([^:]+)/.exec(row)?.[1] ?? '1e-3'
  const titleOf = (row: string): string => row.replace(/:learning-rate=[^:]+/, '').replace(':', ', ')

  it("have each row's size, its rate and whether it was chosen, its scores and their mean", () => {
    expect(tableOf('every-method', `${encoder.region}-scores`)).toEqual(
      rows.map((row) => {
        const cells = tasks.flatMap((task) => seeds.map((seed) => cellId({ task, row, seed })))
        const sizes = runs.filter(({ cell }) => cells.includes(cell)).map(({ result }) => sizeOf(result))
        expect(sizes.length).toBe(tasks.length * seeds.length)
        const scores = tasks.map((task) => seeds.map((seed) => scoreIn(runs, task, row, seed)))
        return [
          titleOf(row),
          `${rateOf(row)} (${row.includes('learning-rate') ? 'chosen' : 'fixed'})`,
          Math.round(mean(sizes)).toLocaleString('en'),
          ...scores.map((of) => spread(of)),
          mean(scores.flat()).toFixed(1),
        ]
      }),
    )
  })

  it("have SaLoRA's differences from each row at both of its rates", () => {
    expect(tableOf('every-method', `${encoder.region}-differences`)).toEqual(
      rows.map((row) => [
        `${titleOf(row)}, ${rateOf(row)}`,
        ...['salora', 'salora:learning-rate=3e-4'].flatMap((salora) =>
          salora === row ? ['–', '–'] : overall(pairsOf(encoder, salora, row).map(mean)),
        ),
      ]),
    )
  })
})

/** By rate, the mean of SST-2's and CoLA's held-out scores of a method, where both were tried. */
const heldOut = (method: string): ReadonlyMap<number, number> => {
  const scores = (task: 'cola' | 'sst2'): ReadonlyMap<number, number> =>
    new Map(
      sweepRuns('glue-embedded').flatMap(({ cell, result }) => {
        const rate = new RegExp(`^${task}\\.${method}\\.grid-train-(.+)\\.seed-0$`).exec(cell)
        return rate === null ? [] : [[Number(rate[1]), 100 * (result.last.scores[metrics[task]] ?? NaN)] as const]
      }),
    )
  const cola = scores('cola')
  return new Map([...scores('sst2')].flatMap(([rate, score]) => (cola.has(rate) ? [[rate, mean([score, cola.get(rate) ?? NaN])]] : [])))
}

it.each(everyMethod.filter((row) => /^\w+:learning-rate=[^:]+$/.test(row)))(
  'the rate of %s is the best on held-out rows of those tried on both tasks, and bold in the table of held-out scores',
  (row) => {
    const [method = '', rate = ''] = row.split(':learning-rate=')
    const means = heldOut(method)
    expect(means.size).toBeGreaterThanOrEqual(3)
    const best = [...means].reduce((one, other) => (other[1] > one[1] ? other : one))
    expect(best[0]).toBe(Number(rate))
    const line = tableOf('learning-rate', 'held-out').find(([name]) => name === method) ?? []
    expect(line).toContain(`**${best[1].toFixed(1)}**`)
    for (const [tried, score] of means) if (tried !== best[0]) expect(line).toContain(score.toFixed(1))
  },
)

describe.each(encoders)('the tables of the learning rate for $file', (encoder) => {
  const [chosenSalora, chosenLora] = ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'] as const

  it('have SaLoRA minus LoRA at both rates, what each gains by the chosen one, and on the embedded model the controls', () => {
    const comparisons: ReadonlyArray<readonly [string, string]> = [
      ['salora', 'lora'],
      [chosenSalora, chosenLora],
      [chosenLora, 'lora'],
      [chosenSalora, 'salora'],
      ...(encoder.region === 'embedded'
        ? ([
            ['lora-4:learning-rate=3e-4', chosenLora],
            [chosenSalora, 'lora-4:learning-rate=3e-4'],
            [`${chosenSalora}:orthogonality=sum`, chosenSalora],
            ['salora:orthogonality=sum', 'salora'],
          ] as const)
        : []),
    ]
    const unseen = { ...encoder, seen: [] } as unknown as Encoder
    expect(tableOf('learning-rate', `${encoder.region}-differences`).map((cells) => cells.slice(1))).toEqual(
      comparisons.map(([row, other]) =>
        differenceCells(pairsOf(row.startsWith('lora') && other.startsWith('lora') ? unseen : encoder, row, other)),
      ),
    )
  })

  it('have the mean scores of both methods at both rates', () => {
    const runs = sweepRuns(encoder.file)
    expect(tableOf('learning-rate', 'averages').map((cells) => cells[encoder.region === 'embedded' ? 1 : 2])).toEqual(
      ['salora', 'lora', chosenSalora, chosenLora].map((row) =>
        mean(tasks.flatMap((task) => seeds.map((seed) => scoreIn(runs, task, row, seed)))).toFixed(1),
      ),
    )
  })
})

it('the table of both learning rates has SaLoRA minus LoRA for each encoder and both', () => {
  const rows = [
    ['salora', 'lora'],
    ['salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'],
  ].flatMap(([row = '', other = '']) => {
    const effects = encoders.map((encoder) => pairsOf(encoder, row, other).map(mean))
    return [...effects, tasks.map((_, i) => mean(effects.map((of) => of[i]!)))].map((of) => overall(of))
  })
  expect(tableOf('learning-rate', 'both').map((cells) => cells.slice(2))).toEqual(rows)
})

it('the table of other clusters has SaLoRA minus LoRA with a task on an encoder as unit, with and without the pairs that were seen', () => {
  const rows = [
    ['1e-3', 'salora', 'lora'],
    ['3e-4', 'salora:learning-rate=3e-4', 'lora:learning-rate=3e-4'],
  ].flatMap(([rate = '', row = '', other = '']) => {
    const of = (seen: boolean) =>
      encoders.map((encoder) => pairsOf(seen ? ({ ...encoder, seen: [] } as unknown as Encoder) : encoder, row, other).map(mean))
    return [false, true].flatMap((seen) => {
      const effects = of(seen)
      const byTask = tasks.map((_, i) => mean(effects.map((encoder) => encoder[i]!)))
      return [
        [rate, 'a task', '4', seen ? 'yes' : 'no', ...overall(byTask)],
        [rate, 'a task on one encoder', '8', seen ? 'yes' : 'no', ...overall(effects.flat())],
      ]
    })
  })
  expect(tableOf('learning-rate', 'clusters')).toEqual(rows)
})

describe('the tables of Table 3', () => {
  const on = ['mrpc', 'stsb', 'cola'] as const
  const runs = sweepRuns('glue-embedded')

  it('have scores and densities of SaLoRA and both ablations', () => {
    expect(tableOf('table-3', 'scores')).toEqual(
      ['salora', 'salora, λ = 0', 'salora, β = 0'].map((row) => [
        row,
        ...on.flatMap((task) => {
          const densities = seeds.map(
            (seed) => runs.find(({ cell }) => cell === cellId({ task, row, seed }))?.result.expectedDensity ?? NaN,
          )
          return [spread(seeds.map((seed) => scoreIn(runs, task, row, seed))), spread(densities, 2)]
        }),
      ]),
    )
  })

  it("have SaLoRA's differences from both ablations", () => {
    expect(tableOf('table-3', 'differences')).toEqual(
      ['salora, λ = 0', 'salora, β = 0'].map((row) => [row, ...differenceCells(pairsOf(encoders[0], 'salora', row, on))]),
    )
  })
})

it('the table of Table 4 has seconds and memory of whole runs, and SaLoRA takes at most 3 % longer than LoRA', () => {
  const runs = sweepRuns('table4')
  const one = (method: string, batch: number): Result => {
    const id = cellId({ task: 'mrpc', row: `${method}, batch ${batch}`, seed: 0 })
    const [run, second] = runs.filter(({ cell }) => cell.startsWith(id.slice(0, -1)))
    expect(second).toBeUndefined()
    return run!.result
  }
  expect(tableOf('table-4', 'runs')).toEqual(
    [16, 32, 64].map((batch) => {
      const [lora, salora] = [one('lora', batch), one('salora', batch)]
      expect(salora.seconds / lora.seconds).toBeLessThanOrEqual(1.03)
      return [
        ...[batch, Math.round(lora.seconds), Math.round(salora.seconds)].map(String),
        (salora.seconds / lora.seconds).toFixed(2),
        ...[lora, salora].map(({ peakMemoryBytes }) => `${(peakMemoryBytes / 1e9).toFixed(2)} GB`),
      ]
    }),
  )
})

describe('the tables of style transfer', () => {
  type Scores = { readonly accuracy: number; readonly bleu: number; readonly perplexity: number }
  const { rows, classifier, training } = stored<{
    readonly rows: ReadonlyArray<{ readonly name: string; readonly directions: Readonly<Record<string, Scores>> }>
    readonly classifier: { readonly test: number }
    readonly training: Readonly<Record<string, { readonly heldOutPerplexity: number }>>
  }>('style-transfer')

  it('have each row as it was measured', () => {
    expect(rows.length).toBe(7)
    expect(tableOf('style-transfer', 'scores')).toEqual(
      rows.map(({ name, directions }) => [
        name,
        ...Object.values(directions).flatMap(({ accuracy, bleu, perplexity }) => [
          accuracy.toFixed(1),
          bleu.toFixed(2),
          perplexity.toFixed(1),
        ]),
      ]),
    )
  })

  it("have the classifier's accuracy and the perplexities of held-out responses", () => {
    expect(tableOf('style-transfer', 'classifier')).toContainEqual(['accuracy on test', `${classifier.test} %`])
    expect(tableOf('style-transfer', 'training').map(([name, perplexity]) => [name, perplexity])).toEqual(
      Object.entries(training).map(([name, { heldOutPerplexity }]) => [name, heldOutPerplexity.toFixed(2)]),
    )
  })
})

it('the table of int8 has the differences of the runs, pair by pair, and their mean clustered by task', () => {
  const of = ['mrpc', 'cola', 'sst2', 'stsb']
  const groups = of.map((task) => {
    const { runs } = stored<{ readonly runs: ReadonlyArray<ComparedRun> }>(`int8-${task}`)
    return ['lora', 'salora'].map((method) => {
      const scores = (precision: string): ReadonlyArray<number> =>
        runs
          .filter(({ variant }) => variant === `${method}-${precision}`)
          .sort((a, b) => a.seed - b.seed)
          .map(({ last }) => 100 * (Object.values(last.scores)[0] ?? NaN))
      return { name: `${task}, ${method}`, single: scores('float32'), eight: scores('int8') }
    })
  })
  const differences = ({ single, eight }: (typeof groups)[number][number]): ReadonlyArray<number> =>
    single.map((score, i) => eight[i]! - score)
  const all = groups.flat()
  const table = tableOf('int8', 'quality')
  expect(table.slice(0, -1).map((cells) => cells.slice(0, 4))).toEqual(
    all.map((group) => [
      group.name,
      mean(group.single).toFixed(1),
      mean(group.eight).toFixed(1),
      `${signed(mean(differences(group)), 2)} (${shown(interval(differences(group)), 2)})`,
    ]),
  )
  expect(table.at(-1)).toEqual([
    'all, clustered by task',
    mean(all.flatMap(({ single }) => single)).toFixed(1),
    mean(all.flatMap(({ eight }) => eight)).toFixed(1),
    ...overall(
      groups.map((group) => mean(group.flatMap(differences))),
      2,
    ),
    '24',
  ])
})

describe('the table of the benchmark', () => {
  const { rows, versions } = stored<PeersResult>('benchmark')

  it('is what the benchmark measured', () => {
    expect(readFileSync(`${resultsFolder}/speed.md`, 'utf8')).toContain(peersTable(rows).trim())
  })

  it('is next to the versions that ran', () => {
    expect(Object.keys(versions)).toEqual(expect.arrayContaining(['torch', 'transformers', 'peft', 'onnxruntime-node']))
    const environment = tableOf('speed', 'environment')
    for (const [name, version] of Object.entries(versions)) expect(environment).toContainEqual([name, version.replace(/\+.*/, '')])
  })
})

describe('the table of estimated and measured memory', () => {
  const { rows } = stored<{
    readonly rows: ReadonlyArray<{
      readonly flags: string
      readonly ratio: number
      readonly measured: number
      readonly estimated: { readonly peak: number }
    }>
  }>('estimate')

  it('has estimates within 10 % of the peaks of eight cases or more, with gradient checkpointing and without', () => {
    expect(rows.length).toBeGreaterThanOrEqual(8)
    for (const words of ['--gradient-checkpointing', 'int8', 'salora', 'lora', 'full', '--batch-size 8', '--batch-size 16'])
      expect(rows.some(({ flags }) => flags.includes(words))).toBe(true)
    for (const { ratio, measured, estimated } of rows) {
      expect(ratio).toBeCloseTo(estimated.peak / measured, 9)
      expect(Math.abs(ratio - 1)).toBeLessThan(0.1)
    }
  })

  it('shows both numbers of each case', () => {
    expect(tableOf('memory', 'cases').map((cells) => cells.slice(1))).toEqual(
      rows.map(({ flags, ratio, measured, estimated }) => [
        `\`${flags}\``,
        ...[estimated.peak, measured].map((bytes) => `${(bytes / 1e9).toFixed(2)} GB`),
        ratio.toFixed(2),
      ]),
    )
  })
})

describe('the table of the embedded model', () => {
  const { runs } = stored<{ readonly runs: ReadonlyArray<ComparedRun> }>('bases')

  it('has the mean accuracy of five seeds on the embedded model and on random weights', () => {
    expect(tableOf('embedded-model', 'bases').map(([variant, accuracy, , , , , , count]) => [variant, accuracy, count])).toEqual(
      ['pretrained', 'random'].map((variant) => {
        const scores = runs.filter((run) => run.variant === variant).map(({ last }) => 100 * (last.scores['accuracy'] ?? NaN))
        return [variant, `${mean(scores).toFixed(1)} ± ${((interval(scores)[1] - interval(scores)[0]) / 2).toFixed(1)}`, '5']
      }),
    )
  })

  it('is of runs that kept to their budget', () => {
    for (const { targetDensity, expectedDensity, retainedDensity } of runs) {
      if (targetDensity == null) continue // no budget
      expect(Math.abs((expectedDensity ?? NaN) - targetDensity)).toBeLessThanOrEqual(0.02)
      expect(retainedDensity).toBeLessThanOrEqual(targetDensity)
      expect(retainedDensity).toBeGreaterThan(targetDensity - 0.01)
    }
  })
})

it('the page of seven billion parameters has the time, rate and memory of the stored run', () => {
  const { step, bytes, trained, pagesSwapped } = stored<{
    readonly step: { readonly seconds: number; readonly gigaops: number }
    readonly bytes: { readonly peak: number; readonly mapped: number }
    readonly trained: number
    readonly pagesSwapped: number
  }>('seven-billion')
  const values = tableOf('seven-billion', 'measured').map(([, value]) => value)
  expect(values).toEqual(
    expect.arrayContaining([
      `${step.seconds.toFixed(1)} s`,
      `${step.gigaops.toFixed(0)} GOP/s`,
      `${(bytes.peak / 1e9).toFixed(1)} GB`,
      `${(bytes.mapped / 1e9).toFixed(1)} GB`,
      trained.toLocaleString('en'),
      String(pagesSwapped),
    ]),
  )
})

it('the page of instruction tuning has the perplexities and mean ranks of the stored run', () => {
  const { heldOut, meanRank } = stored<{
    readonly heldOut: Readonly<Record<'before' | 'step200' | 'step400', { readonly perplexity: number }>>
    readonly meanRank: Readonly<Record<string, number>>
  }>('smollm2-alpaca')
  expect(
    tableOf('instruction-tuning', 'perplexity')
      .slice(0, 3)
      .map(([, , perplexity]) => perplexity),
  ).toEqual([heldOut.before, heldOut.step200, heldOut.step400].map(({ perplexity }) => perplexity.toFixed(2)))
  const ranks = tableOf('instruction-tuning', 'ranks')
  for (const [name, rank] of Object.entries(meanRank)) expect(ranks).toContainEqual([name, rank.toFixed(1)])
})
