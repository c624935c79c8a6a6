/** Exports of a decoder with an adapter: the pipeline of @huggingface/transformers generates the same tokens, and every format has the same logits. */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AutoModelForCausalLM, AutoTokenizer, env, pipeline, type Tensor } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadChatTemplate } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { saveAdapter } from '../../../accelerated/formats/peft/peft.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { exportAdapter } from '../../../finetuning/use/exportAdapter.js'
import type { ExportFormat } from '../../../finetuning/use/exportFormats.js'
import { openGenerator } from '../../../index.js'
import { decoderFamilies as families, fixtures } from '../../golden/golden.js'
import { readModel } from '../../support/runGraph.js'
import { saloraHere } from '../inProcess.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

type Family = (typeof families)[number]
const prompts = ['w8 w34 w33 w6 w29', 'w14', 'w11 w7 w49 w29 w29 w30 w5 w40 w41']

const { folder: root } = temporaryFolder('export-decoder')
const at = (...path: readonly string[]): string => join(root, ...path)

const random = (place: number, shape: readonly [number, number], scale: number) => ({
  shape,
  data: Float32Array.from(normals(7, 'initialization', place, shape[0] * shape[1]), (x) => x * scale),
})

/** The fixture, whose tokenizer puts nothing after a text, and an adapter of every matrix at ranks 1 and 2. */
const write = async (family: Family): Promise<void> => {
  await cp(join(fixtures, family), at(family), { recursive: true })
  if (family === 'mistral') {
    const tokenizer = JSON.parse(await readFile(at(family, 'tokenizer.json'), 'utf8')) as object
    await writeFile(at(family, 'tokenizer.json'), JSON.stringify({ ...tokenizer, post_processor: null }))
  }
  const { model } = await openModelFolder(at(family))
  await mkdir(at(`${family}-adapter`))
  await saveAdapter(at(`${family}-adapter`), {
    model,
    outputs: causalOutputs,
    baseModelName: at(family),
    rank: 2,
    alpha: 2,
    modules: new Map(
      model.spec.matrices.map(({ name, d, k }, i) => {
        const r = 1 + (i % 2)
        return [name, { A: random(2 * i, [r, k], 1 / Math.sqrt(k)), B: random(2 * i + 1, [d, r], 0.7) }]
      }),
    ),
    head: new Map(),
  })
}

beforeAll(async () => {
  env.allowRemoteModels = false
  for (const family of families) await write(family)
})

const exported = (family: Family, format: ExportFormat, precision: 'float32' | 'float16' | 'int8' = 'float32', name = '') =>
  exportAdapter({
    model: at(family),
    adapter: at(`${family}-adapter`),
    format,
    output: at(`${family}-${format}-${precision}${name}`),
    precision,
    maxLength: null,
    targeted: null,
  })

/** What we write, with the adapter beside the matrices. */
const ours = async (model: string, adapter: string | null): Promise<readonly string[]> => {
  const generator = await openGenerator({ model, adapter, device: 'cpu', threads: 1 })
  const texts = new Map<number, string>()
  try {
    const ids = prompts.map((text) => generator.encode({ text }, text))
    for await (const event of generator.answers(ids, { maxNewTokens: 16 }))
      if (event.kind === 'answer') texts.set(event.prompt, event.text.trim())
  } finally {
    await generator.release()
  }
  return prompts.map((_, i) => texts.get(i) ?? '')
}

describe.each(families)('%s, with an adapter', (family) => {
  let texts: Promise<readonly string[]> | null = null
  const adapted = (): Promise<readonly string[]> => {
    texts ??= ours(at(family), at(`${family}-adapter`))
    return texts
  }

  it('generates the same text in the pipeline of @huggingface/transformers, one prompt at a time and in a padded batch', async () => {
    const report = await exported(family, 'transformers.js')
    expect(report.warnings).toEqual([])
    expect(report.comparison.largestLogitDifference).toBeLessThan(1e-5 * report.comparison.largestLogit)
    const [expected, without] = [await adapted(), await ours(at(family), null)]
    expect(expected).not.toEqual(without) // the adapter counts
    const write = await pipeline('text-generation', report.output, { dtype: 'fp32', device: 'cpu', local_files_only: true })
    const options = { max_new_tokens: 16, do_sample: false, return_full_text: false }
    const one = async (prompt: string): Promise<string> => String((await write(prompt, options))[0]?.generated_text).trim()
    for (const [i, prompt] of prompts.entries()) expect(await one(prompt), prompt).toBe(expected[i])
    const together = (await write([...prompts], options)) as unknown as readonly (readonly { readonly generated_text: string }[])[]
    expect(together.map(([answer]) => answer?.generated_text.trim())).toEqual(expected)
  })

  it("has the same logits when merged, and when loaded from PEFT's layout", async () => {
    for (const format of ['merged', 'peft', 'peft-padded'] as const) {
      const { comparison, output } = await exported(family, format)
      expect(comparison.largestLogitDifference, format).toBeLessThan(1e-5 * comparison.largestLogit)
      const reloaded = format === 'merged' ? await ours(output, null) : await ours(at(family), output)
      expect(reloaded, format).toEqual(await adapted())
    }
  })

  it('loses little in float16, and a bit more in int8', async () => {
    const [half, int8] = [await exported(family, 'transformers.js', 'float16'), await exported(family, 'transformers.js', 'int8')]
    expect(half.comparison.largestLogitDifference).toBeLessThan(5e-3 * half.comparison.largestLogit)
    expect(int8.comparison.largestLogitDifference).toBeGreaterThan(half.comparison.largestLogitDifference)
    expect(int8.comparison.largestLogitDifference).toBeLessThan(0.2 * int8.comparison.largestLogit)
  })

  it('multiplies every matrix in int8 with a cache, the one over the vocabulary too, and writes text in the pipeline', async () => {
    const { output, scores } = await exported(family, 'transformers.js', 'int8', 'integers')
    expect(scores).toBeNull()
    const { node } = readModel(await readFile(join(output, 'onnx', 'model_quantized.onnx')))
    const { model } = await openModelFolder(at(family))
    expect(node.filter(({ opType }) => opType === 'MatMulInteger')).toHaveLength(model.spec.matrices.length + 1)
    const write = await pipeline('text-generation', output, { dtype: 'q8', device: 'cpu', local_files_only: true })
    const options = { max_new_tokens: 16, do_sample: false, return_full_text: false }
    for (const prompt of prompts) expect(String((await write(prompt, options))[0]?.generated_text)).toMatch(/w\d+/)
    await write.dispose()
  })
})

describe('salora export of a decoder', () => {
  it('caps the logits of Gemma 2 in int8, too', async () => {
    const [cap, low] = [0.5, at('gemma2-low')]
    await cp(at('gemma2'), low, { recursive: true })
    const config = JSON.parse(await readFile(join(low, 'config.json'), 'utf8')) as object
    await writeFile(join(low, 'config.json'), JSON.stringify({ ...config, final_logit_softcapping: cap }))
    const given = { model: low, adapter: at('gemma2-adapter'), maxLength: null, targeted: null } as const
    const { output } = await exportAdapter({ ...given, format: 'transformers.js', precision: 'int8', output: at('capped') })
    const [tokenizer, model] = [
      await AutoTokenizer.from_pretrained(output, { local_files_only: true }),
      await AutoModelForCausalLM.from_pretrained(output, { dtype: 'q8', device: 'cpu', local_files_only: true }),
    ]
    const { logits } = (await model(tokenizer('w8 w34 w33 w6 w29'))) as { readonly logits: Tensor }
    const largest = Math.max(...Array.from(logits.data as Float32Array, Math.abs))
    expect([largest > 0.9 * cap, largest < cap]).toEqual([true, true])
    await model.dispose()
  })

  it("refuses transformers.js with virtual tokens, which a cache cannot hold, but allows PEFT's layout", async () => {
    const given = { model: join(fixtures, 'qwen2'), precision: 'float32', maxLength: null, targeted: null } as const
    for (const method of ['prompt', 'prefix']) {
      const adapter = join(fixtures, 'qwen2', method, 'saved')
      await expect(exportAdapter({ ...given, adapter, format: 'transformers.js', output: at(`${method}-js`) })).rejects.toThrow(
        `format: expected one of peft for an adapter of method ${method} on a decoder, got transformers.js`,
      )
      const { comparison } = await exportAdapter({ ...given, adapter, format: 'peft', output: at(`${method}-peft`) })
      expect(comparison.largestLogitDifference).toBe(0)
    }
  })

  it('writes the chat template where transformers.js looks for it, which then frames a conversation as salora does', async () => {
    const chat = '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{{ bos_token }}assistant:'
    await cp(at('qwen2'), at('chatting'), { recursive: true })
    await writeFile(at('chatting', 'chat_template.jinja'), chat)
    const messages = [{ role: 'user', content: 'w8 w34' }]
    const output = at('chatting-js')
    const given = { model: at('chatting'), adapter: at('qwen2-adapter'), precision: 'float32', maxLength: null, targeted: null } as const
    await exportAdapter({ ...given, format: 'transformers.js', output })
    await rm(join(output, 'chat_template.jinja'))
    const tokenizer = await AutoTokenizer.from_pretrained(output, { local_files_only: true })
    const ours = (await loadChatTemplate(at('chatting')))?.(messages, true)
    expect(ours).toMatch(/^user: w8 w34\n.*assistant:$/)
    expect(tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })).toBe(ours)
    await writeFile(at('chatting', 'tokenizer_config.json'), JSON.stringify({ chat_template: 'older' }))
    await exportAdapter({ ...given, format: 'merged', output: at('chatting-merged') })
    expect(JSON.parse(await readFile(at('chatting-merged', 'tokenizer_config.json'), 'utf8'))).toMatchObject({ chat_template: chat })
  })

  it('writes a model with all logits and its own end-of-text token', async () => {
    await writeFile(at('llama', 'generation_config.json'), JSON.stringify({ eos_token_id: [2, 5] }))
    const output = at('by-command')
    const { code, stderr } = await saloraHere(
      ...['export', '--model', at('llama'), '--adapter', at('llama-adapter'), '--format', 'transformers.js', '--output', output, '--quiet'],
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(await readFile(join(output, 'generation_config.json'), 'utf8'))).toEqual({ eos_token_id: [2, 5] })
    expect(JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))).toMatchObject({ architectures: ['LlamaForCausalLM'] })
    const [tokenizer, model] = [
      await AutoTokenizer.from_pretrained(output, { local_files_only: true }),
      await AutoModelForCausalLM.from_pretrained(output, { dtype: 'fp32', device: 'cpu', local_files_only: true }),
    ]
    const { logits } = (await model(tokenizer('w8 w34 w33'))) as { readonly logits: Tensor }
    expect(logits.dims).toEqual([1, 4, 50])
    await model.dispose()
  })
})
