/** The page of the small decoder: its tables have the losses of the runs, computed here once more. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { stored, tableOf, type ComparedRun } from './storedRuns.js'
import { interval, mean, overall, signed } from './statistics.js'

describe('a small decoder', () => {
  const early = 'salora:density=0.125:gate-start=0.02:gate-end=0.15'
  const { runs } = stored<{ readonly runs: ReadonlyArray<ComparedRun> }>('decoder')
  const all = runs.map(({ variant, seed, last }) => {
    const words = variant.split(' ')
    const at = words.findIndex((word) => word.includes(':learning-rate='))
    const [row = '', rate] = words[at]!.split(':learning-rate=')
    return {
      part: words[0],
      set: at === 2 ? words[1]! : 'alpaca',
      row,
      rate: Number(rate),
      ranksOf: words.at(-2) === 'of' ? words.at(-1) : '',
      seed,
      loss: last.scores['loss'] ?? NaN,
    }
  })
  const choosing = (row: string) => all.filter((run) => run.part === 'choose' && run.row === row && run.ranksOf === '')
  const lowest = (row: string) => choosing(row).find(({ loss }) => loss === Math.min(...choosing(row).map((run) => run.loss)))
  const titles = { 'lora-8': 'LoRA, r = 8', 'lora-1': 'LoRA, r = 1', 'salora:density=0.125': 'SaLoRA, from 8 to 1' }

  it('runs that choose are of Alpaca and have a seed that no reported run has', () => {
    for (const { part, set, seed } of all) {
      expect(seed >= 100).toBe(part === 'choose')
      if (part === 'choose') expect(set).toBe('alpaca')
    }
  })

  it('the table of rates has the losses of the rows that choose, and the lowest of each row is bold', () => {
    const table = tableOf('small-decoder', 'rates')
    for (const [row, title] of Object.entries(titles)) {
      const cells = table.find(([name]) => name === title)?.slice(2)
      const own = choosing(row).map(({ loss }) => (loss === lowest(row)?.loss ? `**${loss.toFixed(3)}**` : loss.toFixed(3)))
      expect(cells?.filter((cell) => cell !== '–').sort(), title).toEqual(own.sort())
    }
  })

  it('reported runs have the window that was best on the rows that choose', () => {
    expect(lowest('lora-1')?.rate).toBe(lowest('salora:density=0.125')?.rate)
    const variants = all.filter(({ part, row, ranksOf }) => part === 'choose' && row.startsWith('salora') && ranksOf === '')
    expect(Math.min(...variants.map(({ loss }) => loss))).toBe(lowest(early)?.loss)
    for (const { part, row } of all) if (part === 'report') expect(['lora-1', early, `${early}:retain=random`]).toContain(row)
  })

  it('the table of variants has every run that chose at this rate, and its difference from LoRA', () => {
    const lora = lowest('lora-1')
    const expected = all
      .filter(({ part, rate, row }) => part === 'choose' && rate === lora?.rate && row !== 'lora-8')
      .map(({ loss }) => [loss.toFixed(4), loss === lora?.loss ? '' : signed(loss - lora!.loss, 4)].join(' '))
    const shown = tableOf('small-decoder', 'variants').map(([, loss, difference]) => [loss, difference].join(' '))
    expect(shown.sort()).toEqual(expected.sort())
  })

  it('the reported table has the losses of each set of text by seed, and means that are clustered by set', () => {
    const table = tableOf('small-decoder', 'reported')
    const names = {
      alpaca: 'Alpaca',
      tales: "Grimm's tales",
      tinyshakespeare: 'tinyshakespeare',
      'wiki.valid': 'WikiText-2',
      'yelp_shen2017.negative': 'Yelp, negative',
    }
    const rates = [...new Set(all.filter(({ part }) => part === 'report').map(({ rate }) => rate))]
    for (const rate of rates) {
      const effects: number[] = []
      const shown = table.filter(([text]) => Number(text) === rate)
      for (const [set, title] of Object.entries(names)) {
        const of = (row: string) =>
          all
            .filter((run) => run.part === 'report' && run.set === set && run.row === row && run.rate === rate)
            .sort((a, b) => a.seed - b.seed)
        const pairs = of('lora-1').flatMap((lora) =>
          of(early)
            .filter(({ seed }) => seed === lora.seed)
            .map((found) => [lora.loss, found.loss] as const),
        )
        const row = shown.find(([, name]) => name === title)
        if (pairs.length === 0) expect(row, `${title} at ${rate}`).toBeUndefined()
        else {
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
      const verdict = high < 0 ? 'better' : low > 0 ? 'worse' : 'no difference shown'
      expect(shown.at(-1)?.at(-1)).toBe(`${overall(effects, 4)[0]}: ${verdict}`)
    }
  })

  it('the words have the differences of the rows that chose', () => {
    const page = readFileSync('docs/results/small-decoder.md', 'utf8').replaceAll('\n', ' ')
    const between = (higher: string, lower: string): string => ((lowest(higher)?.loss ?? NaN) - (lowest(lower)?.loss ?? NaN)).toFixed(3)
    const salora = 'salora:density=0.125'
    expect(page).toContain(`LoRA has ${between('lora-1', 'lora-8')} less loss with rank 8`)
    expect(page).toContain(`the run is ${between(salora, 'lora-1')} behind LoRA`)
    expect(page).toContain(`An early window was ${between('lora-1', early)} ahead of LoRA here`)
    expect(page).toContain(`the loss is ${between(`${salora}:retain=random`, salora)} higher than SaLoRA's`)
  })
})
