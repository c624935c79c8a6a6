/** An adapter exported as GGUF: llama.cpp gives the next tokens the probabilities that salora gives them, and the hub's parser reads the file. */
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { exportAdapter, type ExportReport } from '../../finetuning/use/exportAdapter.js'
import { openGenerator } from '../../index.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { baseOf, families, ourProbabilities, writeDecoder, writeRandomAdapter, type Family } from './decoders.js'
import { askLlamaCpp, hasLlamaCpp, largestDifference, needsLlamaCpp, parsedByHub } from './llama.js'

const { folder } = temporaryFolder('llamacpp')
const at = (...path: readonly string[]): string => join(folder, ...path)

const prompts = [
  [1, 8, 34, 33, 6, 29, 11, 4, 19],
  [17, 7],
]

/** Ranks 0, 3, 5, 8, 1 and 2 beside 8: of the fixture's matrices, none has a smaller side. */
const rankPattern = { q_proj: 5, k_proj: 3, v_proj: 0, o_proj: 1, up_proj: 2 }
const settings = { method: 'lora', rank: 8, loraAlpha: 12, rankPattern }
const settingsOf = (family: Family) =>
  family === 'gpt2'
    ? { ...settings, rankPattern: { c_attn: 5, 'attn.c_proj': 0, 'mlp.c_proj': 2 } }
    : family === 'phi3'
      ? { ...settings, rankPattern: { qkv_proj: 5, o_proj: 0, down_proj: 2 } }
      : settings

/** llama.cpp reads GELU from a table of float16 numbers. */
const bounds: Readonly<Record<Family, number>> = {
  llama: 1e-5,
  mistral: 1e-5,
  qwen2: 1e-5,
  qwen3: 1e-5,
  gpt2: 2e-3,
  phi3: 1e-5,
  gemma2: 2e-3,
  gemma3: 2e-3,
  gemma: 2e-3,
  granite: 1e-5,
  ministral: 1e-5,
  olmo2: 1e-5,
  smollm3: 1e-5,
}

const exported = (family: Family, adapter: string, precision: 'float32' | 'float16' = 'float32') =>
  exportAdapter({
    ...{ model: at(family), adapter: at(adapter), format: 'gguf', output: at(`${adapter}-${precision}`), precision },
    ...{ maxLength: null, targeted: null },
  })

/** Writes a model, its adapter and exports of it; answers of llama.cpp and of salora. */
const answersOf = async (family: Family) => {
  await writeDecoder(at(family), family)
  const adapter = await writeRandomAdapter(at(`${family}-lora`), at(family), settingsOf(family))
  const [full, half] = [await exported(family, `${family}-lora`), await exported(family, `${family}-lora`, 'float16')]
  const fileOf = ({ output }: ExportReport): string => join(output, 'adapter.gguf')
  const model = baseOf(family)
  const positions = family === 'phi3' ? { contextSize: 256 } : {}
  const [plain, adapted, rounded, written] = await askLlamaCpp(
    { model, prompts, ...positions },
    { model, adapter: fileOf(full), prompts, ...positions },
    { model, adapter: fileOf(half), prompts, ...positions },
    { model, adapter: fileOf(full), prompts, greedy: 40, ...positions },
  )
  const ours = { plain: await ourProbabilities(at(family), null, prompts), adapted: await ourProbabilities(at(family), adapter, prompts) }
  return { full, half, plain, adapted, rounded, written, ours }
}

describe.skipIf(!hasLlamaCpp).each(families)(`an adapter of %s in llama.cpp ${needsLlamaCpp}`, (family) => {
  let answers: Awaited<ReturnType<typeof answersOf>>
  beforeAll(async () => {
    answers = await answersOf(family)
  })

  it('gives the probabilities that salora gives, with a different rank in each matrix', () => {
    const { full, plain, adapted, ours } = answers
    expect(full.comparison.largestLogitDifference).toBeLessThan(1e-5 * full.comparison.largestLogit)
    expect(largestDifference(plain.probabilities, ours.plain)).toBeLessThan(bounds[family])
    expect(largestDifference(adapted.probabilities, ours.adapted)).toBeLessThan(bounds[family])
    expect(largestDifference(plain.probabilities, ours.adapted)).toBeGreaterThan(0.05) // the adapter counts
  })

  it('loses little in float16', () => {
    const { half, rounded, ours } = answers
    expect(half.files.map(({ name }) => name)).toEqual(['adapter.gguf'])
    expect(largestDifference(rounded.probabilities, ours.adapted)).toBeGreaterThan(1e-6)
    expect(largestDifference(rounded.probabilities, ours.adapted)).toBeLessThan(5e-3)
  })

  it('continues a prompt with the same 40 tokens', async () => {
    const generator = await openGenerator({ model: at(family), adapter: at(`${family}-lora`), device: 'cpu', threads: 1 })
    const texts: string[] = []
    try {
      for await (const event of generator.answers(prompts, { maxNewTokens: 40 }))
        if (event.kind === 'answer') texts[event.prompt] = event.text.trim()
    } finally {
      await generator.release()
    }
    const words = (ids: readonly number[]): string => ids.flatMap((id) => (id > 2 ? [`w${id}`] : [])).join(' ')
    expect(texts).toEqual(answers.written.greedy.map(words))
    expect(texts.join().length).toBeGreaterThan(20)
  })

  it('is read by the parser of the hub, with the keys of an adapter and two tensors for each matrix of a rank above 0', async () => {
    const { metadata, tensorInfos } = await parsedByHub(join(answers.full.output, 'adapter.gguf'))
    expect(metadata).toMatchObject({
      version: 3,
      'general.architecture': ['mistral', 'ministral'].includes(family) ? 'llama' : family,
      'general.type': 'adapter',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 12,
    })
    const shapes = Object.fromEntries(tensorInfos.map(({ name, shape }) => [name, shape.map(Number)]))
    if (family === 'gpt2') {
      expect(Object.keys(shapes)).toHaveLength(2 * 3 * 2)
      expect(shapes).toMatchObject({ 'blk.1.attn_qkv.weight.lora_b': [5, 96], 'blk.0.ffn_down.weight.lora_a': [40, 2] })
      return
    }
    if (family === 'phi3') {
      expect(Object.keys(shapes)).toHaveLength(2 * 3 * 2)
      expect(shapes).toMatchObject({ 'blk.1.attn_qkv.weight.lora_b': [5, 64], 'blk.0.ffn_up.weight.lora_b': [8, 80] })
      return
    }
    expect(tensorInfos).toHaveLength(2 * 6 * (family === 'smollm3' ? 4 : 2))
    const queries = ['llama', 'gemma', 'gemma3'].includes(family) ? 32 : 24
    expect(shapes).toMatchObject({
      'blk.0.attn_q.weight.lora_a': [24, 5],
      'blk.0.attn_q.weight.lora_b': [5, queries],
      'blk.1.attn_output.weight.lora_a': [queries, 1],
      'blk.1.ffn_down.weight.lora_b': [8, 24],
    })
    expect(Object.keys(shapes).filter((name) => name.includes('attn_v'))).toEqual([])
  })
})

const others = {
  rslora: { ...settings, useRslora: true },
  adalora: { method: 'adalora', initR: 6, targetR: 4, loraAlpha: 20 },
  oneMatrix: { method: 'lora', rank: 4, targetModules: ['gate_proj'] },
} as const

describe.skipIf(!hasLlamaCpp)(`other adapters in llama.cpp ${needsLlamaCpp}`, () => {
  it('give the probabilities that salora gives: rsLoRA, AdaLoRA, LoRA of one matrix, and one of rank 0 everywhere', async () => {
    const model = await writeDecoder(at('others'), 'llama')
    const files: Record<string, string> = {}
    for (const [name, settings] of [...Object.entries(others), ['pruned', others.oneMatrix] as const]) {
      const adapter = await writeRandomAdapter(at(name), model, settings, name === 'pruned' ? 0 : 0.5)
      const given = {
        model,
        adapter,
        format: 'gguf',
        output: at(`${name}-gguf`),
        precision: 'float32',
        maxLength: null,
        targeted: null,
      } as const
      files[name] = join((await exportAdapter(given)).output, 'adapter.gguf')
    }
    const names = Object.keys(files)
    const answers = await askLlamaCpp(...names.map((name) => ({ model: baseOf('llama'), adapter: files[name] ?? '', prompts })))
    const plain = await ourProbabilities(model, null, prompts)
    for (const [i, name] of names.entries()) {
      const probabilities = answers[i]?.probabilities ?? []
      expect(largestDifference(probabilities, await ourProbabilities(model, at(name), prompts)), name).toBeLessThan(1e-5)
      expect(largestDifference(probabilities, await ourProbabilities(model, at(`${name}-gguf`), prompts)), name).toBeLessThan(1e-5) // salora reads the file too
      if (name === 'pruned') expect(largestDifference(probabilities, plain)).toBeLessThan(1e-5)
      else expect(largestDifference(probabilities, plain), name).toBeGreaterThan(0.01)
    }
  })
})
