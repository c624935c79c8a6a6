/** The pages of single studies: style transfer, int8, the embedded model and instruction tuning. */
import { describe, expect, it } from 'vitest'
import { type ComparedRun, expectBudgetKept, stored, tableOf } from './storedRuns.js'
import { mean, signed, interval, shown, overall } from './statistics.js'

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
    for (const run of runs) expectBudgetKept(run, `${run.variant}, seed ${run.seed}`)
  })
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

it('the table of small budgets has the scores of each allocation, and its differences from uniform ranks seed by seed', () => {
  const runs = ['allocations-stsb', 'found-ranks-stsb'].flatMap((name) => stored<{ readonly runs: ReadonlyArray<ComparedRun> }>(name).runs)
  const scoresOf = (name: string): ReadonlyMap<number, number> =>
    new Map(
      runs.filter(({ variant }) => variant.startsWith(name)).map(({ seed, last }) => [seed, 100 * (Object.values(last.scores)[0] ?? NaN)]),
    )
  const uniform = scoresOf('uniform-')
  const table = tableOf('small-budgets', 'allocations')
  for (const [title, name] of [
    ['feed-forward only', 'feed-forward-'],
    ['last three layers', 'last-layers-'],
    ['random ranks', 'random-'],
    ['ranks of a search of 10 % of the steps', 'found-0.25-0.1,'],
  ] as const) {
    const scores = [...scoresOf(name)].sort(([a], [b]) => a - b)
    const pairs = scores.map(([seed, score]) => score - uniform.get(seed)!)
    const ofPairs = pairs.length > 1 ? shown(interval(pairs), 2) : 'no interval'
    const row = table.find(([first]) => first === title)
    expect([row?.[2], row?.[4]], title).toEqual([
      scores.map(([, score]) => score.toFixed(2)).join(', '),
      `${signed(mean(pairs), 2)} (${ofPairs})`,
    ])
  }
})
