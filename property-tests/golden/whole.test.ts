/** Adapters of PEFT that change more than matrices of layers: LoRA on tables of words, modules that are saved whole, resized tables. */
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { ExportFormat } from '../../finetuning/use/exportFormats.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { mergeAdapters } from '../../finetuning/use/mergeAdapters.js'
import { adapterIn, withCheckedHead } from '../../finetuning/use/attachAdapter.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { memoryStorage } from '../../accelerated/storage/memory.js'
import { openPredictions, openTextDecoder } from '../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../finetuning/use/openModel.js'
import { openSharedBase } from '../../finetuning/use/sharedBase.js'
import { saloraHere } from '../cli/inProcess.js'
import { temporaryCache } from '../support/temporaryFolder.js'
import { predictGolden } from './exportGolden.js'
import { compareNumbers, expectAgreement, fixtures, goldenBounds, readGolden, tensorsIn } from './golden.js'

type Family = 'bert' | 'llama' | 'qwen3'
type Made = {
  readonly config: Readonly<Record<string, unknown>>
  readonly shapes: Readonly<Record<string, readonly number[]>>
  readonly logits: readonly (readonly number[])[]
}
const golden = JSON.parse(readFileSync(join(fixtures, 'whole.json'), 'utf8')) as {
  readonly ids: readonly (readonly number[])[]
  readonly cases: Readonly<Record<string, Readonly<Partial<Record<Family, Made>>>>>
}
const cases = Object.entries(golden.cases).flatMap(([name, made]) =>
  Object.entries(made).map(([family, one]) => [name, family as Family, one] as const),
)
const { folder: place, write: writeFileIn } = temporaryCache('whole')
const folder = join(place, 'adapter')
const file = 'adapter_model.safetensors'

/** golden_whole.py's `fill` */
const write = async (name: string, { config, shapes }: Made, factor: (key: string) => number = () => 1): Promise<void> => {
  const tensors = new Map(
    Object.entries(shapes).map(([key, shape], place) => {
      const data = Float32Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        (_, i) => factor(key) * 0.2 * Math.sin(1.3 * i + 7 * place),
      )
      return [key, { shape, data }] as const
    }),
  )
  const [embedded, output] = ['base_model.model.model.embed_tokens.', 'base_model.model.lm_head.']
  const find = (key: string) => tensors.get(`${embedded}${key}`) ?? { shape: [], data: new Float32Array(0) }
  if (name === 'savedTied') tensors.set(`${output}weight`, find('weight'))
  if (name === 'tied') {
    tensors.set(`${output}lora_A.weight`, flipped(find('lora_embedding_B')))
    tensors.set(`${output}lora_B.weight`, flipped(find('lora_embedding_A')))
  }
  await mkdir(folder, { recursive: true })
  await rm(join(folder, 'salora.json'), { force: true })
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config))
  await writeFile(join(folder, 'adapter_model.safetensors'), writeSafetensors(tensors))
}

const flipped = ({ shape: [rows = 0, columns = 0], data }: { readonly shape: readonly number[]; readonly data: Float32Array }) => ({
  shape: [columns, rows],
  data: Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] ?? NaN),
})

const logitsOf = async (
  family: Family,
  model = join(fixtures, family),
  adapter: string | null = folder,
  precision: 'float32' | 'int8' | 'int4' = 'float32',
): Promise<readonly number[]> => {
  if (family === 'bert') return predictGolden(family, adapter, readGolden(family), model)
  const decoder = await openTextDecoder(await loadTextModel({ model, adapter }), { precision, threads: 1 }, findDevice('cpu'))
  return (await decoder.begin(golden.ids).finally(decoder.release)).logits().flatMap((row) => [...row])
}

const exporting = (family: Family) =>
  ({ model: join(fixtures, family), adapter: folder, precision: 'float32', maxLength: null, targeted: null }) as const

/** What keeps an adapter from a format for matrices only. */
const refused = (name: string): string => {
  if (name === 'words') return 'of embeddings.word_embeddings'
  if (name === 'output') return 'of lm_head'
  return ['lookup', 'both', 'tied'].includes(name) ? 'of embed_tokens' : 'with whole modules of the model .*'
}

describe.each(cases)('an adapter of PEFT by %s on %s', (name, family, made) => {
  const agrees = (logits: readonly number[]) =>
    expectAgreement(`${name}, ${family}`, [compareNumbers('logits', goldenBounds.float32, made.logits.flat(), logits)])

  it("has PEFT's logits, which its export in PEFT and merged keep", async () => {
    await write(name, made)
    agrees(await logitsOf(family))
    const isScaled = (key: string): boolean => name === 'both' && /_B|embedding_A/.test(key) // to one alpha
    const numbersIn = (at: string) => new Map([...tensorsIn(join(at, file))].filter(([key]) => !isScaled(key)))
    for (const format of ['peft', 'merged'] as const) {
      const output = join(place, `${name}-${family}-${format}`)
      await exportAdapter({ ...exporting(family), format, output })
      agrees(format === 'peft' ? await logitsOf(family, undefined, output) : await logitsOf(family, output, null))
      if (format === 'peft') expect(numbersIn(output)).toEqual(numbersIn(folder))
    }
  })

  it('has the same logits in transformers.js, and no format for adapters of matrices takes it', async () => {
    await write(name, made)
    const exported = (format: ExportFormat) =>
      exportAdapter({ ...exporting(family), format, output: join(place, `${name}-${family}-${format}`) })
    const { comparison } = await exported('transformers.js')
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5)
    const refusal = new RegExp(`^format: expected one of peft, merged, .* for an adapter ${refused(name)}, .*got peft`)
    for (const format of ['peft-padded', 'peft-file'] as const) await expect(exported(format)).rejects.toThrow(refusal)
    const [start, end] = family === 'bert' ? ['a model of type bert', ''] : [`an adapter ${refused(name)}`, ' merged only']
    await expect(exported('gguf')).rejects.toThrow(new RegExp(`for ${start}, which .*${end}, got gguf`))
  })

  it.skipIf(family === 'bert')('has nearly the same logits in int8, whose cache has the base too', async () => {
    await write(name, made)
    const expected = made.logits.flat()
    const error = (logits: readonly number[]): number =>
      Math.hypot(...expected.map((x, i) => x - (logits[i] ?? NaN))) / Math.hypot(...expected)
    const base = await logitsOf(family, undefined, null, 'int8')
    if (name !== 'resized') expect(error(base)).toBeGreaterThan(0.15)
    expect(error(await logitsOf(family, undefined, undefined, 'int8'))).toBeLessThan(0.07)
  })
})

describe('an adapter with more than matrices of layers', () => {
  const { llama: both } = golden.cases['savedBoth'] ?? {}
  const { llama: lookup } = golden.cases['lookup'] ?? {}
  const { llama: layers } = golden.cases['savedLayers'] ?? {}
  const embedded = 'base_model.model.model.embed_tokens.'
  const opened = (made: Made | undefined, change: Partial<Made>, model = 'llama', numbers?: (key: string) => number) =>
    write('', { ...(made as Made), ...change }, numbers).then(() => loadTextModel({ model: join(fixtures, model), adapter: folder }))
  const without = (made: Made | undefined, key: string) => ({
    shapes: Object.fromEntries(Object.entries(made?.shapes ?? {}).filter(([name]) => name !== key)),
  })

  it.each([
    [
      'a module without its tensor',
      layers,
      without(layers, 'base_model.model.model.norm.weight'),
      /adapter_model.safetensors: expected tensor base_model.model.model.norm.weight \[24\] of modules_to_save, got none of that name/,
    ],
    [
      "a module whose name only ends with the list's, as PEFT reads it",
      layers,
      without(layers, 'base_model.model.model.layers.1.post_attention_layernorm.weight'),
      /expected tensor .*layers.1.post_attention_layernorm.weight \[24\] of modules_to_save, got none of that name/,
    ],
    [
      'another width',
      both,
      { shapes: { ...both?.shapes, [`${embedded}weight`]: [50, 23] } },
      /expected tensor .*embed_tokens.weight of shape \[50, 24\], got \[50, 23\]/,
    ],
    [
      'a table of other rows',
      both,
      { shapes: { ...both?.shapes, [`${embedded}weight`]: [51, 24] } },
      /adapter_model.safetensors: expected 51 rows of lm_head, as the embeddings have, got 50/,
    ],
    ['no number in a table', both, { shapes: { ...both?.shapes, [`${embedded}weight`]: [0, 24] } }, /expected/],
    [
      'a factor of other rows',
      lookup,
      { shapes: { ...lookup?.shapes, [`${embedded}lora_embedding_A`]: [2, 51] } },
      /expected tensor .*embed_tokens.lora_embedding_A of shape \[2, 50\], got \[2, 51\]/,
    ],
    [
      'magnitudes of a table',
      lookup,
      { config: { ...lookup?.config, use_dora: true } },
      /adapter_config.json: expected magnitudes \(use_dora\) of matrices in layers, got those of model.embed_tokens \(/,
    ],
    [
      'a module that is none',
      layers,
      { shapes: { ...layers?.shapes, 'base_model.model.model.other.weight': [2] } },
      /expected only the .* tensors that adapter_config.json describes, got ".*other.weight"/,
    ],
  ])('is refused for %s', async (_, made, change, message) => {
    await expect(opened(made, change)).rejects.toThrow(message)
  })

  it('is refused for a number that is not finite', async () => {
    const bad = (key: string) => (key.endsWith('norm.weight') ? NaN : 1)
    await expect(opened(layers, {}, 'llama', bad)).rejects.toThrow(
      /adapter_model.safetensors: expected finite float32 numbers in .*norm.weight, got NaN at \[0\]/,
    )
    const infinite = (key: string) => (key.includes('lora_embedding_A') ? Infinity : 1)
    await expect(opened(lookup, {}, 'llama', infinite)).rejects.toThrow(/expected finite numbers in .*lora_embedding_A/)
  })

  it('opens from a storage without a disk, in another folder than the model', async () => {
    const { bert } = golden.cases['saved'] ?? {}
    await write('', bert as Made)
    const storage = memoryStorage()
    for (const [from, to] of [
      [join(fixtures, 'bert'), 'models'],
      [folder, 'adapters'],
    ] as const) {
      await storage.makeFolder(to)
      for (const { name } of (await readdir(from, { withFileTypes: true })).filter((one) => one.isFile()))
        await storage.write(`${to}/${name}`, await readFile(join(from, name)))
    }
    const read = await adapterIn('adapters', await openModelFolder('models', { storage }))
    const options = { precision: 'float32', threads: 1, maxLength: null, batchSize: 4 } as const
    const opened = await openPredictions(await withCheckedHead(read, 'adapters'), options, findDevice('cpu'))
    const texts = readGolden('bert').batches.flatMap((batch) =>
      batch.texts.map(([text, textPair]) => (textPair === undefined ? { text } : { text, textPair })),
    )
    const logits = (await opened.predict(texts).finally(opened.release)).flat()
    expectAgreement('from memory', [compareNumbers('logits', goldenBounds.float32, bert?.logits.flat() ?? [], logits)])
  })

  const data = writeFileIn('rows.jsonl', Array.from({ length: 12 }, (_, i) => `{"prompt":"w3 w${4 + i}","completion":" w7"}\n`).join(''))

  it('does not share a base, merge with others or begin a run, each with a line', async () => {
    for (const [made, what] of [
      [both, 'with whole modules'],
      [without(lookup, `${embedded}base_layer.weight`), 'of embed_tokens'],
    ] as const) {
      await write('', { ...(lookup as Made), ...made })
      const { read } = await openSharedBase(join(fixtures, 'llama'))
      await expect(read({ folder, trainedBy: undefined })).rejects.toThrow(
        new RegExp(`expected an adapter that is plain LoRA, to share a base, got an adapter ${what}`),
      )
      const merged = mergeAdapters({ adapters: [folder], model: join(fixtures, 'llama'), output: join(place, 'merged') })
      await expect(merged).rejects.toThrow(new RegExp(`expected an adapter of matrices and a head, got an adapter ${what}`))
      const started = ['--adapter', folder, '--task', 'alpaca', '--data', data, '--max-length', '32', '--output', join(place, 'run')]
      const { code, stderr } = await saloraHere('train', '--model', join(fixtures, 'llama'), ...started, '--quiet')
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(
          new RegExp(`expected an adapter of matrices in layers and a head, got an adapter ${what}.*; salora export --format merged`),
        ),
      ])
    }
  })
})
