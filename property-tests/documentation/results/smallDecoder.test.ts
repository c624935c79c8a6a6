/** The page of the small decoder: its tables have the losses of the runs, computed here once more. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { stored, tableOf, type ComparedRun } from './storedRuns.js'
import { expectMoreSeeds, interval, mean, overall, signed } from './statistics.js'

describe('a small decoder', () => {
  const early = 'salora:density=0.125:gate-start=0.02:gate-end=0.15'
  const { runs } = stored<{ readonly runs: ReadonlyArray<ComparedRun> }>('decoder')
  const all = runs.map(({ variant, seed, last, ranks = {} }) => {
    const words = variant.split(' ')
    const at = words.findIndex((word) => word.includes(':learning-rate='))
    const [row = '', rate] = words[at]!.split(':learning-rate=')
    return {
      part: words[0],
      set: at === 2 ? words[1]! : 'alpaca',
      row: [row, ...words.slice(at + 1)].join(' '),
      rate: Number(rate!.split(' ')[0]),
      seed,
      loss: last.scores['loss'] ?? NaN,
      ranks: Object.entries(ranks).filter(([, rank]) => rank > 0),
    }
  })
  const choosing = (row: string, set = 'alpaca') => all.filter((run) => run.part === 'choose' && run.set === set && run.row === row)
  const leastOf = <T extends { readonly loss: number }>(tried: ReadonlyArray<T>): T | undefined =>
    tried.find(({ loss }) => loss === Math.min(...tried.map((run) => run.loss)))
  const lowest = (row: string) => leastOf(choosing(row))
  const [onVO, fromOne] = ['lora-1:target-modules=v_proj+o_proj', 'salora-1:density=0.1887:gate-start=0.02:gate-end=0.15']
  const fifth = {
    'lora-1:target-modules=q_proj+v_proj': 'LoRA, r = 1, on query and value',
    [onVO]: 'LoRA, r = 1, on value and output',
    'salora:density=0.0236:gate-start=0.02:gate-end=0.15': 'SaLoRA, from 8 components of each matrix',
    [fromOne]: 'SaLoRA, from one of each',
    [`${fromOne}:retain=random`]: 'SaLoRA, from one of each, random ones kept',
    [`lora-1 on ranks of ${fromOne}:learning-rate=3e-3`]: 'LoRA from scratch on the ones that SaLoRA kept',
  }
  const sets = {
    alpaca: 'Alpaca',
    tales: "Grimm's tales",
    tinyshakespeare: 'tinyshakespeare',
    'wiki.valid': 'WikiText-2',
    'yelp_shen2017.negative': 'Yelp, negative',
  }
  const kinds = {
    'lora-1:target-modules=q_proj+v_proj': 'query and value',
    [onVO]: 'value and output',
    'lora-1:target-modules=up_proj': '`up_proj`',
    'lora-1:target-modules=down_proj': '`down_proj`',
  }
  const choices = {
    [fromOne]: 'one of each matrix',
    'salora-1:target-modules=up_proj+down_proj:density=0.5:gate-start=0.02:gate-end=0.15': 'one of each `up_proj` and `down_proj`',
    'salora-2:target-modules=up_proj:density=0.5:gate-start=0.02:gate-end=0.15': 'two of each `up_proj`',
  }
  /** What a candidate of the plan adds to SaLoRA's row, by the table that shows it. */
  const candidates = {
    'less-noise': [':gate-noise=antithetic', ':beta=0', ':orthogonality-scale=free'],
    'without-sampling': [':retain=random', ':retain=magnitude', ':retain=magnitude:beta=0', ':gate-kind=plain'],
  }
  const isCandidate = (row: string): boolean =>
    [fromOne, early].some((one) =>
      Object.values(candidates)
        .flat()
        .some((added) => row === one + added),
    )
  /** Rows of the figure by budget: the methods by average rank. */
  const byBudget: Readonly<Record<string, ReadonlyArray<ReadonlyArray<string>>>> = {
    LoRA: [[onVO], ['lora-1'], ['lora-2'], ['lora-4'], ['lora-8']],
    'SaLoRA, early window': [
      [fromOne],
      [early],
      ['salora:density=0.25:gate-start=0.02:gate-end=0.15'],
      ['salora:density=0.5:gate-start=0.02:gate-end=0.15'],
      [],
    ],
    'LoRA+': [[], ['lora-1:loraplus-lr-ratio=4', 'lora-1:loraplus-lr-ratio=16'], [], [], []],
    AdaLoRA: [[], ['adalora:init-r=2:target-r=1:lora-alpha=4'], [], [], []],
  }
  /** Whether a row is one of this figure alone. */
  const isOfBudgets = (row: string): boolean => row !== 'lora-1' && row !== early && Object.values(byBudget).flat(2).includes(row)
  const lossOfRow = (row: string, set: string): number | undefined => choosing(row, set).find(({ rate }) => rate === 3e-3)?.loss
  /** The row that a set's texts choose. */
  const chosenOf = (rows: Readonly<Record<string, string>>, set: string): string =>
    Object.keys(rows).reduce((best, row) => ((lossOfRow(row, set) ?? Infinity) < (lossOfRow(best, set) ?? Infinity) ? row : best), '')
  const kindOf = (set: string): string => chosenOf(kinds, set)
  const lastLayers = 'lora-1 on ranks of lastLayers.json'
  const titles = { 'lora-8': 'LoRA, r = 8', 'lora-1': 'LoRA, r = 1', 'salora:density=0.125': 'SaLoRA, from 8 to 1' }

  it('runs that choose are of Alpaca, but for kinds of matrices and rows of SaLoRA, and have a seed that no reported run has', () => {
    for (const { part, set, row, seed } of all) {
      expect(seed >= 100).toBe(part === 'choose')
      if (part === 'choose' && set !== 'alpaca') expect(row in kinds || row in choices || isCandidate(row)).toBe(true)
    }
  })

  const [half, halfEarly] = ['salora:density=0.5', 'salora:density=0.5:gate-start=0.02:gate-end=0.15']
  /** Rows of the windows have a rate of these; the figure by budget has another rate of one of them. */
  const ofWindow = (row: string) => choosing(row).filter(({ rate }) => rate <= 1e-3)
  const windows = {
    [half]: "0.2 to 0.5, the paper's",
    'salora:density=0.5:gate-start=0.05:gate-end=0.3': '0.05 to 0.3',
    [halfEarly]: '0.02 to 0.15',
  }

  it.each([
    ['windows', windows],
    ['rates', titles],
    ['fifth-rates', fifth],
  ])('the table of %s has the losses of the rows that choose, and the lowest of each row is bold', (region, rows) => {
    const table = tableOf('small-decoder', region)
    expect(table.length).toBe(Object.keys(rows).length)
    for (const [row, title] of Object.entries(rows)) {
      const cells = table.find(([name]) => name === title)?.slice(2)
      const tried = region === 'windows' ? ofWindow(row) : choosing(row)
      const own = tried.map(({ loss }) => (loss === leastOf(tried)?.loss ? `**${loss.toFixed(3)}**` : loss.toFixed(3)))
      expect(cells?.filter((cell) => cell !== '–').sort(), title).toEqual(own.sort())
    }
  })

  it('reported runs have the window that was best on the rows that choose', () => {
    expect(lowest('lora-1')?.rate).toBe(lowest('salora:density=0.125')?.rate)
    const own = all.filter(({ part }) => part === 'choose')
    const best = (method: string, isFifth: boolean) =>
      Math.min(
        ...own
          .filter(
            ({ row }) =>
              row.startsWith(method) &&
              !(row in windows) &&
              (row in fifth || row in kinds) === isFifth &&
              !(row in choices && row !== fromOne) &&
              !isCandidate(row) &&
              (isFifth || !isOfBudgets(row)) &&
              !row.includes(' on '),
          )
          .map(({ loss }) => loss),
      )
    expect(best('salora', false)).toBe(lowest(early)?.loss)
    expect(best('salora', true)).toBe(lowest(fromOne)?.loss)
    expect(Math.min(...Object.keys(windows).map((row) => leastOf(ofWindow(row))?.loss ?? Infinity))).toBe(
      leastOf(ofWindow(halfEarly))?.loss,
    )
    for (const { part, row } of all)
      if (part === 'report')
        expect([
          'lora-1',
          'lora-8',
          early,
          `${early}:retain=random`,
          onVO,
          fromOne,
          `${fromOne}:retain=random`,
          lastLayers,
          ...Object.keys({ ...kinds, ...choices }),
          half,
          halfEarly,
          'lora-2',
          'salora:density=0.25:gate-start=0.02:gate-end=0.15',
          'lora-1 on ranks of eva.json',
        ]).toContain(row)
    for (const { part, row, rate } of all)
      if (part === 'report' && row in windows) expect(rate).toBe(leastOf(ofWindow(row))?.rate)
      else if (part === 'report' && row === 'lora-8') expect([4e-4, lowest(row)?.rate]).toContain(rate)
      else if (part === 'report' && (row in fifth || row in kinds || row in choices || isOfBudgets(row)))
        expect(rate).toBe(lowest(row)?.rate)
  })

  it('the table of variants has every run that chose at this rate, and its difference from LoRA', () => {
    const lora = lowest('lora-1')
    const expected = all
      .filter(
        ({ part, set, rate, row }) =>
          part === 'choose' &&
          set === 'alpaca' &&
          rate === lora?.rate &&
          !isOfBudgets(row) &&
          !isCandidate(row) &&
          !(row in fifth || row in kinds || row in choices || row in windows),
      )
      .map(({ loss }) => [loss.toFixed(4), loss === lora?.loss ? '' : signed(loss - lora!.loss, 4)].join(' '))
    const shown = tableOf('small-decoder', 'variants').map(([, loss, difference]) => [loss, difference].join(' '))
    expect(shown.sort()).toEqual(expected.sort())
  })

  it('says what more seeds would change, by components of variance', () => {
    const differences = tableOf('small-decoder', 'fifth-tuned')
      .slice(0, 5)
      .map((row) => (row.at(-1) ?? '').split(', ').map((text) => Number(text.replace('−', '-'))))
    const page = readFileSync('docs/results/small-decoder.md', 'utf8')
    expectMoreSeeds(page, differences, 4)
    const better = differences.filter((ofSet) => mean(ofSet) < 0).flat()
    expect(page).toContain(
      `SaLoRA is better on three sets, in ${better.filter((x) => x < 0).length} pairs of ${better.length}, and worse on two, in all pairs.`,
    )
    const worse = differences.filter((ofSet) => mean(ofSet) > 0)
    expect([worse.length, worse.flat().every((x) => x > 0)]).toEqual([2, true])
  })

  it("the means of LoRA on EVA's ranks are those of its pairs with each base", () => {
    const lossesOf = (set: string, row: string) =>
      new Map(
        all
          .filter((run) => run.part === 'report' && run.set === set && run.row === row && run.rate === 3e-3)
          .map((run) => [run.seed, run.loss]),
      )
    const expected = [() => onVO, kindOf].map((baseOf) => {
      const effects = Object.keys(sets).map((set) => {
        const [base, eva] = [lossesOf(set, baseOf(set)), lossesOf(set, 'lora-1 on ranks of eva.json')]
        return mean([...eva].map(([seed, loss]) => loss - base.get(seed)!))
      })
      const [text, direction] = overall(effects, 4)
      return `${text}: ${{ ahead: 'worse', behind: 'better', 'no difference shown': 'no difference shown' }[direction]}`
    })
    expect(tableOf('small-decoder', 'fifth-eva-means').map(([, last]) => last)).toEqual(expected)
    const pairs = tableOf('small-decoder', 'fifth-eva')
      .slice(0, 5)
      .flatMap((row) => (row.at(-1) ?? '').split(', '))
    expect([pairs.filter((pair) => pair.startsWith('−')).length, pairs.length]).toEqual([8, 10])
  })

  it.each([
    ['reported', () => 'lora-1', () => early],
    ['rank-two', () => 'lora-2', () => 'salora:density=0.25:gate-start=0.02:gate-end=0.15'],
    ['fifth-reported', () => onVO, () => fromOne],
    ['fifth-tuned', kindOf, () => fromOne],
    ['fifth-both', kindOf, (set: string) => chosenOf(choices, set)],
    ['fifth-random', () => `${fromOne}:retain=random`, () => fromOne],
    ['fifth-eva', () => 'lora-1 on ranks of eva.json', () => fromOne],
    ['windows-reported', () => half, () => halfEarly],
    ['default-rate', () => 'lora-8', () => 'lora-8', 4e-4],
  ])(
    'the table of %s has the losses of each set of text by seed, and means that are clustered by set',
    (region, baseOf, saloraOf, baseRate?: number) => {
      const table = tableOf('small-decoder', region)
      const saloraRows = Object.keys(sets).map(saloraOf)
      const ofRows = all.filter(({ part, row }) => part === 'report' && saloraRows.includes(row))
      const rates = [...new Set(ofRows.map(({ rate }) => rate))].filter((rate) => rate !== baseRate)
      for (const rate of rates) {
        const [effects, seeds]: [number[], number[]] = [[], []]
        const shown = table.filter(([text]) => Number(text) === rate)
        for (const [set, title] of Object.entries(sets)) {
          const of = (row: string, at: number) =>
            all
              .filter((run) => run.part === 'report' && run.set === set && run.row === row && run.rate === at)
              .sort((a, b) => a.seed - b.seed)
          const pairs = of(baseOf(set), baseRate ?? rate).flatMap((lora) =>
            of(saloraOf(set), rate)
              .filter(({ seed }) => seed === lora.seed)
              .map((found) => [lora.loss, found.loss] as const),
          )
          const row = shown.find(([, name]) => name === title)
          if (pairs.length === 0) expect(row, `${title} at ${rate}`).toBeUndefined()
          else {
            seeds.push(pairs.length)
            effects.push(mean(pairs.map(([lora, found]) => found - lora)))
            expect(row?.slice(2), `${title} at ${rate}`).toEqual([
              pairs.map(([lora]) => lora.toFixed(4)).join(', '),
              pairs.map(([, found]) => found.toFixed(4)).join(', '),
              pairs.map(([lora, found]) => signed(found - lora, 4)).join(', '),
            ])
          }
        }
        if (effects.length < 2) continue
        const [low, high] = interval(effects)
        const verdict = Math.min(...seeds) < 2 ? 'one seed on some sets' : high < 0 ? 'better' : low > 0 ? 'worse' : 'no difference shown'
        expect(shown.at(-1)?.at(-1)).toBe(`${overall(effects, 4)[0]}: ${verdict}`)
      }
    },
  )

  it.each([
    [
      'less-noise',
      [
        ['tales', fromOne],
        ['wiki.valid', fromOne],
        ['alpaca', early],
      ],
    ],
    ['without-sampling', Object.keys(sets).map((set) => [set, fromOne])],
  ] as const)('the table of %s has the losses of the rows that choose, and their differences from SaLoRA as it is', (region, columns) => {
    const expected = ['', ...candidates[region]].map((more) =>
      columns.map(([set = '', row = '']) => {
        const [unchanged, loss] = [lossOfRow(row, set), lossOfRow(row + more, set)]
        return loss === undefined ? '–' : more === '' ? loss.toFixed(4) : `${loss.toFixed(4)} (${signed(loss - unchanged!, 4)})`
      }),
    )
    expect(tableOf('small-decoder', region).map(([, ...cells]) => cells)).toEqual(expected)
    const rows: ReadonlyArray<string> = columns.flatMap(([, row = '']) => candidates[region].map((more) => row + more))
    const shown = all.filter(({ part, row, rate }) => part === 'choose' && rows.includes(row) && rate === 3e-3).length
    expect(
      expected
        .slice(1)
        .flat()
        .filter((cell) => cell !== '–').length,
    ).toBe(shown)
  })

  it('the table by budget has the loss of each method at its best rate', () => {
    const expected = Object.entries(byBudget).map(([title, columns]) => [
      title,
      ...columns.map((rows) => {
        const tried = rows.flatMap((row) => choosing(row)).sort((a, b) => a.loss - b.loss)
        return tried[0] === undefined ? '–' : `${tried[0].loss.toFixed(3)} at ${tried[0].rate.toExponential()}`
      }),
    ])
    expect(tableOf('small-decoder', 'budgets')).toEqual(expected)
  })

  it("the table of an encoder has the scores of both windows by seed, and the rule's difference of their means", () => {
    const metrics = { cola: 'matthews', mrpc: 'accuracy', sst2: 'accuracy', stsb: 'pearson' }
    const cells = stored<{
      readonly runs: ReadonlyArray<{
        readonly config: {
          readonly task: { readonly task: string }
          readonly settings: { readonly gateStart: number; readonly seed: number }
        }
        readonly result: ComparedRun
      }>
    }>('window').runs
    const table = tableOf('small-decoder', 'windows-encoder')
    const effects = Object.entries(metrics).map(([task, metric]) => {
      const of = (start: number) =>
        cells
          .filter(({ config }) => config.task.task === task && config.settings.gateStart === start)
          .sort((a, b) => a.config.settings.seed - b.config.settings.seed)
          .map(({ result }) => 100 * (result.last.scores[metric] ?? NaN))
      const [paper, early] = [of(0.2), of(0.02)]
      expect(paper.length).toBe(2)
      expect(early.length).toBe(2)
      const pairs = early.map((score, i) => score - paper[i]!)
      const shown = [paper, early].map((scores) => scores.map((score) => score.toFixed(2)).join(', '))
      expect(table.find(([name]) => name === task)?.slice(1)).toEqual([...shown, pairs.map((pair) => signed(pair, 2)).join(', ')])
      return mean(pairs)
    })
    expect(table.at(-1)?.at(-1)).toBe(overall(effects, 2).join(': '))
  })

  it('other pages have the mean that 1e-3 is ahead of the default rate', () => {
    const [, ahead, verdict] = /−(\d\.\d+) ± .*: (.+)$/.exec(tableOf('small-decoder', 'default-rate').at(-1)?.at(-1) ?? '') ?? []
    expect(verdict).toBe('better')
    const page = readFileSync('docs/results/small-decoder.md', 'utf8')
    const [low, high] = [4e-4, 1e-3].map((rate) => choosing(halfEarly).find((run) => run.rate === rate)?.loss ?? NaN)
    expect(page).toContain(`SaLoRA also has ${(low! - high!).toFixed(3)} less loss at 1e-3`)
    const means = page.matchAll(/\| \*\*mean\*\* \| {2}\| {2}\| [+−](\d\.\d{4}) ±/g)
    expect(Math.max(...Array.from(means, ([, mean]) => Number(mean)))).toBe(Number(ahead)) // no two methods differ by more
    for (const page of ['how-to/choose-a-method', 'explanation/salora-and-lora'])
      expect(readFileSync(`docs/${page}.md`, 'utf8'), page).toContain(`${Number(ahead).toFixed(3)} less loss`)
  })

  it('the table of larger decoders has the loss of every run, and the differences of pairs', () => {
    const models = { 'decoder-gemma': 'Gemma 3 270M', 'decoder-qwen': 'Qwen2.5-Coder 0.5B' }
    const losses = new Map<string, number>(
      Object.entries(models).flatMap(([file, model]) =>
        stored<{ readonly runs: ReadonlyArray<ComparedRun> }>(file).runs.map(({ variant, last }) => {
          const [, set = '', rate] = /^report (.+) lora-8:learning-rate=(.+)$/.exec(variant) ?? []
          return [`${model}, ${sets[set as keyof typeof sets]}, ${rate}`, last.scores['loss'] ?? NaN] as const
        }),
      ),
    )
    const shown = tableOf('small-decoder', 'larger-decoders').flatMap(([model, text, ...cells]) => {
      const keys = ['4e-4', '1e-3'].map((rate) => `${model}, ${text}, ${rate}`)
      const [low, high] = keys.map((key) => losses.get(key))
      const difference = low === undefined || high === undefined ? '–' : signed(high - low, 4)
      expect(cells).toEqual([low?.toFixed(4) ?? '–', high?.toFixed(4) ?? '–', difference])
      return keys.filter((key) => losses.has(key))
    })
    expect(losses.size).toBeGreaterThan(2)
    expect(shown.sort()).toEqual([...losses.keys()].sort())
  })

  it('the summary has the verdicts of the tables', () => {
    const page = readFileSync('docs/results/small-decoder.md', 'utf8').replaceAll('\n', ' ')
    const verdicts = (region: string) =>
      tableOf('small-decoder', region).flatMap(([, , , , last = '']) => /: (.+)$/.exec(last)?.slice(1) ?? [])
    expect(verdicts('reported')).toEqual(['one seed on some sets', 'no difference shown'])
    expect(page).toContain('at rank 1, no difference is shown on five sets of text')
    expect(verdicts('fifth-reported')).toEqual(['better'])
    expect(verdicts('fifth-random')).toEqual(['better'])
    expect(page).toContain('It is better than random components, and than LoRA on value and output.')
    expect(verdicts('fifth-tuned')).toEqual(['no difference shown'])
    expect(page).toContain('If LoRA tries four kinds of matrices for each set, no difference is shown.')
    expect(verdicts('fifth-both')).toEqual(['no difference shown'])
    expect(page).toContain('That also holds if SaLoRA tries three rows for each set.')
    expect(verdicts('rank-two')).toEqual(['no difference shown'])
    expect(page).toContain('no difference is shown on five sets of text, nor at rank 2')
  })

  it.each([
    ['fifth-kinds', kinds],
    ['fifth-choices', choices],
  ])('the table of %s has the losses of the rows that choose by set, and the lowest of each set is bold', (region, rows) => {
    const expected = Object.entries(rows).map(([row, title]) => [
      title,
      ...Object.keys(sets).map((set) => {
        const loss = lossOfRow(row, set)
        return loss === undefined ? '–' : chosenOf(rows, set) === row ? `**${loss.toFixed(3)}**` : loss.toFixed(3)
      }),
    ])
    expect(tableOf('small-decoder', region).map(([title, , ...losses]) => [title, ...losses])).toEqual(expected)
  })

  it('the table of kept components has their number by kind of matrix and by layers, of seed 0', () => {
    const table = tableOf('small-decoder', 'fifth-kept')
    const found = all.filter(({ part, row, seed }) => part === 'report' && row === fromOne && seed === 0)
    expect(table.length).toBe(found.length)
    const rowOf = (ranks: ReadonlyArray<readonly [string, number]>): ReadonlyArray<string> => {
      const counts = [0, 0, 0, 0, 0]
      for (const [name, rank] of ranks) {
        const [, layer, , kind = ''] = name.split('.')
        counts[0]! += rank
        if (kind === 'v_proj' || kind === 'o_proj') counts[1]! += rank
        counts[Number(layer) < 10 ? 2 : Number(layer) < 20 ? 3 : 4]! += rank
      }
      return counts.map(String)
    }
    expect(table.map(([, ...cells]) => cells.join()).sort()).toEqual(found.map(({ ranks }) => rowOf(ranks).join()).sort())
  })

  it('the words have the differences of the rows that chose', () => {
    const page = readFileSync('docs/results/small-decoder.md', 'utf8').replaceAll('\n', ' ')
    const between = (higher: string, lower: string): string => ((lowest(higher)?.loss ?? NaN) - (lowest(lower)?.loss ?? NaN)).toFixed(3)
    const salora = 'salora:density=0.125'
    expect(page).toContain(`LoRA has ${between('lora-1', 'lora-8')} less loss with rank 8`)
    expect(page).toContain(`the run is ${between(salora, 'lora-1')} behind LoRA`)
    expect(page).toContain(`An early window was ${between('lora-1', early)} ahead of LoRA here`)
    expect(page).toContain(`Value and output have ${between('lora-1:target-modules=q_proj+v_proj', onVO)} less loss`)
    expect(page).toContain(`random components are ${between(`${fromOne}:retain=random`, fromOne)} behind`)
    const behind = (added: string): ReadonlyArray<number> =>
      Object.keys(sets)
        .flatMap((set) => (lossOfRow(fromOne + added, set) ?? NaN) - (lossOfRow(fromOne, set) ?? NaN))
        .filter(Number.isFinite)
    const [largest, plain] = [behind(':retain=magnitude'), behind(':gate-kind=plain')]
    expect(page).toContain(
      `behind on all ${['two', 'three', 'four', 'five'][largest.length - 2]} sets that ran, by ${Math.min(...largest).toFixed(3)} to ${Math.max(...largest).toFixed(3)}. Plain gates are behind on both texts, by ${plain.map((loss) => loss.toFixed(3)).join(' and ')}.`,
    )
    const leads = [0, 1, 2, 3].map((i) => between(byBudget['LoRA']![i]![0]!, byBudget['SaLoRA, early window']![i]![0]!))
    const ahead = leads.slice(1).sort()
    expect(page).toContain(`is ${leads[0]!.replace('-', '')} behind LoRA at 0.19, and ${ahead[0]} to ${ahead.at(-1)} ahead from 1 to 4`)
    expect(page).toContain(`A lead of ${leads[2]} in single runs`)
    const onWiki = (row: string) =>
      all.find((run) => run.part === 'report' && run.row === row && run.set === 'wiki.valid' && run.seed === 0)
    expect(page).toContain(
      `LoRA's loss is ${onWiki(lastLayers)?.loss.toFixed(3)} on WikiText-2, and SaLoRA's ${onWiki(fromOne)?.loss.toFixed(3)}`,
    )
    const best = Object.keys(sets).filter((set) => kindOf(set) === 'lora-1:target-modules=up_proj')
    expect(page).toContain(`\`up_proj\` is LoRA's best kind on ${['no', 'one', 'two', 'three', 'four', 'five'][best.length]} sets of five`)
    expect(page).toContain(`the loss is ${between(`${salora}:retain=random`, salora)} higher than SaLoRA's`)
  })
})
