/** `salora/adapters`: one base and its adapters answer as the merged exports do, and a bad adapter is refused in one line. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline, type Tensor } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdapter } from '../../web/adapters/index.js'
import { writeFamily } from '../cli/tinyAdapter.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { exportTo, fiveKinds, serveFiles, writeKind, type Files } from './swappedAdapters.js'

const { folder: root } = temporaryFolder('adapters')
const at = (...path: readonly string[]): string => join(root, ...path)
const texts = ['a wonderful film.', 'bad', 'why does it go on and on?']
const options = { dtype: 'fp32', device: 'cpu', local_files_only: true } as const

let files: Files = { url: '', close: () => undefined }
beforeAll(async () => {
  env.allowRemoteModels = false
  files = await serveFiles(root, { 'huge.safetensors': Buffer.alloc(30_000_000, 0x20), 'page.safetensors': Buffer.from('<!doctype html>') })
})
afterAll(() => files.close())

type Loaded = Pick<Awaited<ReturnType<typeof pipeline<'text-classification'>>>, 'model' | 'tokenizer'>
const outputs = async (loaded: Loaded): Promise<readonly number[]> => {
  const { logits, last_hidden_state: hidden } = (await loaded.model(
    loaded.tokenizer(texts, { padding: true, truncation: true }),
  )) as Readonly<Record<string, Tensor>>
  return Array.from((logits ?? hidden)?.data ?? [], Number)
}
const largestDifference = (a: readonly number[], b: readonly number[]): number => {
  expect(a.length).toBe(b.length)
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] ?? NaN))), 0)
}

/** Writes the base and adapters of it as folders and as files. */
const write = async (family: string, model: string, names: readonly string[] = Object.keys(fiveKinds)) => {
  for (const name of names) {
    await writeKind(at(family, name), model, fiveKinds[name] ?? { rank: 1 })
    await exportTo(at(family, `${name}-file`), model, at(family, name), { format: 'peft-file' })
  }
  return exportTo(at(family, 'base'), model, at(family, names[0] ?? ''), { adapterInputs: { maxRank: 8 } })
}
const fileOf = (family: string, name: string): Promise<Buffer> => readFile(at(family, `${name}-file`, 'adapter.safetensors'))

type Prepared = { readonly model: string; readonly base: string }
let bert: Prepared = { model: '', base: '' }
beforeAll(async () => {
  const model = await writeFamily(at('bert', 'model'), 'bert')
  bert = { model, base: await write('bert', model) }
})

/** Each adapter on the base, as a file and as a folder of PEFT's, beside its merged export. */
const expectMerged = async (family: string, { model, base }: Prepared, names: readonly string[]): Promise<void> => {
  const adapted = await withAdapter(await pipeline('text-classification', base, options), await fileOf(family, names[0] ?? ''))
  const before: (readonly number[])[] = []
  for (const name of names) {
    const folder = await exportTo(at(family, `${name}-merged`), model, at(family, name), {})
    const merged = await pipeline('text-classification', folder, options)
    const expected = await outputs(merged)
    for (const source of [`${name}/`, `${name}/adapter_model.safetensors`, `${name}-file/adapter.safetensors`]) {
      expect(await adapted.use(`${files.url}${family}/${source}`)).toBe(true)
      expect(largestDifference(await outputs(adapted), expected)).toBeLessThan(1e-5)
    }
    for (const other of before) if (other.length === expected.length) expect(largestDifference(other, expected)).toBeGreaterThan(1e-2)
    before.push(expected)
    const [mine, theirs] = [await adapted(texts[0] ?? '', { top_k: 9 }), await merged(texts[0] ?? '', { top_k: 9 })]
    expect(mine.map(({ label }) => label)).toEqual(theirs.map(({ label }) => label))
    expect(mine.map(({ label }) => label).sort()).toEqual([...(fiveKinds[name]?.labels ?? [])].sort())
    await merged.dispose()
  }
  await adapted.dispose()
}

describe('a base with adapters as inputs', () => {
  it('answers with the logits of the merged exports for five adapters of other ranks, scales and classes', () =>
    expectMerged('bert', bert, Object.keys(fiveKinds)))

  it.each(['roberta', 'distilbert', 'electra', 'mpnet', 'modernbert', 'deberta-v2'])('is exact for %s, too', async (family) => {
    const names = ['topic', 'language']
    const model = join(fixtures, family)
    await expectMerged(family, { model, base: await write(family, model, names) }, names)
  })

  it('is the same whichever adapter it was exported with', async () => {
    const other = await exportTo(at('bert', 'other'), bert.model, at('bert', 'language'), { adapterInputs: { maxRank: 8 } })
    for (const name of ['onnx/model.onnx', 'config.json', 'tokenizer.json'])
      expect(await readFile(join(other, name)), name).toEqual(await readFile(join(bert.base, name)))
    expect(await readFile(join(other, 'adapter.safetensors'))).toEqual(await fileOf('bert', 'language'))
  })

  it('has matrices in int8, and the adapter in float32 beside them: as near to float32 as the merged export in int8', async () => {
    const int8 = { precision: 'int8' } as const
    const base = await exportTo(at('bert', 'base8'), bert.model, at('bert', 'topic'), { ...int8, adapterInputs: { maxRank: null } })
    const merged = await exportTo(at('bert', 'topic8'), bert.model, at('bert', 'topic'), int8)
    const q8 = { ...options, dtype: 'q8' } as const
    const all = [
      await withAdapter(await pipeline('text-classification', bert.base, options), await fileOf('bert', 'topic')),
      await pipeline('text-classification', merged, q8),
      await withAdapter(await pipeline('text-classification', base, q8), await fileOf('bert', 'topic')),
    ]
    const [exact = [], theirs = [], mine = []] = await Promise.all(all.map(outputs))
    const error = largestDifference(mine, exact)
    expect(error).toBeGreaterThan(1e-4)
    expect(error).toBeLessThan(2 * largestDifference(theirs, exact))
    for (const one of all) await one.dispose()
  })

  it('classifies tokens, embeds texts and classifies embeddings as the merged exports do', async () => {
    const pooled = true
    for (const [name, task, kind, head] of [
      ['token', 'token-classification', { rank: 4, labels: ['O', 'B-PER', 'I-PER'] }, 'token'],
      ['embedding', 'feature-extraction', { rank: 4 }, 'embedding'],
      ['pooled', 'text-classification', { rank: 4, labels: ['O', 'B-PER', 'I-PER'], pooled }, 'sequence'],
    ] as const) {
      const adapter = await writeKind(at('bert', name), bert.model, kind, head)
      const base = await exportTo(at('bert', `${name}-base`), bert.model, adapter, { adapterInputs: { maxRank: 4 } })
      const merged = await pipeline(task, await exportTo(at('bert', `${name}-merged`), bert.model, adapter, {}), options)
      const adapted = await withAdapter(await pipeline(task, base, options), await readFile(join(base, 'adapter.safetensors')))
      const expected = await outputs(merged)
      expect(largestDifference(await outputs(adapted), expected)).toBeLessThan(1e-5)
      if (head === 'embedding') {
        await adapted.use(null)
        expect(largestDifference(await outputs(adapted), expected)).toBeGreaterThan(1e-2)
      } else expect(JSON.stringify(adapted.model.config)).toContain('"1":"B-PER"')
      await merged.dispose()
      await adapted.dispose()
    }
  })

  it.each(['llama', 'gpt2'])('generates the text of the merged export, with %s and its cache', async (family) => {
    const model = join(fixtures, family)
    const generated = { max_new_tokens: 12, do_sample: false, return_full_text: false } as const
    const adapters = await Promise.all([2, 5].map((rank) => writeKind(at(family, `r${rank}`), model, { rank }, 'causal')))
    const base = await exportTo(at(family, 'base'), model, adapters[0] ?? '', { adapterInputs: { maxRank: 8 } })
    const adapted = await withAdapter(await pipeline('text-generation', base, options), null)
    const answers = [JSON.stringify(await adapted('w8 w34 w33', generated))]
    for (const adapter of adapters) {
      const merged = await pipeline('text-generation', await exportTo(`${adapter}-merged`, model, adapter, {}), options)
      expect(await adapted.use(`${files.url}${family}/${adapter.slice(at(family).length + 1)}`)).toBe(true)
      const answer = await adapted('w8 w34 w33', generated)
      expect(answer).toEqual(await merged('w8 w34 w33', generated))
      answers.push(JSON.stringify(answer))
      await merged.dispose()
    }
    expect(new Set(answers).size).toBe(3)
    await adapted.dispose()
  })
})
