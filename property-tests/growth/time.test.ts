/** Processor time against size, doubled three times: the exponent of the power that fits. 1 is linear; above 1.3 needs a reason. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { chatTemplate, type Message } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer, type Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { simulateArena } from '../../accelerated/engines/arena.js'
import { streamedText } from '../../accelerated/generation/answers.js'
import { allocations } from '../../accelerated/graph/liveness.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { startPhase } from '../../accelerated/methods/startPhase.js'
import { llamaArchitecture } from '../../accelerated/models/llama/llama.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { assemble } from '../../accelerated/training/assembly.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { parseRow, sweeps } from '../../evaluation/glue/sweep.js'
import { planCells } from '../../evaluation/glue/plan.js'
import { sweepTable } from '../../evaluation/glue/sweepTable.js'
import { openNgramModel, writeNgramModel } from '../../evaluation/ngram/modelFile.js'
import { trainNgram } from '../../evaluation/ngram/trainNgram.js'
import { readConversations } from '../../finetuning/data/conversations.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { inspectData } from '../../finetuning/inspection/inspectData.js'
import { openMetricsLog } from '../../finetuning/run/metricsLog.js'
import { loadTask, type TaskOptions } from '../../finetuning/tasks/index.js'
import { tokenize } from '../../finetuning/tasks/sequences/tokens.js'
import { conversationTokens, withinExchanges } from '../../finetuning/tasks/texts/conversationTokens.js'
import { packed } from '../../finetuning/tasks/texts/tokens.js'
import { openWatch } from '../../reporting/board/watch.js'
import { makeReport } from '../../reporting/report/makeReport.js'
import { tinyConfig, writeTinyModel } from '../cli/tinyModel.js'
import { madeRun, ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { onePassTemplates, otherTemplates } from '../support/chatTemplates.js'
import { textOf } from '../support/ngramText.js'
import { parquetFile, plainTexts } from '../support/parquetFile.js'
import { writeRandomCheckpoint } from '../support/randomCheckpoint.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('growth')

/** Makes the input of a size in an empty folder, outside the measured time. @returns the work, which may be done several times */
type Prepare = (size: number, folder: string) => Promise<() => unknown>
type Case = readonly [what: string, of: string, from: number, prepare: Prepare, bound?: number]

const times = <T>(count: number, make: (index: number) => T): readonly T[] => Array.from({ length: Math.max(0, count) }, (_, i) => make(i))

/** Words, some frequent and many rare, in an order that differs between numbers. */
const sentence = (number: number, words: number): string =>
  times(words, (i) => {
    const drawn = Math.imul(number * 31 + i + 1, 2_654_435_761) >>> 0
    return drawn % 3 === 0 ? 'the' : `w${(drawn >>> 8) % (drawn % 5 === 0 ? 50_000 : 500)}`
  }).join(' ')

const tokenizerIn = async (folderName: string): Promise<Tokenizer> => {
  const { folder, model } = await openModelFolder(folderName)
  return loadTokenizer(folder, model)
}
const fixture = (name: string) => () => tokenizerIn(join('property-tests/golden/fixtures', name))
const embedded = () => tokenizerIn(embeddedModel)
const decoderSizes = { vocab_size: 1_000, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 }
const decoder = llamaArchitecture.open({ model_type: 'llama', ...decoderSizes, max_position_embeddings: 100_000 }, 'config.json')
const decoderTokenizer = async (kind: string): Promise<Tokenizer> => {
  type Kinds = { readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>> }
  const { kinds } = JSON.parse(await readFile('property-tests/golden/fixtures/tokenizers.json', 'utf8')) as Kinds
  await writeFile(join(root, 'tokenizer.json'), JSON.stringify(kinds[kind]?.tokenizer))
  return loadTokenizer(root, decoder)
}

const csv = (rows: number, columns = 2, classes = 3): string =>
  [
    ['text', 'label', ...times(columns - 2, (i) => `more ${i}`)].join(','),
    ...times(rows, (i) => [`"${sentence(i, 12)}"`, `class ${i % classes}`, ...times(columns - 2, (j) => `${i * j}`)].join(',')),
  ].join('\n')
const conllSentence = (i: number): string => times(12, (j) => `word${(i * j) % 977} ${j % 4 === 0 ? 'B-X' : 'O'}`).join('\n')
const options = (task: string): TaskOptions => ({ task, text: 'text', label: 'label' }) as TaskOptions

/** Work on a file of this ending, written before. */
const onFile =
  (name: string, content: (size: number) => string | Uint8Array, work: (file: string) => unknown): Prepare =>
  async (size, folder) => {
    await writeFile(join(folder, name), content(size))
    return () => work(join(folder, name))
  }
const read = (file: string) => loadTask(options(file))
const readConll = (file: string) => loadTask({ task: file } as TaskOptions)
const readTexts = (file: string) => loadTask({ task: 'text', data: file, text: 'text' } as TaskOptions)
const inspected = (file: string) => inspectData({ task: options(file), maxLength: 64 })
const loaded = async (rows: number, folder: string) => {
  await writeFile(join(folder, 'rows.csv'), csv(rows))
  return read(join(folder, 'rows.csv'))
}

const rows: readonly Case[] = [
  ['read a CSV file', 'rows', 8_000, onFile('rows.csv', csv, read)],
  ['read a CSV file of 200 rows', 'columns', 400, onFile('rows.csv', (size) => csv(200, size), read)],
  ['read a CSV file of as many classes as rows', 'classes', 800, onFile('rows.csv', (size) => csv(4 * size, 2, size), read)],
  [
    'read a Parquet file',
    'rows',
    8_000,
    onFile('rows.parquet', (n) => parquetFile({ content: plainTexts(times(n, (i) => sentence(i, 12))), rows: n }), readTexts),
  ],
  ['read a CoNLL file', 'sentences', 2_000, onFile('rows.conll', (size) => times(size, conllSentence).join('\n\n'), readConll)],
  ['inspect a CSV file', 'rows', 8_000, onFile('rows.csv', csv, inspected)],
  [
    'tokenize rows',
    'rows',
    2_000, // from 64,000 on, collections of garbage beside busy processors take ten times as long as the work
    async (size, folder) => {
      const [{ train }, tokenizer] = [await loaded(size, folder), await embedded()]
      return () => tokenize(tokenizer, 50_265, train.examples, 64)
    },
  ],
  [
    'pack texts into rows',
    'texts',
    4_000,
    async (size) => {
      const texts = times(size, (row) => ({ inputIds: new Int32Array(5 + ((row * 7_919) % 120)), row }))
      const examples = texts.map((one) => ({ ...one, targets: one.inputIds }))
      return () => packed(examples, 256)
    },
  ],
]

/** All merges of a word wait in one queue: n log n, and too large for caches. */
const oneQueue = 1.5
const tokenizing = (what: string, open: () => Promise<Tokenizer>, text = (size: number) => sentence(1, size), bound?: number): Case => {
  const prepare: Prepare = async (size) => {
    const [{ ids }, whole] = [await open(), text(size)]
    return () => ids(whole)
  }
  return [`tokenize a text, ${what}`, 'words', 8_000, prepare, ...(bound === undefined ? [] : [bound])] as unknown as Case
}
const texts: readonly Case[] = [
  tokenizing('byte pairs of bytes', embedded),
  tokenizing('byte pairs, llama2', () => decoderTokenizer('llama2'), undefined, oneQueue),
  tokenizing('byte pairs, llama3', () => decoderTokenizer('llama3')),
  tokenizing('unigram with a normalizer', fixture('deberta-v2')),
  tokenizing('words', fixture('bert')),
  tokenizing('unigram, without blanks', fixture('xlm-roberta'), (size) => sentence(1, size).replaceAll(' ', '')),
  tokenizing('one letter', embedded, (size) => 'a'.repeat(5 * size), oneQueue),
  tokenizing('special tokens', embedded, (size) => '</s>'.repeat(size)),
  tokenizing('combining marks', fixture('deberta-v2'), (size) => `a${'\u0301'.repeat(5 * size)}`),
  [
    'truncate a pair of texts to 64 tokens',
    'words',
    4_000,
    async (size) => {
      const { encode } = await embedded()
      const [first, second] = [sentence(1, size), sentence(2, size)]
      return () => times(20, () => encode(first, second, 64))
    },
  ],
  [
    'decode and stream a text',
    'tokens',
    4_000,
    async (size) => {
      const { ids, decode } = await decoderTokenizer('llama2')
      const tokens = ids(sentence(1, size)).slice(0, size)
      return () => {
        const stream = streamedText(decode, ['### End'], [])
        for (const token of tokens) stream.push(token)
        return decode(tokens)
      }
    },
  ],
]

const turns = (count: number): readonly Message[] =>
  times(count, (i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: sentence(i, 30) }))
const plain = onePassTemplates['a role before each content'] ?? ''
const checking = onePassTemplates['a check before the loop, and the last message of the user for tools'] ?? ''
const frameOf = async (template: string, kind: string) => {
  const chat = chatTemplate(template, { bos_token: '<s>', eos_token: '</s>' }, 'template')
  return { chat, tokenizer: await decoderTokenizer(kind), ends: [2] }
}
const conversing = (what: string, template: string, kind: string, from: number, ...bound: readonly [] | readonly [number]): Case => [
  `tokenize a conversation, ${what}`,
  'turns',
  from,
  async (size) => {
    const [frame, conversation] = [await frameOf(template, kind), { turns: turns(size), tools: [] }]
    return () => conversationTokens(frame, conversation)
  },
  ...bound,
]
const readChat = (file: string) => readConversations(file, 'chat')
const conversations: readonly Case[] = [
  conversing('llama2', plain, 'llama2', 300),
  conversing('a checking template', checking, 'qwen2', 300),
  // a rendering for each answer, as the template may render each differently; a tokenization up to each answer, as no token divides the text
  conversing('its template reads later messages', otherTemplates['later messages, which change nothing'] ?? '', 'qwen2', 12, 2.2),
  conversing('no special tokens', plain.replaceAll('</s>', '|'), 'qwen2', 12, 2.2),
  [
    'drop the oldest exchanges of a conversation',
    'turns',
    300,
    async (size) => {
      const frame = await frameOf(plain, 'qwen2')
      return () => withinExchanges(frame, { turns: turns(size), tools: [] }, 2_000)
    },
  ],
  [
    'read a file of conversations',
    'rows',
    500,
    onFile('rows.jsonl', (size) => times(size, () => JSON.stringify({ messages: turns(6) })).join('\n'), readChat),
  ],
]

const outputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification' } as const
const target = { fusedMatMul: true, fusedGelu: true, quantizedMatMul: true, halfMatMul: false } as const
const activations = { batch: 4, sequence: 16, tokens: 64, attention: 256, length: 16, rows: 4, selected: 4 }

/** A method on a model of tiny layers. */
const assembled = async (folder: string, layers: number, method: 'salora' | 'lora', gradientCheckpointing = false) => {
  const config = { ...tinyConfig, num_hidden_layers: layers, vocab_size: 50, architectures: ['RobertaModel'] }
  await writeRandomCheckpoint(join(folder, 'model'), config, { seed: 0, shardBytes: 1e9 })
  const base = await openModelFolder(join(folder, 'model'), { baseModelName: 'tiny' })
  const precision = findPrecision('float32')
  const { tensor: frozen } = await openFrozen(precision, base, join(folder, 'cache'))
  const settings = resolveSettings({ method, rank: 2, maxSteps: 10, maxLength: 16, batchSize: 4, gradientCheckpointing } as object)
  const parts = { model: base.model, frozen, method: findMethod(method), settings, precision }
  const assembly = { ...assemble(parts, (model) => sequenceClassification(model, outputs)), settings }
  return { base, parts, assembly, phase: startPhase(parts.method, base.model.spec, settings) }
}
const byLayers = (
  what: string,
  method: 'salora' | 'lora',
  checkpointing: boolean,
  work: (step: () => ReturnType<typeof stepGraph>) => () => unknown,
): Case => [
  what,
  'layers',
  16,
  async (size, folder) => {
    const { assembly, phase } = await assembled(folder, size, method, checkpointing)
    return work(() => stepGraph(assembly, phase, 'whole'))
  },
]
const graphs: readonly Case[] = [
  byLayers('build and differentiate the step of SaLoRA', 'salora', false, (step) => step),
  byLayers('the same with gradient checkpointing', 'lora', true, (step) => step),
  byLayers('write the step with gradient checkpointing as ONNX', 'lora', true, (step) => {
    const built = step()
    return () => toOnnx(built.outputs, target)
  }),
  byLayers('estimate the memory of a step', 'salora', false, (step) => {
    const built = step()
    return () => simulateArena(allocations(built.outputs, activations, true))
  }),
]

const ngramText = (sentences: number): string => times(sentences, (i) => sentence(i, 15)).join('\n')
const ngram = (sentences: number) => trainNgram(textOf(ngramText(sentences)), { order: 3, discountFallback: [0.5, 1, 1.5] })
const ngrams: readonly Case[] = [
  ['train an n-gram model', 'sentences', 500, async (size) => () => ngram(size)],
  [
    'write and open an n-gram model',
    'sentences',
    500,
    async (size, folder) => {
      const { model } = await ngram(size)
      return async () => {
        await writeNgramModel(join(folder, 'model'), model)
        await openNgramModel(join(folder, 'model'))
      }
    },
  ],
]

const runsIn = async (folder: string, count: number, steps = 4): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const run = { steps, seed: i, accuracy: 0.5 + (i % 97) / 200, settings: { rank: 4 + (i % 8) }, ranks: ranksOf(1, 2, 3, 0) }
    await writeRun(join(folder, 'runs', `run-${i}`), run)
  }
}
const onRuns =
  (count: (size: number) => number, steps: (size: number) => number, work: (runs: string, size: number) => unknown): Prepare =>
  async (size, folder) => {
    await runsIn(folder, count(size), steps(size))
    return () => work(join(folder, 'runs'), size)
  }
const [one, four, same] = [() => 1, () => 4, (size: number) => size]
const reports: readonly Case[] = [
  ['report of a run', 'steps', 4_000, onRuns(one, same, (runs) => makeReport({ folders: [runs], output: `${runs}.html`, figures: null }))],
  ['open the metrics of a resumed run', 'lines', 20_000, onRuns(one, same, (runs, size) => openMetricsLog(join(runs, 'run-0'), size))],
  // what is read so far is shown after each 100 runs, of at most 5,000
  ['board: find runs', 'runs', 50, onRuns(same, four, (runs) => openWatch(runs).refresh()), 1.5],
  [
    'plan a sweep and make its table',
    'cells',
    800,
    async (size, folder) => {
      const { model } = await openModelFolder(await writeTinyModel(join(folder, 'tiny')))
      const [sweep] = sweeps.filter(({ name }) => name === 'table1')
      const methods = ['lora', 'salora'].map(parseRow)
      const request = {
        ...{ model: join(folder, 'tiny'), data: 'glue', tasks: ['mrpc', 'cola'], rows: methods },
        overrides: {},
        maxTrainSamples: null,
      }
      const result = madeRun({ accuracy: 0.7 }).result
      return () => {
        const cells = planCells({ ...request, sweep, seeds: times(size / 4, same) } as never, model.spec)
        const ended = cells.map((cell, i) => ({
          cell: { ...cell, row: `row ${i >> 2}` },
          outcome: { kind: 'done', result, reused: false },
        }))
        return sweepTable(ended as never, { title: 'Table', reported: 'best', baseline: 'lora', paper: () => null })
      }
    },
    1.6, // a tenth of a second for 25,600 results, which outgrow the caches
  ],
]

const cases = [...rows, ...texts, ...conversations, ...graphs, ...ngrams, ...reports]
const linear = 1.3

type Point = { readonly size: number; readonly seconds: number }

/** The slope of a line through the logarithms. */
const exponentOf = (points: readonly Point[]): number => {
  const logs = points.map(({ size, seconds }) => [Math.log2(size), Math.log2(Math.max(seconds, 1e-6))] as const)
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  const [meanX, meanY] = [mean(logs.map(([x]) => x)), mean(logs.map(([, y]) => y))]
  return mean(logs.map(([x, y]) => (x - meanX) * (y - meanY))) / mean(logs.map(([x]) => (x - meanX) ** 2))
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Short work is repeated, and its shortest time counts: other work and a collection of garbage, which may take 0.2 s, only add to it. */
const measure = async (prepare: Prepare, size: number, folder: string): Promise<Point> => {
  await mkdir(folder, { recursive: true })
  const work = await prepare(size, folder)
  let [shortest, total] = [Infinity, 0]
  for (let i = 0; i < 6 && (i === 0 || total < (i < 3 ? 1 : 0.2)); i++) {
    collect()
    const start = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(start)
    shortest = Math.min(shortest, (user + system) / 1e6)
    total += (user + system) / 1e6
  }
  return { size, seconds: shortest }
}

describe('the exponent', () => {
  it('is the power of the size with which the time grows, and is above its bound where a square is half of the time', () => {
    const of = (seconds: (size: number) => number): number =>
      exponentOf([64, 128, 256, 512].map((size) => ({ size, seconds: seconds(size) })))
    expect(of((n) => 3e-4 * n)).toBeCloseTo(1, 10)
    expect(of((n) => 2e-6 * n ** 2)).toBeCloseTo(2, 10)
    expect(of((n) => n * Math.log2(n))).toBeLessThan(linear)
    expect(of((n) => n + n ** 2 / 256)).toBeGreaterThan(linear)
  })
})

describe('processor time grows at most with its bound', () => {
  it.each(cases.map(([what, of, ...rest]) => [`${what}, by ${of}`, ...rest] as const))(
    '%s',
    { retry: 2 }, // a collection of garbage in one of four sizes makes any exponent; a square fails three times
    async (what, from, prepare, bound = linear) => {
      const folder = join(root, what.replaceAll(/\W+/g, '-'))
      await measure(prepare, from, join(folder, 'warm')) // compiles the code
      const points: Point[] = []
      for (const size of [1, 2, 4, 8].map((times) => times * from)) {
        points.push(await measure(prepare, size, join(folder, `${size}`)))
        if ((points.at(-1)?.seconds ?? 0) > 10) break
      }
      const exponent = exponentOf(points)
      if (exponent > bound) console.error(what, points)
      expect(exponent).toBeLessThanOrEqual(bound)
    },
  )
})
