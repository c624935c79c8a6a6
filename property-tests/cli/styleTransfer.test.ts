/** salora style-transfer: published outputs have their published BLEU, interrupted transfers resume, and one line per error. */
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { promptFormats } from '../../finetuning/data/promptTemplates.js'
import { transferDatasets } from '../../evaluation/styleTransfer/datasets.js'
import { styleTransfer } from '../../evaluation/styleTransfer/styleTransfer.js'
import {
  type StyleTransferOptions,
  type StyleTransferResult,
  transferAll,
  transfersIn,
  type Transferring,
} from '../../evaluation/styleTransfer/transfers.js'
import { stopsAtLine } from '../../accelerated/generation/answers.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraHere } from './inProcess.js'

const shared = join(import.meta.dirname, '../../../shared')
const model = join(fixtures, 'llama')
const { folder: root } = temporaryFolder('transfer')
const at = (...path: readonly string[]): string => join(root, ...path)
const put = async (name: string, lines: readonly string[] | Uint8Array): Promise<string> => {
  await mkdir(join(at(name), '..'), { recursive: true })
  await writeFile(at(name), lines instanceof Uint8Array ? lines : lines.map((line) => `${line}\n`).join(''))
  return at(name)
}

const [negative, positive] = [
  ['w3 was bad', 'never again', 'the w7 is cold .'],
  ['w4 was good', 'always again', 'the w9 is warm .'],
]
beforeAll(async () => {
  await put('yelp/test.0', negative)
  await put('yelp/test.1', positive)
  await put('yelp/reference.0', ['w3 was bad\tW3 was good!', 'never again\tAlways again', 'the w7 is cold .\tthe w7 is warm.'])
  await put('yelp/reference.1', ['w4 was bad', 'never again', 'the w9 is cold.'])
  const domain = 'gyafc/Family_Relationships/test'
  await put(`${domain}/informal`, ['hey u', 'no way'])
  await put(`${domain}/formal`, ['Good day to you.', 'Certainly not.'])
  for (const person of [0, 1, 2, 3]) {
    await put(`${domain}/formal.ref${person}`, [`Hello number ${person} .`, 'That is out of the question .'])
    await put(`${domain}/informal.ref${person}`, ['hiya', `nope ${person}`])
  }
})

const transfer = (...args: readonly string[]) => saloraHere('style-transfer', ...args, '--quiet')
const scored = async (...args: readonly string[]): Promise<StyleTransferResult> => {
  const { code, stdout, stderr } = await transfer(...args, '--json')
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as StyleTransferResult
}
const yelp = (...args: readonly string[]) => ['--dataset', 'yelp', '--data', at('yelp'), ...args]

describe('salora style-transfer of files', () => {
  it('scores each direction next to the copied input, and writes tables and a page', async () => {
    const files = [await put('up.txt', ['w3 was good !', 'always again .', 'the w7 is cold .']), await put('down.txt', positive)]
    const result = await scored(...yelp('--outputs', ...files, '--name', 'a | b', '--output', at('scored')))
    const { 'negative to positive': up, 'positive to negative': down } = result.directions
    expect(up).toMatchObject({ lines: 3, empty: 0, accuracy: null, perplexity: null })
    // all of 4 + 3 + 5 words but one, three of four bigrams of the last line …: 11/12, 7/9, 4/6, 1/3 shared, and of one length
    expect(up?.bleu).toBeCloseTo(100 * ((11 / 12) * (7 / 9) * (4 / 6) * (1 / 3)) ** 0.25, 10)
    expect(down?.bleu).toBe(result.unchanged['positive to negative']?.bleu)
    expect(result.reference['negative to positive']?.bleu).toBe(100)
    expect((await readdir(at('scored'))).sort()).toEqual('config.json examples.html result.json table.csv table.md table.tex'.split(' '))
    const markdown = await readFile(at('scored', 'table.md'), 'utf8')
    expect(markdown).toMatch(/^Yelp\n\n\| {2}\| {2}\| negative to positive/)
    expect(markdown).toContain(`| a \\| b | here | – | ${up?.bleu.toFixed(2)} | – |`)
    expect(markdown).toContain('| LLaMA-7B, SaLoRA | paper | 73.20 | 24.76 | 76.49 | 94.60 | 31.96 | 87.41 |')
    expect(await readFile(at('scored', 'table.tex'), 'utf8')).toContain('\\bottomrule')
    const page = await readFile(at('scored', 'examples.html'), 'utf8')
    expect(page).toContain('<td>w3 was bad</td><td>w3 was good !</td><td>w3 was good !</td>')
    expect(JSON.parse(await readFile(at('scored', 'result.json'), 'utf8'))).toMatchObject({ name: 'a | b', limit: null })
  })

  it('scores GYAFC against four references', async () => {
    const files = [
      await put('formal.txt', ['hello number 2 .', 'that is out of the question .']),
      await put('casual.txt', ['hiya', 'nope 3']),
    ]
    const result = await scored('--dataset', 'gyafc', '--data', at('gyafc'), '--outputs', ...files)
    expect(result.directions['informal to formal']?.bleu).toBe(100)
    expect(Object.keys(result.directions)).toEqual(['informal to formal', 'formal to informal'])
  })

  it('trains a language model of each style, and scores by that of the target style', async () => {
    const many = (words: readonly string[]) => Array.from({ length: 60 }, (_, i) => words.map((word) => `${word}${i % 7}`).join(' '))
    await put('trained/train.0', many(['bad', 'cold']))
    await put('trained/train.1', many(['good', 'warm']))
    for (const name of ['test.0', 'test.1', 'reference.0', 'reference.1'])
      await writeFile(at('trained', name), await readFile(at('yelp', name)))
    const files = [await put('good.txt', ['good1 warm1', 'good2 warm2', 'good3 warm3']), await put('same.txt', ['good1 warm1', 'x', 'y'])]
    const ask = ['--dataset', 'yelp', '--data', at('trained'), '--outputs', ...files, '--output', at('judged')]
    const first = await scored(...ask)
    const { 'negative to positive': up, 'positive to negative': down } = first.directions
    expect(up?.perplexity).toBeLessThan(down?.perplexity ?? NaN)
    expect([up?.unknownShare, down?.unknownShare]).toEqual([0, 1])
    const models = (await readdir(at('judged'))).filter((name) => name.endsWith('.arpa'))
    expect(models.length).toBe(2)
    const repeated = await scored(...ask) // with the models that are there
    expect(repeated.directions).toEqual(first.directions)
    const given = await scored(
      '--dataset',
      'yelp',
      '--data',
      at('yelp'),
      '--outputs',
      ...files,
      '--language-models',
      ...models.sort().map((name) => at('judged', name)),
    )
    expect(given.directions['negative to positive']?.perplexity).toBe(up?.perplexity)
  })

  it('scores empty outputs, with a warning', async () => {
    const files = [await put('hole.txt', ['w3 was good !', '', '  ']), await put('down2.txt', positive)]
    const { code, stderr, stdout } = await saloraHere('style-transfer', ...yelp('--outputs', ...files, '--json'))
    expect(code).toBe(0)
    expect(stderr).toContain('negative to positive: 2 of 3 outputs empty')
    expect((JSON.parse(stdout) as StyleTransferResult).directions['negative to positive']?.empty).toBe(2)
  })

  it('uses only the first sentences with --limit, and says so in the table', async () => {
    const result = await scored(...yelp('--outputs', at('yelp/test.0'), at('yelp/test.1'), '--limit', '2'))
    expect(result.directions['negative to positive']?.lines).toBe(2)
    expect(result.table.title).toBe('Yelp, first 2 sentences each way')
  })
})

describe.skipIf(!existsSync(join(shared, 'data/yelp')))('published outputs on Yelp (need ../shared/data)', () => {
  const data = join(shared, 'data/yelp')
  it.each([
    ['StyleTransformer-cond', 25.85, 24.9],
    ['StyIns', 25.98, 26.08],
  ])("the outputs of %s have the published BLEU, and the copied input that of the paper's LLaMA-7B", async (system, up, down) => {
    const files = ['neg2pos.txt', 'pos2neg.txt'].map((name) => join(data, 'outputs', system, name))
    const { directions, unchanged } = await scored('--dataset', 'yelp', '--data', data, '--outputs', ...files)
    const bleus = (of: typeof directions) => Object.values(of).map(({ bleu }) => Number(bleu.toFixed(2)))
    expect(bleus(directions)).toEqual([up, down])
    expect(bleus(unchanged)).toEqual([33.58, 31.12])
  })
})

it.skipIf(!existsSync(join(shared, 'paper/salora-paper.txt')))(
  'the prompts are those of Table A3, word for word (needs ../shared/paper)',
  async () => {
    const paper = (await readFile(join(shared, 'paper/salora-paper.txt'), 'utf8')).replace(/\s+/g, ' ')
    const folders = { yelp: at('yelp'), gyafc: at('gyafc') } as Readonly<Record<string, string>>
    for (const dataset of transferDatasets)
      for (const { instruction } of (await dataset.read(folders[dataset.name] ?? '')).directions) {
        const shown = promptFormats.paper({ instruction: `{${instruction}}`, input: '{$Sentence}' }).replace(/\s+/g, ' ')
        expect(paper).toContain(`“${shown}”`)
      }
  },
)

const optionsOf = (output: string, change: Partial<StyleTransferOptions> = {}): StyleTransferOptions => ({
  dataset: transferDatasets[0]!,
  data: at('yelp'),
  limit: null,
  source: { generator: { model, device: 'cpu', threads: 1 }, template: 'paper', generation: { maxNewTokens: 6, batchSize: 2 } },
  name: 'tiny',
  classifier: null,
  languageModels: null,
  output,
  ...change,
})

describe('the transfers of a decoder', () => {
  const allOf = async (options: StyleTransferOptions, stopAt = Infinity) => {
    const stop = new AbortController()
    let [seen, result] = [0, null as StyleTransferResult | null]
    for await (const event of styleTransfer(options, stop.signal)) {
      if (event.kind === 'transferring' && event.done > 0 && ++seen === stopAt) stop.abort()
      if (event.kind === 'result') result = event.result
    }
    return result
  }
  const filesOf = async (output: string) => [
    await readFile(join(output, 'transfers.0.jsonl'), 'utf8'),
    await readFile(join(output, 'transfers.1.jsonl'), 'utf8'),
  ]

  it('are the same after an interruption, and a partly written line is generated again', async () => {
    const uninterrupted = await allOf(optionsOf(at('whole')))
    const lines = await filesOf(at('whole'))
    expect(lines.map((text) => text.trim().split('\n').length)).toEqual([3, 3])
    expect(JSON.parse(lines[0]?.split('\n')[1] ?? '')).toMatchObject({ source: 'never again', ended: 'length', tokens: 6 })
    for (const stopAt of [1, 2, 3, 4, 5]) {
      const output = at(`cut-${stopAt}`)
      expect(await allOf(optionsOf(output), stopAt)).toBeNull()
      const file = join(output, 'transfers.0.jsonl')
      await writeFile(file, (await readFile(file, 'utf8')).slice(0, stopAt < 4 ? -7 : undefined))
      expect((await allOf(optionsOf(output)))?.directions).toEqual(uninterrupted?.directions)
      expect(await filesOf(output)).toEqual(lines)
    }
  })

  it('are kept in whole batches: an incomplete batch is generated again', async () => {
    const [direction] = (await transferDatasets[0]!.read(at('yelp'))).directions
    const file = at('batches.jsonl')
    const requested: number[] = []
    const transferring = (answered: readonly number[]): Transferring => ({
      direction,
      template: 'paper',
      generation: { batchSize: 2 },
      file,
      generator: {
        encode: (prompt) => ('input' in prompt ? [direction.sources.indexOf(prompt.input)] : []),
        answers: async function* (prompts) {
          requested.push(...prompts.flat())
          for (const prompt of answered)
            yield { kind: 'answer', prompt, text: `t${prompts[prompt]?.[0]}`, tokens: 1, ids: [], ended: 'end' }
        },
      },
    })
    const run = async (answered: readonly number[]): Promise<readonly number[]> => {
      const progress: number[] = []
      for await (const done of transferAll(transferring(answered), new AbortController().signal)) progress.push(done)
      return progress
    }
    expect(await run([1])).toEqual([0]) // of the first two, the second alone came
    expect(await run([0])).toEqual([0, 1])
    expect(await run([1, 0])).toEqual([0, 1, 2])
    expect(await run([0])).toEqual([2, 3])
    expect(requested).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 2])
    expect((await transfersIn(file, direction)).map(({ text }) => text)).toEqual(['t0', 't1', 't2'])
  })

  it('end with the first non-empty line', () => {
    const ends = stopsAtLine((ids) => ids.map((id) => ['\n', 'a', 'b\n'][id] ?? '').join(''))
    expect([[0], [0, 0], [0, 1], [0, 1, 1], [0, 1, 0], [1, 2], [2]].map(ends)).toEqual([false, false, false, false, true, true, true])
  })

  it.each<readonly [string, Partial<StyleTransferOptions>, RegExp]>([
    [
      'another length',
      { source: { ...(optionsOf('').source as object), generation: { maxNewTokens: 7, batchSize: 2 } } as never },
      /expected generation .* got/,
    ],
    ['other sentences', { limit: 2 }, /expected sentences .* got/],
    [
      'another template',
      { source: { ...(optionsOf('').source as object), template: 'alpaca' } as never },
      /expected template "paper".* got "alpaca"/,
    ],
  ])('are not continued with %s', async (_, change, message) => {
    await allOf(optionsOf(at('kept')))
    const before = await filesOf(at('kept'))
    await expect(allOf(optionsOf(at('kept'), change))).rejects.toThrow(message)
    expect(await filesOf(at('kept'))).toEqual(before)
  })

  it('depend on all files of the adapter, also of a fully fine-tuned model', async () => {
    const config = async (output: string) =>
      (JSON.parse(await readFile(join(output, 'config.json'), 'utf8')) as { readonly transfers: object }).transfers
    const fullModel = at('fully-tuned')
    await cp(model, fullModel, { recursive: true })
    await writeFile(join(fullModel, 'adapter_config.json'), '{}')
    const source = {
      generator: { model, adapter: fullModel, device: 'cpu', threads: 1 },
      template: 'paper',
      generation: { maxNewTokens: 2 },
    } as const
    await allOf(optionsOf(at('adapted'), { source })).catch(() => null) // what opens it is another's business
    expect(await config(at('adapted'))).toMatchObject({
      "the adapter's model.safetensors": expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
    })
  })

  it('are written by the command, with the settings that they depend on', async () => {
    const result = await scored(...yelp('--model', model, '--device', 'cpu', '--max-new-tokens', '4', '--output', at('command')))
    expect(result.name).toBe('llama')
    expect(JSON.parse(await readFile(at('command', 'config.json'), 'utf8'))).toMatchObject({
      transfers: { dataset: 'yelp', template: 'paper' },
    })
  })
})

describe('salora style-transfer prints one line for', () => {
  const mistakes: readonly (readonly [string, () => Promise<readonly string[]>, RegExp, number])[] = [
    [
      'a line that is not UTF-8',
      async () => yelp('--outputs', await put('latin.txt', Buffer.from('a\nb \xe9\nc\n', 'latin1')), at('yelp/test.1')),
      /latin\.txt, line 2: expected .*UTF-8/,
      1,
    ],
    [
      'sentences longer than the context',
      async () => {
        for (const name of ['test.1', 'reference.0', 'reference.1']) await put(`long/${name}`, ['a', 'b'])
        await put('long/test.0', ['a', 'w3 '.repeat(60)])
        return ['--dataset', 'yelp', '--data', at('long'), '--model', model, '--output', at('too-long')]
      },
      /test\.0, line 2: expected a prompt of at most 63 tokens/,
      1,
    ],
  ]
  it.each(mistakes)('%s', async (_, args, message, code) => {
    const outcome = await transfer(...(await args()))
    expect(outcome.stderr).toMatch(message)
    expect(outcome.stderr.trim().split('\n').length).toBe(1)
    expect([outcome.code, outcome.stdout]).toEqual([code, ''])
  })
})
