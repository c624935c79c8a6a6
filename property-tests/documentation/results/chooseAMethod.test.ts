/** The guide "Which method, which rank" has the numbers of the results pages, whose tests derive them anew. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const page = (name: string): string => readFileSync(`docs/${name}.md`, 'utf8')
const guide = page('how-to/choose-a-method')

/** The region of this name in a page. */
const region = (text: string, name: string): string =>
  new RegExp(`<!-- generated: ${name} -->\n([\\s\\S]*?)\n<!-- end -->`).exec(text)?.[1] ?? ''
/** The cells of its rows, without the two lines of the head. */
const rowsOf = (text: string, name: string): ReadonlyArray<ReadonlyArray<string>> =>
  region(text, name)
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
/** A difference with its interval from the other side. */
const mirrored = (difference: string): string => {
  const [, center = '', error = '', low = '', high = ''] = /^(\S+) ± (\S+) \((\S+)\s…\s(\S+)\)$/.exec(difference) ?? []
  const opposite = (number: string): string => number.replace(/[+−]/, (sign) => (sign === '+' ? '−' : '+'))
  return `${opposite(center)} ± ${error} (${opposite(high)}\u00a0…\u00a0${opposite(low)})`
}

describe('the guide to methods and ranks', () => {
  const methods = rowsOf(guide, 'methods')

  it('has sizes and means of every method at its chosen rate, as the page of every method has them', () => {
    const every = page('results/every-method')
    const [embedded, minilm] = ['embedded-scores', 'minilm-scores'].map((name) =>
      rowsOf(every, name).filter(([, rate]) => rate?.endsWith('(chosen)')),
    )
    expect(methods).toHaveLength(8)
    for (const [method = '', rate, size, onEmbedded, onMinilm] of methods) {
      const of = (rows: typeof embedded) => rows?.find(([name]) => `\`${name}\`` === method) ?? []
      expect([`${rate} (chosen)`, size, onMinilm], method).toEqual([of(minilm)[1], of(minilm)[2], of(minilm).at(-1)])
      expect(onEmbedded, method).toBe(of(embedded).at(-1))
    }
  })

  it("has SaLoRA's difference of the page of learning rates from the other side, and LoRA of rank 4 as there", () => {
    const rates = page('results/learning-rate')
    const atChosen = rowsOf(rates, 'both').find(([title, encoder]) => /3e-4/.test(title ?? '') && encoder === 'Both encoders')
    expect(methods.find(([method]) => method === '`salora`')?.[5]).toBe(mirrored(atChosen?.[2] ?? ''))
    const rankFour = rowsOf(rates, 'embedded-differences').find(([title]) => title?.startsWith('LoRA of rank 4 minus'))
    expect(rowsOf(guide, 'ranks').at(-1)?.slice(2)).toEqual(rankFour?.slice(-2))
  })

  it('has the held-out scores of LoRA, and the perplexities of the decoder', () => {
    const [, ...held] = rowsOf(page('results/learning-rate'), 'held-out').find(([method]) => method === 'lora') ?? []
    expect(region(guide, 'rates').match(/\d+\.\d/g)).toEqual(held.filter((cell) => cell !== '–').map((cell) => cell.replaceAll('*', '')))
    const perplexity = Object.fromEntries(rowsOf(page('results/style-transfer'), 'training').map(([name, value]) => [name, value]))
    expect(region(guide, 'decoder').match(/\d+\.\d+/g)).toEqual(['before', 'lora', 'salora'].map((name) => perplexity[name]))
  })
})
