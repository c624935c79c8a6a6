/** The report: it has the numbers of the files, shows every name as text, and skips unfinished or damaged runs. */
import { createHash } from 'node:crypto'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeReport } from '../../../reporting/report/makeReport.js'
import { ranksOf, writeRun } from './reportRuns.js'

let root = ''
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-report-'))
})
afterAll(() => rm(root, { recursive: true }))

const unescaped = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')

/** The CSV of a figure or a table, as records. */
const recordsIn = (page: string, name: string): readonly Readonly<Record<string, string>>[] => {
  const [, csv] = new RegExp(`<textarea id="csv-${name}"[^>]*>\\n([^<]*)</textarea>`).exec(page) ?? []
  if (csv === undefined) throw new Error(`expected a CSV of ${name}, got none`)
  return parse(unescaped(csv), { columns: true })
}
const reportOf = async (...folders: readonly string[]) => {
  const output = at('report.html')
  const result = await makeReport({ folders, output, figures: null })
  return { result, page: await readFile(output, 'utf8') }
}

describe('a report', () => {
  it('shows matrices named like parts of JavaScript, where one run has only some of them', async () => {
    const names = ['constructor', 'valueOf', 'toString', 'hasOwnProperty', 'isPrototypeOf']
    const ranks = (count: number) =>
      Object.fromEntries(names.slice(0, count).flatMap((name, i) => [`a.layer.${i}.${name}`, name].map((one) => [one, i + 1] as const)))
    await writeRun(at('names', 'one'), { seed: 0, ranks: ranks(5) })
    await writeRun(at('names', 'two'), { seed: 1, ranks: ranks(2) })
    const { page, result } = await reportOf(at('names'))
    expect(result.warnings).toEqual([])
    const means = recordsIn(page, 'figure7-ranks').map((record) => [record['matrix'], Number(record['mean rank'])])
    expect(new Map(means as Iterable<[string, number]>)).toEqual(
      new Map(names.flatMap((name, i) => [`a.layer.${i}.${name}`, name].map((one) => [one, i + 1] as const))),
    )
  })

  it('has the numbers of result.json and metrics.jsonl, to the last digit', async () => {
    const accuracies = [0.70123456789012, 0.80987654321098]
    const losses = [(step: number) => 1 / step, (step: number) => 3 / step]
    const made = await Promise.all(
      accuracies.map((accuracy, seed) =>
        writeRun(at('whole', `run-${seed}`), { seed, accuracy, lossAt: losses[seed] ?? (() => 0), ranks: ranksOf(1, 2, 3, seed) }),
      ),
    )
    const { page, result } = await reportOf(at('whole'))
    expect(result).toMatchObject({ runs: 2, series: 1, skipped: [] })
    expect(recordsIn(page, 'runs').map((record) => [record['run'], Number(record['last']), Number(record['lambda'])])).toEqual(
      made.map(({ result: { last, lambda } }, seed) => [`whole/run-${seed}`, last.scores.accuracy, lambda]),
    )
    const [scores] = recordsIn(page, 'scores')
    expect(scores).toMatchObject({
      task: 'mrpc',
      series: 'salora',
      runs: '2',
      metric: 'accuracy',
      'method parameters': '1010',
      'head parameters': '20',
    })
    expect(Number(scores?.['last'])).toBeCloseTo((0.70123456789012 + 0.80987654321098) / 2, 14)
    expect(Number(scores?.['max deviation'])).toBeCloseTo((0.80987654321098 - 0.70123456789012) / 2, 14)
    expect(recordsIn(page, 'loss').map((record) => [record['last step'], record['mean'], record['min'], record['max']])).toEqual(
      [1, 2, 3, 4].map((step) => [String(step), String((1 / step + 3 / step) / 2), String(1 / step), String(3 / step)]),
    )
    expect(recordsIn(page, 'figure6-lambda').map((record) => Number(record['mean']))).toEqual([1, 10, 100, 1000])
    expect(recordsIn(page, 'figure6-density').map((record) => Number(record['mean']))).toEqual([1, 0.875, 0.75, 0.625])
    expect(recordsIn(page, 'figure6-orthogonality-A').map((record) => Number(record['mean']))).toEqual([60, 58, 56, 54])
    expect(recordsIn(page, 'figure6-orthogonality-B').map((record) => Number(record['mean']))).toEqual([40, 41, 42, 43])
    expect(page).not.toContain('id="orthogonality"') // both factors have a figure of their own
    const ranks = recordsIn(page, 'figure7-ranks')
    expect(ranks.map((record) => [record['layer'], record['mean rank'], record['min'], record['max']])).toEqual([
      ['0', '1', '1', '1'],
      ['0', '2', '2', '2'],
      ['1', '3', '3', '3'],
      ['1', '0.5', '0', '1'],
    ])
    expect(recordsIn(page, 'learning-rate').map((record) => Number(record['mean']))).toEqual([1, 2, 3, 4].map((step) => 0.001 / step))
    expect(recordsIn(page, 'gradient-norm').map((record) => Number(record['mean']))).toEqual([1, 2, 3, 4])
    expect(recordsIn(page, 'evaluation-loss').map((record) => Number(record['mean']))).toEqual([0.5])
  })

  it('has a chart for each task, with an alternative text, and with text in the color of the page', async () => {
    const { page } = await reportOf(at('whole'))
    expect(page).toMatch(/role="img" aria-label="Training loss, mrpc: task loss over steps\. salora: from 2 at step 1 to 0\.5 at step 4\."/)
    const charts = (page.split('<script')[0] ?? '').match(/<svg xmlns[\s\S]*?<\/svg>/g) ?? []
    expect(charts.length).toBe(10) // score, two losses, learning rate, gradient norm, four of Figure 6, ranks
    for (const chart of charts) {
      expect(chart).toContain('currentColor')
      expect(chart).not.toMatch(/fill="(#000|black)"/)
    }
  })

  it('begins with the kept score beside the last one and the baseline, in human units, without a deviation of one run', async () => {
    const scores = (accuracy: number) => ({ accuracy, loss: 0.5 })
    await writeRun(at('one'), {
      task: 'reviews',
      steps: 240,
      result: {
        majority: { label: 'fine <b>', share: 0.5 },
        best: { step: 200, scores: scores(0.9467) },
        last: { step: 240, scores: scores(0.9417) },
        kept: { which: 'best', step: 200 },
        retainedParameters: 500,
        modelParameters: 125_000_000,
        seconds: 200.4,
        peakMemoryBytes: 578_123_456,
        finishedAt: '2026-11-28T01:02:03.000Z',
      },
    })
    const { page } = await reportOf(at('one'))
    const [first = ''] = page.split('<main>')
    const text = unescaped(first.replace(/<(style|title)[\s\S]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ')
    for (const part of [
      'reviews 94.7 % right on 5 held-out rows; always answering “fine <b>” gets 50.0 %. tiny fine-tuned with salora',
      '28 November 2026, 01:02 UTC',
      'Accuracy 94.7 % +44.7 points over always “fine <b>” (50.0 %)',
      'kept: step 200; the last, step 240: 94.2 %',
      "Parameters kept 500 under 0.1 % of the model's 125 M",
      'Time 3 min 20 s 240 steps, 0.84 s each',
      'Peak memory 578 MB',
    ])
      expect(text).toContain(part)
    const [scored] = recordsIn(page, 'scores')
    expect(scored).toMatchObject({ kept: '0.9467', last: '0.9417', 'max deviation': '', '95% from': '', '95% to': '' })
    const [, table = ''] = /<section id="scores"[\s\S]*?(<table>[\s\S]*?<\/table>)/.exec(page) ?? []
    expect(table).toMatch(/<td class="n">94\.7 %<\/td><td class="n">94\.2 %<\/td>/)
    expect(table).not.toMatch(/deviation|interval|±/)
    const [run] = recordsIn(page, 'runs')
    expect(run).toMatchObject({ kept: '0.9467', 'kept step': '200', last: '0.9417', 'last step': '240', best: '0.9467' })
  })

  it('lists the best series first, marks saved checkpoint and baseline in their chart, and folds how training went', async () => {
    const majority = { label: 'good', share: 0.55 }
    for (const [name, method, accuracy] of [
      ['a', 'lora', 0.7],
      ['b', 'salora', 0.9],
      ['c', 'full', 0.8],
    ] as const)
      await writeRun(at('ordered', name), { task: 'reviews', method, accuracy, result: { majority } })
    const { page } = await reportOf(at('ordered'))
    expect(recordsIn(page, 'scores').map(({ series }) => series)).toEqual(['salora', 'full', 'lora'])
    const [, data = ''] = /<script type="application\/json" id="charts">([\s\S]*?)<\/script>/.exec(page) ?? []
    const { 'score-reviews': score } = JSON.parse(data) as Readonly<Record<string, unknown>>
    expect(score).toMatchObject({
      references: [{ name: 'always “good”', y: 0.55 }],
      marks: [
        { line: 'lora', x: 4, y: 0.7 },
        { line: 'salora', x: 4, y: 0.9 },
        { line: 'full', x: 4, y: 0.8 },
      ],
    })
    const [results = '', diagnostics = ''] = page.split('<details class="diagnostics">')
    for (const name of ['score', 'loss']) expect(results).toContain(`<section id="${name}"`)
    for (const name of ['learning-rate', 'figure6-lambda']) expect(diagnostics).toContain(`<section id="${name}"`)
    expect(diagnostics).not.toMatch(/<section id="(score|loss)"/)
  })

  it('folds seeds to mean ± standard deviation, compares with the first series, draws each score over steps, and all over their sizes', async () => {
    const evaluations = (...accuracies: readonly number[]) =>
      accuracies.map((accuracy, i) => `${JSON.stringify({ kind: 'evaluation', step: 2 * i + 2, scores: { accuracy } })}\n`).join('')
    for (const [method, parameters, ...accuracies] of [
      ['lora', 4000, 0.7, 0.8],
      ['salora', 1000, 0.9, 0.8],
      ['full', 90_000, 0.6, 0.6],
    ] as const)
      for (const [seed, accuracy] of accuracies.entries()) {
        const folder = at('compared', `${parameters}-${seed}`)
        await writeRun(folder, {
          task: 'reviews',
          method,
          seed,
          accuracy,
          result: { trainableParameters: { adapter: parameters, head: 9 } },
        })
        await writeFile(join(folder, 'metrics.jsonl'), evaluations(accuracy - 0.25, accuracy))
      }
    const { page } = await reportOf(at('compared'))
    const rowsIn = (name: string): readonly (readonly string[])[] => {
      const [, body = ''] = new RegExp(`<section id="${name}"[\\s\\S]*?<tbody>([\\s\\S]*?)</tbody>`).exec(page) ?? []
      const spoken = body.replace(/<svg class="sparkline" role="img" aria-label="([^"]*)"[\s\S]*?<\/svg>/g, '$1')
      return spoken.split('</tr>').map((row) => [...row.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map(([, cell = '']) => cell))
    }
    // sample standard deviations of two values are their distance over √2; the first folder is 1000-0
    expect(rowsIn('scores').map((row) => row.slice(0, 6))).toEqual([
      ['salora', '2', '85.0 % ± 7.1 %', '–', '85.0 %', 'accuracy: 60.0 % at step 2, 85.0 % at step 4'],
      ['lora', '2', '75.0 % ± 7.1 %', '−10.0 points', '75.0 %', 'accuracy: 50.0 % at step 2, 75.0 % at step 4'],
      ['full', '2', '60.0 % ± 0.0 %', '−25.0 points', '60.0 %', 'accuracy: 35.0 % at step 2, 60.0 % at step 4'],
      [],
    ])
    expect(page).toContain('Δ compares with salora, the first series.')
    expect(rowsIn('runs').flatMap((row) => row[7] ?? [])).toEqual(
      [0.9, 0.8, 0.7, 0.8, 0.6, 0.6].map(
        (score) => `accuracy: ${(100 * score - 25).toFixed(1)} % at step 2, ${(100 * score).toFixed(1)} % at step 4`,
      ),
    )
    expect(
      recordsIn(page, 'parameters').map((record) => [record['method'], record['method parameters'], Number(record['mean']).toFixed(3)]),
    ).toEqual([
      ['salora', '1000', '0.850'],
      ['lora', '4000', '0.750'],
      ['full', '90000', '0.600'],
    ])
    expect(page).toContain('accuracy by parameters. salora: 0.85 with 1,000. lora: 0.75 with 4,000. full: 0.6 with 90,000.')
  })

  it('begins with the score on test data where there is some', async () => {
    const test = { step: 4, scores: { accuracy: 0.625 } }
    await writeRun(at('tested'), { task: 'reviews', result: { test, examples: { training: 10, evaluation: 5, test: 8 } } })
    expect((await reportOf(at('tested'))).page).toContain('<p class="verdict">62.5\u00a0% right on 8 test rows.</p>')
  })

  it('has the last score as the kept one with --no-load-best-model-at-end, and the best one in runs without the choice', async () => {
    const of = (best: number, last: number) => ({
      best: { step: 2, scores: { accuracy: best } },
      last: { step: 4, scores: { accuracy: last } },
    })
    await writeRun(at('kept/last'), { seed: 0, result: { ...of(0.9, 0.8), kept: { which: 'last', step: 4 } } })
    await writeRun(at('kept/old'), { seed: 1, result: of(0.7, 0.6) })
    await writeRun(at('kept/unscored'), { seed: 2, result: { ...of(0.9, 0.8), kept: { which: 'last', step: 3 } } })
    const { page } = await reportOf(at('kept'))
    expect(recordsIn(page, 'runs').map((record) => [record['run'], record['kept'], record['last']])).toEqual([
      ['kept/last', '0.8', '0.8'],
      ['kept/old', '0.7', '0.6'],
      ['kept/unscored', '', '0.8'],
    ])
  })

  it('has scores by rank and by density, with a line for runs that differ in nothing else', async () => {
    for (const [i, rank] of [2, 4].entries())
      for (const method of ['lora', 'salora'])
        await writeRun(at('swept', `${method}-${rank}`), { method, settings: { rank, loraAlpha: 2 * rank }, accuracy: 0.5 + 0.1 * i })
    await writeRun(at('swept', 'narrow'), { settings: { rank: 4, loraAlpha: 8, density: 0.25 }, accuracy: 0.9 })
    const { page } = await reportOf(at('swept'))
    expect(recordsIn(page, 'figure1-4-rank').map((record) => [record['line'], record['rank'], record['mean']])).toEqual([
      ['lora', '2', '0.5'],
      ['lora', '4', '0.6'],
      ['salora, density 0.5', '2', '0.5'],
      ['salora, density 0.5', '4', '0.6'],
    ])
    expect(recordsIn(page, 'figure5-density').map((record) => [record['line'], record['density'], record['mean']])).toEqual([
      ['lora, rank 2, lora alpha 4', '', '0.5'],
      ['lora, rank 4, lora alpha 8', '', '0.6'],
      ['salora, rank 4, lora alpha 8', '0.25', '0.9'],
      ['salora, rank 4, lora alpha 8', '0.5', '0.6'],
    ])
  })
})

describe('a sweep', () => {
  const cell = (task: string, values: Readonly<Record<string, number>>) => ({
    task,
    values,
    summary: { count: 2, mean: 65, maximumDeviation: 5, median: 65, interval: [60, 70] },
    paper: { mean: 90.2, maximumDeviation: 0.74 },
    failures: [],
    retained: 0.5,
  })
  const row = (name: string) => ({
    name,
    cells: [cell('mrpc', { '0': 60, '1': 70 })],
    average: 65,
    parameters: { method: 1_500_000, head: 20 },
    seconds: 12.5,
    peakMemoryBytes: 2e9,
  })
  const table = {
    title: 'ablations',
    reported: 'last',
    tasks: [{ task: 'mrpc', metric: 'accuracy' }],
    rows: [row('salora, λ = 0'), row('salora, β = 0')],
    baseline: null,
    differences: [],
  }

  it('has its table, and a series for each of its rows, without the runs of the learning-rate search', async () => {
    for (const seed of [0, 1])
      for (const name of ['λ', 'β'])
        await writeRun(at('sweep/cells', `mrpc.salora_${name}_=_0.seed-${seed}`), { seed, accuracy: 0.6 + 0.1 * seed })
    await writeRun(at('sweep/cells', 'mrpc.salora_λ_=_0.grid-train-0.001.seed-0'), { accuracy: 0.1 })
    await writeFile(at('sweep/sweep.json'), JSON.stringify({ sweep: 'table3', table }))
    const { page, result } = await reportOf(at('sweep'))
    expect(result).toMatchObject({ runs: 4, series: 2, skipped: [] })
    expect(result.tables[0]).toEqual({ name: 'sweep-1', title: 'Table 3', rows: 2 })
    expect(page).toContain('<td class="n">65.00 ± 5.00, kept 0.50 [90.20 ± 0.74]</td>')
    expect(recordsIn(page, 'sweep-1').map((record) => [record['row'], record['mean'], record['paper']])).toEqual([
      ['salora, λ = 0', '65', '90.2'],
      ['salora, β = 0', '65', '90.2'],
    ])
    expect(
      recordsIn(page, 'scores')
        .map((record) => record['series'])
        .sort(),
    ).toEqual(['salora, β = 0', 'salora, λ = 0'])
  })

  it('explains the brackets only if there are scores of the paper', async () => {
    const withoutPaper = {
      ...table,
      rows: table.rows.map((row) => ({ ...row, cells: row.cells.map((cell) => ({ ...cell, paper: null })) })),
    }
    await writeRun(at('own/cells', 'mrpc.salora_λ_=_0.seed-0'), {})
    await writeFile(at('own/sweep.json'), JSON.stringify({ sweep: 'table3', table: withoutPaper }))
    const words = 'the paper&#39;s scores are in brackets'
    expect([(await reportOf(at('sweep'))).page.includes(words), (await reportOf(at('own'))).page.includes(words)]).toEqual([true, false])
  })

  it('is distinguished by its folder from another sweep with the same row', async () => {
    await writeRun(at('other/cells', 'mrpc.salora_λ_=_0.seed-0'), {})
    await writeFile(at('other/sweep.json'), JSON.stringify({ sweep: 'table3', table }))
    const { page } = await reportOf(at('sweep'), at('other'))
    expect(recordsIn(page, 'scores').map((record) => record['series'])).toContain('salora, λ = 0 (other)')
    await writeRun(at('copy/sweep/cells', 'mrpc.salora_λ_=_0.seed-0'), {})
    await writeFile(at('copy/sweep/sweep.json'), JSON.stringify({ sweep: 'table3', table }))
    const copied = recordsIn((await reportOf(at('sweep'), at('copy/sweep'))).page, 'scores').map((record) => record['series'])
    expect(copied).toContain('salora, λ = 0 (copy/sweep)')
    expect(copied.filter((label) => String(label).startsWith('salora, λ = 0 ('))).toHaveLength(2)
  })

  it('a sweep with a damaged sweep.json has its cells as runs, and one line about the file', async () => {
    await writeRun(at('broken/cells/a.seed-0'), {})
    await writeFile(at('broken/sweep.json'), '{"sweep": 3}')
    const { result } = await reportOf(at('broken'))
    expect(result.runs).toBe(1)
    expect(result.skipped).toEqual([
      expect.stringMatching(/broken\/sweep\.json: expected the sweep\.json of a sweep whose sweep is a text, got 3$/),
    ])
  })
})

describe('a style transfer', () => {
  it('has its scores as Table 2', async () => {
    await mkdir(at('transfer'))
    await writeFile(at('transfer/table.md'), '')
    const scores = { accuracy: 71.234567, bleu: 25.5, perplexity: null }
    const table = {
      title: 'yelp',
      directions: ['a to b', 'b to a'],
      rows: [{ method: 'ours', scores: [scores, scores], published: false }],
    }
    await writeFile(at('transfer/result.json'), JSON.stringify({ table }))
    const { page, result } = await reportOf(at('transfer'))
    expect(result).toMatchObject({ runs: 0, tables: [{ name: 'transfer-1', title: 'Table 2', rows: 1 }], figures: [] })
    expect(page).toContain('<td class="n">71.23</td><td class="n">25.50</td><td class="n">–</td>')
  })
})

describe('a folder', () => {
  it('a folder with hostile names appears as text in the page and in the charts', async () => {
    const hostile = `<img src=x onerror="alert(1)">'&\u0000\u202e\ud800`
    await writeRun(at('hostile', '<script>alert(2)<'), {
      task: 'x/</textarea><script>alert(3)</script>',
      device: hostile,
      settings: { note: hostile },
      ranks: { ...ranksOf(1, 2, 3, 4), [`encoder.layer.1.${hostile}`]: 2 },
    })
    await writeRun(at('hostile', 'second'), {
      task: 'x/</textarea><script>alert(3)</script>',
      settings: { note: '{{x}}' },
      ranks: ranksOf(1, 1, 2, 2),
    })
    const { page } = await reportOf(at('hostile'))
    expect(page.match(/<script/g)?.length).toBe(2) // the charts as data, and the page's own
    expect(JSON.parse(/id="charts">(.*)<\/script>/.exec(page)?.[1] ?? '')).toHaveProperty('loss-script')
    expect(page).not.toMatch(/<img|<\/textarea><script/)
    expect(page).toContain('hostile/&lt;script&gt;alert(2)&lt;')
    expect(page).toContain('&lt;img src=x onerror=')
    expect(page).toContain('\\u0000')
    // the policy allows the page's own script only
    const [, script = ''] = /<script>([\s\S]*?)<\/script>/.exec(page) ?? []
    expect(unescaped(page)).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    expect(page).toContain('default-src &#39;none&#39;')
    expect(page.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:\/\//)
  })

  it('a folder with unfinished, damaged or truncated runs has one line for each of them', async () => {
    const good = at('mixed/good')
    await writeRun(good, {})
    await appendFile(join(good, 'metrics.jsonl'), '{"kind":"step","st') // as after a full disk
    await writeRun(at('mixed/running'), {})
    await rm(at('mixed/running/result.json'))
    await writeRun(at('mixed/cut'), {})
    await truncate(at('mixed/cut/result.json'), 100)
    await writeRun(at('mixed/other'), {})
    await writeFile(at('mixed/other/config.json'), '[]')
    await writeRun(at('mixed/without'), { seed: 1 })
    await rm(at('mixed/without/metrics.jsonl'))
    await writeRun(at('mixed/middle'), { seed: 2 })
    await writeFile(at('mixed/middle/metrics.jsonl'), '{"kind":"step","step":1,"taskLoss":1}\nnonsense\n{"kind":"step","step":2}\n')
    await writeRun(at('mixed/late'), { seed: 3 })
    await writeFile(at('mixed/late/metrics.jsonl'), '{"kind":"step","step":5,"taskLoss":1}\n')
    await mkdir(at('mixed/empty/inner'), { recursive: true })
    const { result, page } = await reportOf(at('mixed'))
    expect(result.runs).toBe(4)
    expect([...result.skipped].sort()).toEqual([
      expect.stringMatching(/cut\/result\.json: expected JSON, got text that is not/),
      expect.stringMatching(/late\/metrics\.jsonl, line 1: expected a step from 0 to 4, the last step in result\.json, got 5$/),
      expect.stringMatching(/middle\/metrics\.jsonl, line 2: expected an event of a run as JSON, got /),
      expect.stringMatching(/other\/config\.json: expected the config\.json of a run/),
      expect.stringMatching(/running: expected a finished run, got no result\.json$/),
      expect.stringMatching(/without\/metrics\.jsonl: expected a line for each step, got no file$/),
    ])
    expect(page).toContain('<summary>6 skipped</summary>')
    expect(recordsIn(page, 'loss').map((record) => record['runs'])).toEqual(['1', '1', '1', '1'])
  })

  it('a folder without a finished run is rejected, and so is a file', async () => {
    await mkdir(at('nothing/in/it'), { recursive: true })
    await expect(reportOf(at('nothing'))).rejects.toThrow(
      /nothing: expected a folder with runs, sweeps or style transfers, got none of these$/,
    )
    await expect(reportOf(at('whole'), at('nothing'))).rejects.toThrow(/nothing: expected/)
    await expect(reportOf(at('absent'))).rejects.toThrow(/absent: expected a folder, got none/)
    await expect(reportOf(at('mixed/good/config.json'))).rejects.toThrow(/config\.json: expected a folder, got a file$/)
    await expect(reportOf(at('mixed/running'))).rejects.toThrow(/expected at least one finished run, got .*no result\.json$/)
    expect((await readdir(root)).filter((name) => name.includes('.partial'))).toEqual([])
  })

  it('counts a copied run once, and says so; runs of other seeds or other times count', async () => {
    const result = { finishedAt: '2026-11-28T01:02:03.004Z' }
    await writeRun(at('copies/one'), { result })
    await cp(at('copies/one'), at('copies/one-copy'), { recursive: true })
    await writeRun(at('copies/seed'), { seed: 1, result })
    await writeRun(at('copies/time'), { result: { finishedAt: '2026-11-28T01:02:03.005Z' } })
    const { result: made } = await reportOf(at('copies'))
    expect(made.runs).toBe(3)
    expect(made.skipped).toEqual([`${at('copies/one-copy')}: expected another run than that of ${at('copies/one')}, got a copy of it`])
  })

  it('counts once if it is given twice, and links in it are not followed', async () => {
    await mkdir(at('linked'))
    await writeRun(at('linked/run'), {})
    await symlink(at('whole'), at('linked/away'))
    expect((await reportOf(at('linked'), at('linked/run'))).result.runs).toBe(1)
    await symlink(at('whole/run-0/metrics.jsonl'), at('linked/elsewhere.jsonl'))
    await rm(at('linked/run/metrics.jsonl'))
    await symlink(at('whole/run-0/metrics.jsonl'), at('linked/run/metrics.jsonl'))
    const { result } = await reportOf(at('linked'))
    expect(result.skipped).toEqual([expect.stringMatching(/expected a file within .*, got a link to /)])
  })
})
