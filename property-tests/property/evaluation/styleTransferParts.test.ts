/** Parts of a style transfer: the file of transfers that it resumes from, its language models, and its result. */
import { createHash } from 'node:crypto'
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Direction, type TransferData, transferDatasets } from '../../../evaluation/styleTransfer/datasets.js'
import { languageModels, type Scored } from '../../../evaluation/styleTransfer/scores.js'
import { type StyleTransferOptions, transferAll, transfersIn } from '../../../evaluation/styleTransfer/transfers.js'
import { pickExamples, buildResult } from '../../../evaluation/styleTransfer/styleTransfer.js'
import { csvTable, transferLatex } from '../../../evaluation/styleTransfer/transferTable.js'
import { textScore } from '../../../evaluation/ngram/scorer.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const [yelp, gyafc] = transferDatasets
const { folder } = temporaryFolder('style-transfer-parts')
const at = (...path: readonly string[]): string => join(folder, ...path)

const direction = (from: 0 | 1, sources: readonly string[]): Direction => ({
  name: `from ${from}`,
  from,
  instruction: '',
  file: 'sources',
  sources,
  references: [sources.map((source) => `reference of ${source}`)],
})
const lineOf = (source: string): string => `${JSON.stringify({ source, text: `new ${source}`, tokens: 1, ended: 'end' })}\n`

describe('a dataset of sentences', () => {
  const put = async (name: string, ...lines: readonly string[]): Promise<void> => {
    await mkdir(dirname(at(name)), { recursive: true })
    await writeFile(at(name), lines.map((line) => `${line}\n`).join(''))
  }

  it('asks for the other style of each direction, and has the rewritings beside the sentences', async () => {
    await put('yelp/test.0', 'the food was bad')
    await put('yelp/test.1', 'the food was good')
    await put('yelp/reference.0', 'the food was bad\tThe food was good!')
    await put('yelp/reference.1', 'The food was\tbad\ttoo')
    const { directions } = await yelp.read(at('yelp'))
    expect(directions.map(({ name, from, instruction, references }) => [name, from, instruction, references])).toEqual([
      ['negative to positive', 0, 'Please change the sentiment of the following sentence to be more positive.', [['the food was good !']]],
      ['positive to negative', 1, 'Please change the sentiment of the following sentence to be more negative.', [['bad too .']]],
    ])
  })

  it('takes the rewritings of four people from files that are named by the style of their own sentences', async () => {
    const test = 'gyafc/Family_Relationships/test'
    for (const style of ['informal', 'formal']) {
      await put(`${test}/${style}`, `a ${style} one`)
      for (const person of [0, 1, 2, 3]) await put(`${test}/${style}.ref${person}`, `${style} by ${person}`)
    }
    const { directions } = await gyafc.read(at('gyafc'))
    const by = (style: string) => [0, 1, 2, 3].map((person) => [`${style} by ${person}`])
    expect(directions.map(({ sources, instruction, references }) => [sources, instruction, references])).toEqual([
      [['a informal one'], 'Please rewrite the following sentence to be more formal.', by('formal')],
      [['a formal one'], 'Please rewrite the following sentence to be more informal.', by('informal')],
    ])
  })
})

describe('the file of transfers', () => {
  const sources = ['schön', 'größer', 'last']

  it('loses an incomplete last line, and no byte of the lines before it', async () => {
    const complete = sources.slice(0, 2).map(lineOf).join('')
    await writeFile(at('cut.jsonl'), `${complete}${lineOf('last').slice(0, 20)}`)
    expect((await transfersIn(at('cut.jsonl'), { sources })).map(({ text }) => text)).toEqual(['new schön', 'new größer'])
    expect(await readFile(at('cut.jsonl'), 'utf8')).toBe(complete)
  })

  it('is refused if a line is the transfer of another sentence, or if it has too many', async () => {
    await writeFile(at('other.jsonl'), [sources[1], sources[0]].map((source) => lineOf(source ?? '')).join(''))
    await expect(transfersIn(at('other.jsonl'), { sources })).rejects.toThrow(
      `${at('other.jsonl')}, line 1: expected the transfer of "schön", got "größer"`,
    )
    await expect(transfersIn(at('other.jsonl'), { sources: ['größer'] })).rejects.toThrow('expected at most 1 transfers')
  })

  it('is not generated again once it is complete, though its last batch is not full', async () => {
    await writeFile(at('complete.jsonl'), sources.map(lineOf).join(''))
    const asked: number[] = []
    const progress: number[] = []
    const generator = {
      encode: () => [1],
      async *answers(prompts: readonly unknown[]) {
        asked.push(prompts.length)
        for (const prompt of prompts.keys()) yield { kind: 'answer', prompt, text: 'again', tokens: 1, ids: [], ended: 'end' } as const
      },
    }
    const given = { generator, direction: direction(0, sources), template: 'paper', generation: { batchSize: 2 } } as const
    for await (const done of transferAll({ ...given, file: at('complete.jsonl') }, new AbortController().signal)) progress.push(done)
    expect([progress, asked]).toEqual([[3], [0]])
  })
})

describe("a style's language model", () => {
  const open = async (training: readonly [string, string]) => {
    const opening = languageModels({ training, styles: ['negative', 'positive'] }, null, folder, new AbortController().signal)
    for (;;) {
      const { done, value } = await opening.next()
      if (done === true) return value
    }
  }
  const perplexityOf = (models: Awaited<ReturnType<typeof open>>, style: 0 | 1, sentence: string): number => {
    const { model } = models[style] ?? expect.fail('no model')
    return textScore([model.sentence(sentence)]).perplexity ?? NaN
  }

  it('is kept beside the results by its style and the hash of its training file, so that other sentences train another one', async () => {
    const [bad, good] = [at('train.0'), at('train.1')]
    await writeFile(bad, 'bad cold food\nbad cold food\n')
    await writeFile(good, 'good warm food\ngood warm food\n')
    const nameOf = async (style: string, file: string): Promise<string> =>
      `language-model.${style}.${createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
        .slice(0, 12)}.arpa`
    const expected = [await nameOf('negative', bad), await nameOf('positive', good)]
    const trained = await open([bad, good])
    const kept = async (): Promise<readonly string[]> => (await readdir(folder)).filter((name) => name.endsWith('.arpa')).sort()
    expect(await kept()).toEqual([...expected].sort())
    expect(perplexityOf(trained, 0, 'bad cold food')).toBeLessThan(perplexityOf(trained, 1, 'bad cold food'))
    const opened = await open([bad, good])
    for (const style of [0, 1] as const)
      expect(perplexityOf(opened, style, 'good warm food')).toBe(perplexityOf(trained, style, 'good warm food'))
    await appendFile(bad, 'good warm food\n')
    const [other, same] = await open([bad, good])
    expect(other?.sentences).toBe(3)
    expect(perplexityOf([other, same], 0, 'good warm food')).toBeLessThan(perplexityOf(trained, 0, 'good warm food'))
    expect(await kept()).toEqual([...expected, await nameOf('negative', bad)].sort())
  })
})

describe('the result of a style transfer', () => {
  const data: TransferData = {
    styles: ['negative', 'positive'],
    directions: [direction(0, ['a', 'b']), direction(1, ['c'])],
    training: null,
  }
  /** Other numbers for each direction and each kind of output. */
  const scored = (kind: number): readonly [Scored, Scored] => {
    const of = (from: 0 | 1): Scored => {
      const accuracy = kind + 10 * from
      const scores = {
        lines: 1,
        empty: 0,
        accuracy,
        bleu: accuracy + 0.5,
        perplexity: null,
        perplexityWithoutUnknown: null,
        unknownShare: null,
      }
      const sentence = (line: number) => ({ bleu: accuracy + line, probability: null, perplexity: null })
      return { scores, sentences: [sentence(0), sentence(1)] }
    }
    return [of(0), of(1)]
  }
  const all = { transfers: scored(60), copies: scored(3), human: scored(80) }
  const options = { dataset: yelp, name: 'ours', limit: null, classifier: 'runs/judge' } as unknown as StyleTransferOptions
  const result = buildResult(options, data, all, [], { transferring: 1, scoring: 2 })

  it('has the accuracy of the classifier by style: unchanged sentences that it does not take for the other style', () =>
    expect(result.classifier).toEqual({ name: 'runs/judge', accuracy: { negative: 97, positive: 87 } }))

  it("has the paper's rows first, then the rewritings of people, the unchanged input, and the transfers", () => {
    const { rows } = result.table
    const ours = rows.filter(({ published }) => !published)
    expect(rows.slice(-3)).toEqual(ours)
    expect(rows.length).toBeGreaterThan(3)
    expect(ours.map(({ method, scores }) => [method, scores[0].accuracy, scores[1].accuracy])).toEqual([
      ['Reference', 80, 90],
      ['input unchanged', 3, 13],
      ['ours', 60, 70],
    ])
    const sources = csvTable(result.table)
      .split('\n')
      .slice(1, -1)
      .map((line) => /,(paper|here),/.exec(line)?.[1])
    expect(sources).toEqual(rows.map((_, i) => (i < rows.length - 3 ? 'paper' : 'here')))
    const lines = transferLatex(result.table).split('\n')
    const at = lines.findIndex((line) => line.startsWith('Reference & 80.00 & 80.50 & -- & 90.00'))
    expect(lines[at - 1]).toBe('\\midrule') // the only rule within the rows
    expect(lines.filter((line) => line === '\\midrule').length).toBe(2)
  })

  it('has for each sentence its own output, reference and scores', () => {
    const { groups } = pickExamples(options, data, [['A', 'B'], ['C']], all.transfers)
    expect(
      groups.map(({ examples }) => examples.map(({ source, output, reference, scores }) => [source, output, reference, scores.bleu])),
    ).toEqual([
      [
        ['a', 'A', 'reference of a', 60],
        ['b', 'B', 'reference of b', 61],
      ],
      [['c', 'C', 'reference of c', 70]],
    ])
  })
})
