/** The page of rank 1: its tables have the numbers of the runs, computed here once more. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { stored, tableOf } from './storedRuns.js'
import { deviation, expectMoreSeeds, interval, mean, overall, shown, signed } from './statistics.js'

describe('one rank for each matrix', () => {
  type Run = {
    readonly config: {
      readonly task: { readonly task: string; readonly holdOutTrain?: boolean }
      readonly settings: { readonly method: string; readonly learningRate: number; readonly seed: number }
    }
    readonly result: { readonly last: { readonly scores: Readonly<Record<string, number>> } }
  }
  const metrics = { cola: 'matthews', mrpc: 'accuracy', stsb: 'pearson', sst2: 'accuracy', qnli: 'accuracy', qqp: 'accuracy' }
  const { runs } = stored<{ readonly runs: ReadonlyArray<Run> }>('rank-one')
  const of = (method: string, task: string, isHeldOut: boolean) =>
    runs
      .filter(({ config }) => config.settings.method === method && config.task.task === task)
      .filter(({ config }) => (config.task.holdOutTrain === true) === isHeldOut)
      .map(({ config: { settings }, result }) => ({ ...settings, score: 100 * (result.last.scores[metrics[task as 'cola']] ?? NaN) }))
  type RowError = { readonly task: string; readonly seeds: number; readonly difference: number; readonly standardError: number }
  const { tasks } = stored<{ readonly tasks: ReadonlyArray<RowError> }>('rank-one-rows')
  const bestOf = (method: string, task: string): number => {
    const tried = of(method, task, true).sort((a, b) => a.learningRate - b.learningRate)
    return tried.find(({ score }) => score === Math.max(...tried.map((one) => one.score)))?.learningRate ?? NaN
  }
  const methods = [
    ['lora', 'LoRA, r = 1'],
    ['salora', 'SaLoRA, from 8 to 1'],
  ] as const

  it('the table of held-out scores has those of the runs, and the best of each method and task is bold', () => {
    const table = tableOf('rank-one', 'held-out')
    for (const [method, title] of methods)
      Object.keys(metrics).forEach((task, column) => {
        const tried = of(method, task, true)
        for (const { learningRate, score } of tried) {
          const shown = table.find(([name, rate]) => name === title && Number(rate) === learningRate)?.[2 + column]
          expect(shown, `${method}, ${task}, ${learningRate}`).toBe(
            learningRate === bestOf(method, task) ? `**${score.toFixed(2)}**` : score.toFixed(2),
          )
        }
      })
  })

  it('reported runs have the rate that held-out rows chose, and another seed', () => {
    for (const [method] of methods)
      for (const task of Object.keys(metrics))
        for (const { learningRate, seed } of of(method, task, false)) {
          expect(learningRate, `${method}, ${task}`).toBe(bestOf(method, task))
          expect(of(method, task, true).map((one) => one.seed)).not.toContain(seed)
        }
  })

  it('the table of reported scores has their differences, seed by seed', () => {
    const table = tableOf('rank-one', 'best-rates')
    const [effects, differences]: [number[], number[][]] = [[], []]
    for (const task of Object.keys(metrics)) {
      const [first, second] = [of('lora', task, false), of('salora', task, false)]
      const pairs = second.flatMap(({ seed, score }) => first.filter((one) => one.seed === seed).map((one) => score - one.score))
      const row = table.find(([name]) => name === task)
      expect(row?.[1], task).toBe(String(pairs.length))
      if (pairs.length > 0) expect(row?.[4]?.split(' ')[0], task).toBe(signed(mean(pairs), 2))
      effects.push(...(pairs.length > 0 ? [mean(pairs)] : []))
      differences.push(pairs)
      const ofRows = tasks.find((one) => one.task === task)
      const isOfThese = ofRows?.seeds === pairs.length
      const counted = isOfThese ? '' : ` (${ofRows?.seeds} seeds)`
      expect(row?.[5], task).toBe(ofRows === undefined ? '–' : `${ofRows.standardError.toFixed(2)}${counted}`)
      // the same models: their difference on all rows is that of the runs, up to how int8 rounds
      if (isOfThese) expect(Math.abs(ofRows.difference - mean(pairs)), task).toBeLessThan(0.5)
    }
    expect(table.at(-1)?.slice(4)).toEqual([overall(effects, 2)[0], '', overall(effects, 2)[1]])
    const page = readFileSync('docs/results/rank-one.md', 'utf8')
    expectMoreSeeds(page, differences, 2, 16)
    expect(page).toContain(`SaLoRA minus LoRA is ${overall(effects)[0].split(' (')[0]} points`)
    const ahead = (task: string): number => differences[Object.keys(metrics).indexOf(task)]!.filter((x) => x > 0).length
    expect(['cola', 'stsb', 'mrpc', 'qqp'].map(ahead)).toEqual([7, 6, 1, 2])
    expect(differences.map(({ length }) => length)).toEqual([8, 8, 8, 8, 8, 8])
    // Bonferroni over six tasks: t of 1 − 0.05 / 12 with 7 degrees of freedom
    const corrected = differences.map((ofSeeds) => Math.abs(mean(ofSeeds)) / (deviation(ofSeeds) / Math.sqrt(8)) > 3.636)
    expect(corrected).toEqual([true, false, false, false, false, false])
    expect(page).toContain(`without it, the mean of the other five tasks is ${signed(mean(effects.slice(1)))}.`)
  })
})

describe('the early window', () => {
  type Run = { readonly cell: string; readonly result: { readonly last: { readonly scores: Readonly<Record<string, number>> } } }
  const runs = ['rank-one', 'early-window'].flatMap((file) => stored<{ readonly runs: ReadonlyArray<Run> }>(file).runs)
  const scored = { cola: 'matthews', mrpc: 'accuracy', stsb: 'pearson', sst2: 'accuracy', qnli: 'accuracy', qqp: 'accuracy' }
  const early = 'salora_density=0.125_gate-start=0.02_gate-end=0.15'
  const score = (task: string, row: string, rest: string): number => {
    const run = runs.find(({ cell }) => cell === `${task}.${row}_eval-steps=100000.${rest}`)
    return 100 * (run?.result.last.scores[scored[task as 'cola']] ?? NaN)
  }
  /** those that all three rows have */
  const seedsOf = (task: string): ReadonlyArray<number> =>
    Array.from({ length: 8 }, (_, seed) => seed).filter((seed) => !Number.isNaN(score(task, early, `seed-${seed}`)))

  it('has the scores of its rows, and the differences of pairs', () => {
    const [fromLora, fromPaper]: [number[], number[]] = [[], []]
    const expected = Object.keys(scored).map((task) => {
      const seeds = seedsOf(task)
      const [lora, paper, own] = ['lora-1', 'salora_density=0.125', early].map((row) =>
        seeds.map((seed) => score(task, row, `seed-${seed}`)),
      )
      const pairs = own!.map((value, i) => value - lora![i]!)
      const ofPaper = mean(own!.map((value, i) => value - paper![i]!))
      fromLora.push(mean(pairs))
      fromPaper.push(ofPaper)
      const [low, high] = interval(pairs)
      return [
        ...[task, String(seeds.length), ...[lora!, paper!, own!].map((scores) => mean(scores).toFixed(2))],
        `${signed(mean(pairs), 2)} (${shown([low, high], 2)})`,
        low > 0 ? 'ahead' : high < 0 ? 'behind' : 'no difference shown',
        signed(ofPaper, 2),
      ]
    })
    const table = tableOf('rank-one', 'early-window')
    expect(table.slice(0, -1)).toEqual(expected)
    const [difference, verdict] = overall(fromLora, 2)
    expect(table.at(-1)?.slice(5)).toEqual([difference, verdict, overall(fromPaper, 2)[0]])
    const page = readFileSync('docs/results/rank-one.md', 'utf8')
    expect(page).toContain(`with the early window: ${overall(fromLora)[0].split(' (')[0]} points. It is level with the paper's window.`)
    expect(overall(fromPaper, 2)[1]).toBe('no difference shown')
    // Bonferroni over six tasks: t of 1 − 0.05 / 12 with 6 degrees of freedom
    const qnli = seedsOf('qnli').map((seed) => score('qnli', early, `seed-${seed}`) - score('qnli', 'lora-1', `seed-${seed}`))
    expect([qnli.length, qnli.every((pair) => pair > 0), mean(qnli) / (deviation(qnli) / Math.sqrt(7)) > 3.863]).toEqual([7, true, true])
    // the mean of the six tasks if LoRA had 1e-3 on CoLA and QNLI
    const atSame = ['cola', 'qnli'].map((task) => {
      const others = ['cola', 'qnli'].flatMap((file) => stored<{ readonly runs: ReadonlyArray<Run> }>(file).runs)
      const pairs = seedsOf(task).flatMap((seed) => {
        const other = others.find(({ cell }) => cell === `${task}.lora-1_learning-rate=1e-3_eval-steps=100000.seed-${seed}`)
        return other === undefined
          ? []
          : [score(task, early, `seed-${seed}`) - 100 * (other.result.last.scores[scored[task as 'cola']] ?? NaN)]
      })
      return mean(pairs)
    })
    const corrected = fromLora.map((effect, i) => (i === 0 ? atSame[0]! : i === 4 ? atSame[1]! : effect))
    expect(page).toContain(`the mean of the six tasks would be ${signed(mean(corrected))} in place of ${signed(mean(fromLora))}.`)
  })

  it('each rate is the best of two on the held-out rows', () => {
    for (const task of Object.keys(scored)) {
      const [low, high] = ['0.001', '0.003'].map((rate) => score(task, early, `grid-train-${rate}.seed-1000`))
      const table = tableOf('rank-one', 'held-out').filter(([title]) => title === 'SaLoRA, early window')
      const column = 2 + Object.keys(scored).indexOf(task)
      const bold = (value: number, isBest: boolean): string => (isBest ? `**${value.toFixed(2)}**` : value.toFixed(2))
      expect(table.map((row) => row[column])).toEqual([bold(low!, low! >= high!), bold(high!, high! > low!)])
    }
  })
})

describe('the lead on CoLA', () => {
  it('has the scores of its rows, and the differences of pairs', () => {
    type Run = { readonly cell: string; readonly result: { readonly last: { readonly scores: { readonly matthews: number } } } }
    const runs = ['rank-one', 'cola'].flatMap((file) => stored<{ readonly runs: ReadonlyArray<Run> }>(file).runs)
    const scoresOf = (row: string) =>
      Array.from({ length: 8 }, (_, seed) => {
        const run = runs.find(({ cell }) => cell === `cola.${row}_eval-steps=100000.seed-${seed}`)
        return 100 * (run?.result.last.scores.matthews ?? NaN)
      })
    const found = scoresOf('salora_density=0.125')
    const expected = ['lora-1', 'lora-1_learning-rate=1e-3', 'salora_density=0.125_retain=random_learning-rate=1e-3'].map((row) => {
      const scores = scoresOf(row)
      const pairs = found.map((score, seed) => score - scores[seed]!)
      const [low, high] = interval(pairs)
      return [
        ...['8', mean(scores).toFixed(2), mean(found).toFixed(2), `${signed(mean(pairs), 2)} (${shown([low, high], 2)})`],
        low > 0 ? 'ahead' : high < 0 ? 'behind' : 'no difference shown',
      ]
    })
    expect(tableOf('rank-one', 'cola-lead').map((row) => row.slice(2))).toEqual(expected)
    // the mean of the six tasks if LoRA had this rate
    const all = Number(tableOf('rank-one', 'best-rates').at(-1)?.[4]?.split(' ')[0])
    const [atOwn, atSame] = ['lora-1', 'lora-1_learning-rate=1e-3'].map((row) => mean(scoresOf(row)))
    const page = readFileSync('docs/results/rank-one.md', 'utf8')
    expect(page).toContain(`the mean of the six tasks would be ${signed(all + (atOwn! - atSame!) / 6)} in place of ${signed(all)}.`)
  })
})

describe('the lead on QNLI', () => {
  it('has the scores of its rows, and the differences of the pairs that both have', () => {
    type Run = { readonly cell: string; readonly result: { readonly last: { readonly scores: { readonly accuracy: number } } } }
    const runs = ['rank-one', 'early-window', 'qnli'].flatMap((file) => stored<{ readonly runs: ReadonlyArray<Run> }>(file).runs)
    const scoreOf = (row: string, seed: number): number => {
      const run = runs.find(({ cell }) => cell === `qnli.${row}_eval-steps=100000.seed-${seed}`)
      return 100 * (run?.result.last.scores.accuracy ?? NaN)
    }
    const early = 'salora_density=0.125_gate-start=0.02_gate-end=0.15'
    const expected = ['lora-1', 'lora-1_learning-rate=1e-3'].map((row) => {
      const all = Array.from({ length: 8 }, (_, seed) => [scoreOf(row, seed), scoreOf(early, seed)] as const)
      const both = all.filter(([other, own]) => !Number.isNaN(other + own))
      const pairs = both.map(([other, own]) => own - other)
      const [low, high] = interval(pairs)
      return [
        ...[String(both.length), ...[0, 1].map((i) => mean(both.map((pair) => pair[i]!)).toFixed(2))],
        ...[`${signed(mean(pairs), 2)} (${shown([low, high], 2)})`, low > 0 ? 'ahead' : high < 0 ? 'behind' : 'no difference shown'],
      ]
    })
    expect(tableOf('rank-one', 'qnli-lead').map((row) => row.slice(2))).toEqual(expected)
  })
})

describe('other choices of components', () => {
  const { runs } = stored<{
    readonly runs: ReadonlyArray<{
      readonly task: string
      readonly lossOfAll: number
      readonly matrices: ReadonlyArray<{ readonly d: number; readonly k: number; readonly r: number }>
      readonly components: { readonly logTheta: ReadonlyArray<number> }
      readonly choices: ReadonlyArray<{
        readonly order: string
        readonly kept: ReadonlyArray<number>
        readonly lossAfterCut: number
        readonly scores: Readonly<Record<string, number>> | null
      }>
    }>
  }>('component-choice')
  const orders = ['logTheta', 'ablatedLoss', 'random'] as const

  it('each keeps the budget of rank 1, and no more', () => {
    for (const { matrices, choices } of runs) {
      const costs = matrices.flatMap(({ d, k, r }) => Array.from({ length: r }, () => d + k))
      for (const { kept } of choices) {
        const cost = kept.reduce((sum, j) => sum + costs[j]!, 0)
        expect(cost).toBeLessThanOrEqual(41_472)
        expect(cost).toBeGreaterThan(41_472 - 768)
      }
    }
  })

  it('the gates keep all components that are open at T_end, so the cut changes no loss', () => {
    for (const { choices, components, lossOfAll } of runs) {
      const kept = new Set(choices.find(({ order }) => order === 'logTheta')!.kept)
      // τ = 1, γ = −0.1, ζ = 1.1: ĝ = min(1, max(0, 1.2 σ(log θ) − 0.1))
      const open = components.logTheta.flatMap((x, j) => (1.2 / (1 + Math.exp(-x)) - 0.1 > 0 ? [j] : []))
      expect(open.filter((j) => !kept.has(j))).toEqual([])
      for (const order of ['logTheta', 'size']) expect(choices.find((one) => one.order === order)!.lossAfterCut).toBeCloseTo(lossOfAll, 4)
    }
  })

  it('the table has the scores of the runs, and the differences from the gates', () => {
    const table = tableOf('rank-one', 'choices')
    const scores = runs.map(({ task, choices }) => ({
      task,
      of: orders.map((wanted) => 100 * Object.values(choices.find(({ order }) => order === wanted)!.scores!)[0]!),
    }))
    expect(table.slice(0, -1)).toEqual(
      scores.map(({ task, of: [gates, ablated, random] }) => [
        task,
        ...[gates!, ablated!, random!].map((score) => score.toFixed(2)),
        signed(ablated! - gates!, 2),
        signed(random! - gates!, 2),
      ]),
    )
    expect(table.at(-1)?.slice(4)).toEqual(
      [1, 2].map((other) =>
        overall(
          scores.map(({ of }) => of[other]! - of[0]!),
          2,
        ).join(': '),
      ),
    )
  })
})

describe('scores by budget', () => {
  type Run = {
    readonly config: {
      readonly task: { readonly task: string; readonly holdOutTrain?: boolean }
      readonly settings: Readonly<Record<string, unknown>>
    }
    readonly result: { readonly last: { readonly scores: Readonly<Record<string, number>> } }
  }
  const runs = ['rank-one', 'budgets']
    .flatMap((name) => stored<{ readonly runs: ReadonlyArray<Run> }>(name).runs)
    .filter(({ config }) => config.task.holdOutTrain !== true)
  const score = (task: string, seed: number, settings: Readonly<Record<string, unknown>>): number => {
    const found = runs.filter(
      ({ config }) =>
        config.task.task === task &&
        config.settings['seed'] === seed &&
        Object.entries(settings).every(([name, value]) => config.settings[name] === value),
    )
    expect(found.length, JSON.stringify([task, seed, settings])).toBe(1)
    return 100 * Object.values(found[0]!.result.last.scores)[0]!
  }

  it('are means over three tasks, and both methods have the same seeds', () => {
    const cells = { '2': 0.25, '4': 0.5 } as const
    for (const [rank, density] of Object.entries(cells)) {
      const row = tableOf('rank-one', 'budgets').find(([first]) => first === rank)
      if (row === undefined) continue
      const seeds = Array.from({ length: Number(row[2]) }, (_, seed) => seed)
      const [lora, salora] = [
        { method: 'lora', rank: Number(rank) },
        { method: 'salora', density },
      ].map((settings) => ['cola', 'sst2', 'stsb'].map((task) => mean(seeds.map((seed) => score(task, seed, settings)))))
      expect(row.slice(3)).toEqual([
        mean(lora!).toFixed(2),
        mean(salora!).toFixed(2),
        overall(
          salora!.map((value, i) => value - lora![i]!),
          2,
        )[0],
      ])
    }
    expect(tableOf('rank-one', 'budgets').length).toBeGreaterThan(1)
  })

  it('each method has the same rate for a task at every budget', () => {
    for (const method of ['lora', 'salora'])
      for (const task of ['cola', 'sst2', 'stsb']) {
        const rates = runs
          .filter(({ config }) => config.settings['method'] === method && config.task.task === task)
          .map(({ config }) => config.settings['learningRate'])
        expect(new Set(rates).size, `${method}, ${task}`).toBe(1)
      }
  })
})
