/** Every reader against thousands of broken files: each file is read, or refused in one line, without any other effect. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAdapter } from '../../accelerated/formats/index.js'
import { convertedModel } from '../../accelerated/checkpoints/gguf/convertModel.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { elementCount } from '../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { parseShardIndex } from '../../accelerated/checkpoints/safetensors/weightFiles.js'
import { writeSafetensors, type WritableTensor } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { peftFiles } from '../../accelerated/formats/peft/peft.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/loadCheckpoint.js'
import { saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import { parquetRows } from '../../finetuning/data/parquetRows.js'
import { loadTask } from '../../finetuning/tasks/index.js'
import { parseRunConfig, parseRunResult } from '../../finetuning/run/runFiles.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { fixtures } from '../golden/golden.js'
import { ggufFile, key, string, tensor, uint32, uint64 } from '../support/ggufFile.js'
import { SEED } from '../support/seed.js'
import { applyEdits, applyJsonEdits, CASES, edits, jsonEdits } from './cases.js'
import { newCount, survives, treeOf, type Count } from './survival.js'
import { pruned, outlineOf, stateOf } from './saloraRun.js'
import { bytePair, unigram, roberta, runConfig, runResult, sizes, wordPiece } from './validFiles.js'

const readers = 10
const numRuns = Math.ceil(CASES / readers)

let root = ''
let work = ''
let base = ''
let before: readonly string[] = []
let repository: readonly string[] = []
const counts = new Map<string, Count>()

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'salora-fuzz-')))
  work = join(root, 'work')
  base = join(root, 'outside', 'base')
  for (const folder of ['work', 'outside', 'outside/inner', 'outside/base']) await mkdir(join(root, folder))
  await writeFile(join(base, 'config.json'), JSON.stringify(roberta))
  await writeFile(join(base, 'model.safetensors'), writeSafetensors(tensorsOf('roberta.')))
  await writeFile(join(root, 'outside', 'inner', 'sentinel'), 'untouched')
  await writeFile(join(root, 'x'), 'untouched')
  before = await treeOf(join(root, 'outside'))
  repository = await readdir('.')
})
afterAll(async () => {
  await rm(root, { recursive: true })
  const total = (part: (count: Count) => number): number => [...counts.values()].reduce((sum, count) => sum + part(count), 0)
  const lines = [...counts].map(
    ([name, { read, refused, slowest, largest }]) =>
      `${name}: ${read} read, ${refused} refused, slowest ${slowest.toFixed(0)} ms, most memory ${(largest / 2 ** 20).toFixed(0)} MiB`,
  )
  if (process.env['FUZZ_CASES'] !== undefined || process.env['npm_lifecycle_event'] === 'fuzz')
    console.info([...lines, `${total(({ read, refused }) => read + refused)} cases, nothing lost`].join('\n'))
})

type Change = { readonly name: string; readonly content: string | Uint8Array }

/** A folder of valid files. Each case changes one of them, and must leave no other file behind. */
const fuzz = (
  reader: string,
  files: Readonly<Record<string, string | Uint8Array>>,
  changes: fc.Arbitrary<readonly Change[]>,
  read: (folder: string) => Promise<unknown>,
  mayAppear: RegExp = /^$/,
) =>
  it(
    `${reader} (${numRuns} cases)`,
    async () => {
      const count = newCount()
      counts.set(reader, count)
      const folder = join(work, 'case')
      const reset = async (): Promise<void> => {
        await rm(folder, { recursive: true, force: true })
        await mkdir(folder)
        for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
      }
      await reset()
      await read(folder) // as it is, it is valid
      await reset()
      await fc.assert(
        fc.asyncProperty(changes, async (changed) => {
          for (const { name, content } of changed) await writeFile(join(folder, name), content)
          await survives(count, () => read(folder))
          const names = new Set([...Object.keys(files), ...changed.map(({ name }) => name)])
          const left = await readdir(folder)
          expect(left.filter((name) => !names.has(name) && !mayAppear.test(name))).toEqual([])
          if (left.some((name) => mayAppear.test(name))) await reset()
          else
            for (const { name } of changed)
              await (files[name] === undefined ? rm(join(folder, name)) : writeFile(join(folder, name), files[name]))
        }),
        { seed: SEED, numRuns },
      )
      expect(await treeOf(join(root, 'outside'))).toEqual(before)
      expect((await readdir(root)).sort()).toEqual(['outside', 'work', 'x'])
      expect(await readdir(work)).toEqual(['case'])
      expect(await readdir('.')).toEqual(repository)
      expect(count.read + count.refused).toBeGreaterThanOrEqual(numRuns)
      expect(count.refused).toBeGreaterThan(numRuns / 20) // or the changes change nothing
    },
    12 * 3_600_000,
  )

/** Byte changes of one of the files, or changes of it as JSON. */
const changesOf = (
  files: Readonly<Record<string, string | Uint8Array>>,
  jsonOnly: readonly string[] = [],
): fc.Arbitrary<readonly Change[]> =>
  fc.constantFrom(...Object.keys(files)).chain((name) => {
    const content = files[name]!
    const bytes = edits.map((changes) => [{ name, content: applyEdits(Buffer.from(content), changes) }])
    if (typeof content !== 'string' || !content.trimStart().startsWith('{') || jsonOnly.includes(name)) return bytes
    return fc.oneof(
      bytes,
      jsonEdits.map((changes) => [{ name, content: applyJsonEdits(JSON.parse(content), changes) }]),
    )
  })

const { model, outputs } = parseConfigFile(JSON.stringify(roberta), 'config.json')
const head = model.sequenceHead(outputs.labels).tensors
const tensorsOf = (prefix: string): Map<string, WritableTensor> =>
  new Map(
    [...model.spec.tensors, ...head].map(([name, shape], i) => [
      name.startsWith('classifier') ? name : `${prefix}${name}`,
      { shape, data: new Float32Array(elementCount(shape)).fill(i / 64) },
    ]),
  )

/** Changes of a safetensors file's header as JSON, its length put right; with the data as it was, or cut. */
const headerChanges = (name: string, bytes: Uint8Array): fc.Arbitrary<readonly Change[]> => {
  const { header, data } = partsOf(bytes)
  return fc
    .tuple(jsonEdits, fc.oneof(fc.constant(0), fc.nat(40)))
    .map(([changes, cut]) => [{ name, content: assembled(applyJsonEdits(header, changes), data.subarray(0, data.length - cut)) }])
}

/** Changes of the JSON that a checkpoint keeps in its metadata; its tensors stay as they are. */
const contentChanges = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> => {
  const { header, data } = partsOf(bytes)
  const content: unknown = JSON.parse(header.__metadata__.content)
  return jsonEdits.map((changes) =>
    assembled(JSON.stringify({ ...header, __metadata__: { content: applyJsonEdits(content, changes) } }), data),
  )
}

const partsOf = (bytes: Uint8Array) => {
  const length = Number(Buffer.from(bytes).readBigUInt64LE(0))
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()) as {
    readonly __metadata__: { readonly content: string }
  }
  return { header, data: bytes.subarray(8 + length) }
}

const assembled = (header: string, data: Uint8Array): Uint8Array => {
  const text = Buffer.from(header)
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([size, text, data])
}

describe(`hostile files (seed ${SEED}, ${CASES} cases)`, () => {
  const small = writeSafetensors(
    new Map<string, WritableTensor>([
      ['a', { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
      ['b', { shape: [3], data: Float64Array.of(1, 2, 3) }],
      ['c', { shape: [3], data: Float32Array.of(1, 2, 3), dtype: 'F16' }],
    ]),
    { format: 'pt' },
  )
  fuzz(
    'a safetensors file',
    { 'model.safetensors': small },
    fc.oneof(changesOf({ 'model.safetensors': small }), headerChanges('model.safetensors', small)),
    async (folder) => {
      const { tensors } = await readSafetensors(join(folder, 'model.safetensors'))
      for (const entry of tensors.values()) if (/^B?F\d+$/.test(entry.dtype)) await readTensor(entry)
    },
  )

  const valid = { 'config.json': JSON.stringify(roberta), 'model.safetensors': writeSafetensors(tensorsOf('roberta.')) }
  fuzz(
    'a model folder',
    valid,
    fc.oneof(changesOf(valid), headerChanges('model.safetensors', valid['model.safetensors'])),
    async (folder) => checkFinite(await openModelFolder(folder), head),
  )

  const all = [...tensorsOf('roberta.')]
  const halves = [all.slice(0, 10), all.slice(10)] as const
  const index = JSON.stringify({
    metadata: { total_size: 1 },
    weight_map: Object.fromEntries(halves.flatMap((half, i) => half.map(([name]) => [name, `model-0000${i + 1}-of-00002.safetensors`]))),
  })
  const sharded = {
    'config.json': JSON.stringify(roberta),
    'model.safetensors.index.json': index,
    'model-00001-of-00002.safetensors': writeSafetensors(new Map(halves[0])),
    'model-00002-of-00002.safetensors': writeSafetensors(new Map(halves[1])),
  }
  fuzz(
    'a sharded model folder',
    sharded,
    fc.oneof({ weight: 3, arbitrary: changesOf({ 'model.safetensors.index.json': index }) }, changesOf(sharded)),
    async (folder) => {
      parseShardIndex(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8'), 'index')
      await checkFinite(await openModelFolder(folder), head)
    },
  )

  const weights = (shape: readonly number[]) => ({ shape, data: new Float32Array(elementCount(shape)).fill(0.5) })
  const {
    configText,
    namesText,
    weights: adapterWeights,
  } = peftFiles({
    model,
    outputs,
    baseModelName: 'me/model',
    rank: 4,
    alpha: 8,
    modules: new Map([
      ['encoder.layer.0.attention.self.query', { A: weights([4, sizes.hidden_size]), B: weights([sizes.hidden_size, 4]) }],
      ['encoder.layer.1.output.dense', { A: weights([1, 6]), B: weights([sizes.hidden_size, 1]) }],
    ]),
    head: new Map([...head].map(([name, shape]) => [name, weights(shape)])),
    labelNames: ['bad', 'good'],
  })
  const adapter = { 'adapter_config.json': configText, 'adapter_model.safetensors': adapterWeights, 'salora.json': namesText }
  fuzz(
    'an adapter folder',
    adapter,
    fc.oneof(changesOf(adapter), headerChanges('adapter_model.safetensors', adapterWeights)),
    async (folder) => readAdapter(folder, await openModelFolder(base)),
  )

  const padded = (bytes: number): Buffer => Buffer.alloc(bytes, 1)
  const ofLlamaCpp = {
    'adapter.gguf': ggufFile({
      keys: [
        key('general.architecture', 8, string('llama')),
        key('adapter.type', 8, string('lora')),
        key('adapter.lora.alpha', 6, uint32(0x4080_0000)),
        key('adapter.lora.task_names', 9, Buffer.concat([uint32(8), uint64(2), string('a'), string('b')])),
      ],
      tensors: [tensor('blk.0.attn_q.weight.lora_a', [24, 2], 0, 0), tensor('blk.0.attn_q.weight.lora_b', [2, 32], 1, 192)],
      data: padded(320),
    }),
  }
  fuzz('an adapter in GGUF', ofLlamaCpp, changesOf(ofLlamaCpp), async (folder) =>
    readAdapter(folder, await openModelFolder(join(fixtures, 'llama'))),
  )

  const ofModel = { 'model.gguf': readFileSync(join(fixtures, 'quantized.gguf')) }
  fuzz(
    'a model in GGUF',
    ofModel,
    changesOf(ofModel),
    async (folder) => {
      const model = await openModelFolder(await convertedModel(join(folder, 'model.gguf'), join(root, 'work', 'case')))
      await loadTokenizer(model.folder, model.model)
    },
    /^salora-/,
  )

  const texts = ['', 'a b', 'ab ba !', '\u0000é東\ud800', 'ab'.repeat(1_000), ' '.repeat(2_000), 'a '.repeat(1_000)]
  for (const [name, json, family] of [
    ['byte-pair', bytePair, { vocab_size: 30, max_position_embeddings: 42 }],
    ['unigram', unigram, { model_type: 'xlm-roberta', vocab_size: 30, max_position_embeddings: 42 }],
    ['word-piece', wordPiece, { model_type: 'bert', vocab_size: 30, max_position_embeddings: 40, type_vocab_size: 2, pad_token_id: 0 }],
  ] as const) {
    const files = {
      'tokenizer.json': JSON.stringify(json),
      'tokenizer_config.json': JSON.stringify({ model_max_length: 20, unk_token: '[UNK]', remove_space: false }),
    }
    fuzz(`a ${name} tokenizer`, files, changesOf(files), async (folder) => {
      const { model: parsed } = parseConfigFile(JSON.stringify({ ...roberta, ...family }), 'config.json')
      const { encode } = await loadTokenizer(folder, parsed)
      for (const text of texts) {
        const { inputIds } = encode(text, text.slice(0, 3), 20)
        expect(inputIds.every((id) => Number.isInteger(id) && id >= 0 && id < 30)).toBe(true)
      }
    })
  }

  it('writes the checkpoint to break', async () => {
    await mkdir(join(work, 'case'), { recursive: true })
    await saveCheckpoint(join(work, 'made'), 'salora', {
      state: stateOf(pruned),
      best: { parameters: stateOf(pruned).parameters, phase: pruned.phase, step: 6, selection: 0.5, scores: { accuracy: 0.5 } },
      lastEvaluation: null,
      byMatrix: {},
      metricsLines: 4,
    })
    for (const name of await readdir(join(work, 'made'))) checkpoint[name] = await readFile(join(work, 'made', name))
    await rm(join(work, 'made'), { recursive: true })
  })
  const checkpoint: Record<string, Uint8Array> = {}
  const file = 'step-000000006.safetensors'
  const signed = (content: Uint8Array): readonly Change[] => [
    { name: file, content },
    { name: `${file}.sha256`, content: `${createHash('sha256').update(content).digest('hex')}\n` },
  ]
  fuzz(
    'a checkpoint',
    checkpoint,
    fc.oneof(
      edits.map((changes) => [{ name: file, content: applyEdits(checkpoint[file]!, changes) }]),
      edits.map((changes) => [{ name: `${file}.sha256`, content: applyEdits(checkpoint[`${file}.sha256`]!, changes) }]),
      edits.map((changes) => signed(applyEdits(checkpoint[file]!, changes))),
      fc
        .nat()
        .chain(() => headerChanges(file, checkpoint[file]!))
        .map(([change]) => signed(Buffer.from(change!.content))),
      {
        weight: 2,
        arbitrary: fc
          .nat()
          .chain(() => contentChanges(checkpoint[file]!))
          .map(signed),
      },
    ),
    async (folder) => {
      const messages: string[] = []
      const checkpoint = await newestCheckpoint(folder, await outlineOf('float32'), (message) => {
        messages.push(message)
      })
      if (checkpoint === null) throw new InputError(folder, 'a checkpoint', messages[0] ?? 'no message')
    },
    /\.damaged$/,
  )

  const tables = {
    'task.tsv': `text\tlabel\n${Array.from({ length: 40 }, (_, i) => `words ${i}\t${i % 2}`).join('\n')}\n`,
    'task.csv': `text,label\n${Array.from({ length: 40 }, (_, i) => `"words, ""${i}""",${i % 2}`).join('\n')}\n`,
    'task.jsonl': `${Array.from({ length: 40 }, (_, i) => JSON.stringify({ text: `words ${i}`, label: String(i % 2) })).join('\n')}\n`,
  }
  fuzz('a task file', tables, changesOf(tables, ['task.jsonl']), async (folder) => {
    for (const name of Object.keys(tables)) await loadTask({ task: join(folder, name) })
  })

  const parquet = Object.fromEntries(
    ['pandas/pandas-brotli', 'pandas/pandas-gzip', 'pandas/pandas-lz4', 'pandas/pandas-snappy', 'pandas/pandas-zstd', 'datasets/tags'].map(
      (name) => [`${name.split('/')[1]}.parquet`, readFileSync(join(fixtures, `${name}.parquet`))],
    ),
  )
  fuzz('a Parquet file', parquet, changesOf(parquet), async (folder) => {
    for (const name of Object.keys(parquet)) await parquetRows(join(folder, name), [], { whole: () => undefined }, () => undefined)
  })

  const run = { 'config.json': JSON.stringify(runConfig), 'result.json': JSON.stringify(runResult) }
  fuzz("a run's config.json and result.json", run, changesOf(run), async (folder) => {
    parseRunConfig(await readFile(join(folder, 'config.json'), 'utf8'), 'config.json')
    parseRunResult(await readFile(join(folder, 'result.json'), 'utf8'), 'result.json')
  })
})
