/** A model exported as GGUF: llama.cpp opens it, tokenizes as Hugging Face's library, and continues texts and conversations as salora does. */
import { readFile, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chatTemplate } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { exportAdapter, type ExportReport } from '../../finetuning/use/exportAdapter.js'
import { openGenerator } from '../../index.js'
import { fixtures } from '../golden/golden.js'
import { withAllMerges } from '../support/sentencePieceJson.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { ourProbabilities, writeRandomAdapter, writeRandomDecoder } from './decoders.js'
import { askLlamaCpp, hasLlamaCpp, largestDifference, needsLlamaCpp, parsedByHub } from './llama.js'

const { folder } = temporaryFolder('llamacpp-merged')
const at = (...path: readonly string[]): string => join(folder, ...path)

const { texts, kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly kinds: Readonly<Record<string, { readonly tokenizer: Tokenizer; readonly ids: readonly (readonly number[])[] }>>
}
type Tokenizer = { readonly model: object; readonly [part: string]: unknown }

const template =
  "{% for message in messages %}{{ '<s>' + message.role + '\n' + message.content + '</s>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
const chat = [{ role: 'user', content: 'What is 12 + 30?' }]

const sizes = {
  ...{ vocab_size: 600, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 96 },
  ...{ max_position_embeddings: 256, rms_norm_eps: 1e-5, bos_token_id: 1, eos_token_id: [2, 5], hidden_act: 'silu' },
}
const llama3 = {
  ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 },
}
const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, attention_factor: 1.3 }
/** Model, tokenizer, and the words into which llama.cpp cuts a text. */
const cases = {
  llama: {
    config: { ...sizes, model_type: 'llama', attention_bias: true, rope_theta: 5e5, rope_scaling: llama3 },
    kind: 'llama3-whole',
    pre: 'llama-bpe',
  },
  mistral: {
    config: { ...sizes, model_type: 'mistral', sliding_window: 200, head_dim: 24, rope_theta: 1e4 },
    kind: 'mistral-nemo-whole',
    pre: 'tekken',
  },
  qwen2: {
    config: { ...sizes, model_type: 'qwen2', tie_word_embeddings: true, rope_theta: 1e6, rope_scaling: { rope_type: 'linear', factor: 2 } },
    kind: 'qwen2',
    pre: 'qwen2',
  },
  qwen3: {
    config: { ...sizes, model_type: 'qwen3', head_dim: 24, rope_theta: 1e4, rope_scaling: yarn },
    kind: 'gpt-4o',
    pre: 'gpt-4o',
  },
  ministral: {
    config: { ...sizes, model_type: 'ministral', sliding_window: 200, head_dim: 24, rope_theta: 1e4 },
    kind: 'mistral-nemo-whole',
    pre: 'tekken',
  },
  olmo2: { config: { ...sizes, model_type: 'olmo2', rope_theta: 1e4 }, kind: 'gpt-4o', pre: 'gpt-4o' },
  smollm3: { config: { ...sizes, model_type: 'smollm3', num_hidden_layers: 5, rope_theta: 1e4 }, kind: 'llama3', pre: 'smaug-bpe' },
  gemma2: {
    config: {
      ...{ ...sizes, model_type: 'gemma2', head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 8, rope_theta: 1e4 },
      ...{ attn_logit_softcapping: 5, final_logit_softcapping: 8, hidden_act: undefined, tie_word_embeddings: true },
    },
    kind: 'smollm',
    pre: 'smollm',
  },
  gemma3_text: {
    config: {
      ...{ ...sizes, model_type: 'gemma3_text', head_dim: 24, query_pre_attn_scalar: 24, sliding_window: 8, num_hidden_layers: 7 },
      ...{ rope_theta: 1e5, rope_scaling: { rope_type: 'linear', factor: 8 }, rope_local_base_freq: 1e3, tie_word_embeddings: true },
      hidden_act: undefined,
    },
    kind: 'qwen2',
    pre: 'qwen2',
  },
  granite: {
    config: {
      ...{ ...sizes, model_type: 'granite', rope_theta: 1e4, embedding_multiplier: 2, attention_multiplier: 0.3 },
      ...{ residual_multiplier: 0.5, logits_scaling: 0.4 },
    },
    kind: 'llama3',
    pre: 'smaug-bpe',
  },
  phi3: {
    config: {
      ...{ ...sizes, model_type: 'phi3', head_dim: 16, max_position_embeddings: 512, original_max_position_embeddings: 256 },
      ...{ partial_rotary_factor: 0.75, rope_theta: 1e4, intermediate_size: 88 },
      rope_scaling: { type: 'longrope', short_factor: [1, 1.1, 1.2, 1.4, 1.7, 2], long_factor: [1, 2, 3, 4, 5, 6] },
    },
    kind: 'llama3',
    pre: 'smaug-bpe',
  },
  gpt2: {
    config: {
      ...{
        model_type: 'gpt2',
        vocab_size: 600,
        n_embd: 64,
        n_layer: 2,
        n_head: 4,
        n_inner: 96,
        n_positions: 256,
        layer_norm_epsilon: 1e-5,
      },
      ...{ bos_token_id: 1, eos_token_id: [2, 5] },
    },
    kind: 'gpt2',
    pre: 'gpt-2',
  },
} as const
type Family = keyof typeof cases

/** Whether the tokenizer puts no token at a text's start. */
const startsPlain = (family: Family): boolean => /^(qwen|gemma|gpt|olmo)/.test(family)

/** Its patterns for Mistral NeMo and GPT-4o only know the capitals A to Z: it splits this word before its last letter. */
const approximated = 'ÅNGSTRÖM'

/** llama.cpp reads GELU from a table of float16 numbers. */
const bounds: Readonly<Record<Family, number>> = {
  llama: 1e-5,
  mistral: 1e-5,
  qwen2: 1e-5,
  qwen3: 1e-5,
  gemma2: 2e-3,
  gemma3_text: 2e-3,
  granite: 1e-5,
  ministral: 1e-5,
  olmo2: 1e-5,
  smollm3: 1e-5,
  phi3: 1e-5,
  gpt2: 2e-3,
}

/** ignore_merges, as Llama 3's own file has it: a word that is a token stays whole. */
const tokenizerOf = (kind: string): { readonly tokenizer: Tokenizer; readonly ids: readonly (readonly number[])[] } => {
  const { tokenizer, ids } = kinds[kind.replace('-whole', '')]!
  return { tokenizer: kind.endsWith('-whole') ? { ...tokenizer, model: { ...tokenizer.model, ignore_merges: true } } : tokenizer, ids }
}

const writeModel = async (family: Family): Promise<string> => {
  const model = at(family)
  const { config, kind } = cases[family]
  await writeRandomDecoder(model, config)
  await writeFile(join(model, 'tokenizer.json'), JSON.stringify(tokenizerOf(kind).tokenizer))
  const tokens = { bos_token: '<s>', eos_token: '</s>', unk_token: { content: '<unk>' } }
  await writeFile(join(model, 'tokenizer_config.json'), JSON.stringify({ ...tokens, chat_template: template }))
  return model
}

const answersOf = async (family: Family) => {
  const model = await writeModel(family)
  const adapter = await writeRandomAdapter(at(`${family}-lora`), model, { method: 'lora', rank: 3, loraAlpha: 12, useDora: true })
  const exported = (precision: 'float32' | 'float16' | 'int8'): Promise<ExportReport> =>
    exportAdapter({
      ...{ model, adapter, format: 'gguf-merged', output: at(`${family}-${precision}`), precision, maxLength: null, targeted: null },
    })
  const reports = { full: await exported('float32'), half: await exported('float16'), int8: await exported('int8') }
  const generator = await openGenerator({ model, adapter, device: 'cpu', threads: 1 })
  const prompts = [generator.encode({ text: texts[0] ?? '' }, 'text'), generator.encode({ messages: chat }, 'chat')]
  const ours: string[] = []
  try {
    for await (const event of generator.answers(prompts, { maxNewTokens: 64 })) if (event.kind === 'answer') ours[event.prompt] = event.text
  } finally {
    await generator.release()
  }
  const file = ({ output }: ExportReport): string => join(output, 'model.gguf')
  const rendered = chatTemplate(template, {}, 'template')(chat, true)
  const [full, half, int8, written] = await askLlamaCpp(
    { model: file(reports.full), prompts, texts: [...texts, rendered] },
    { model: file(reports.half), prompts },
    { model: file(reports.int8), prompts },
    { model: file(reports.full), prompts, greedy: 64 },
  )
  return { reports, prompts, ours, full, half, int8, written, expected: await ourProbabilities(model, adapter, prompts) }
}

describe.skipIf(!hasLlamaCpp).each(Object.keys(cases) as readonly Family[])(`a merged %s in llama.cpp ${needsLlamaCpp}`, (family) => {
  let answers: Awaited<ReturnType<typeof answersOf>>
  beforeAll(async () => {
    answers = await answersOf(family)
  })

  it('gives the probabilities that model and adapter give, and near ones in F16 and Q8_0', () => {
    const { reports, full, half, int8, expected } = answers
    expect(reports.full.comparison.largestLogitDifference).toBeLessThan(1e-5 * reports.full.comparison.largestLogit)
    expect(largestDifference(full.probabilities, expected)).toBeLessThan(bounds[family])
    const likeliest = expected.flat().map((row) => Math.max(...row))
    expect(likeliest.filter((x) => x > 0.03 && x < 0.9).length).toBeGreaterThan(likeliest.length / 2) // neither all alike nor certain
    expect(largestDifference(half.probabilities, expected)).toBeLessThan(5e-3)
    expect(largestDifference(int8.probabilities, expected)).toBeLessThan(0.05)
    expect(largestDifference(int8.probabilities, expected)).toBeGreaterThan(1e-5)
  })

  it("makes the tokens of Hugging Face's library, also of special tokens in a text, and of a conversation", () => {
    const { ids } = tokenizerOf(cases[family].kind)
    const own = ids.map((tokens) => (startsPlain(family) ? tokens : tokens.slice(1))) // the start token is added apart
    const compared = (text: string): boolean =>
      text !== '' && !(['tekken', 'gpt-4o'].includes(cases[family].pre) && text.includes(approximated))
    const [theirs, ours] = [answers.full.tokens, own].map((all) => texts.flatMap((text, i) => (compared(text) ? [all[i]] : [])))
    expect(theirs).toEqual(ours)
    expect(answers.full.tokens.at(-1)).toEqual(answers.prompts[1])
    expect(answers.full.chatTemplate).toBe(template)
  })

  it('continues a text and a conversation with the same 64 tokens', async () => {
    const { greedy } = answers.written
    expect(greedy.map(({ length }) => length)).toEqual([64, 64])
    const { model } = await openModelFolder(at(family))
    const { decode } = await loadTokenizer(at(family), model)
    expect(greedy.map((tokens) => decode(tokens.filter((id) => id > 2 && id !== 5)))).toEqual(answers.ours)
  })

  it('is read by the parser of the hub, with the sizes, the tokenizer and a Modelfile', async () => {
    const { metadata, tensorInfos } = await parsedByHub(join(answers.reports.int8.output, 'model.gguf'))
    const architecture = ['mistral', 'ministral'].includes(family) ? 'llama' : family === 'gemma3_text' ? 'gemma3' : family
    expect(metadata).toMatchObject({
      'general.architecture': architecture,
      'general.file_type': 7,
      [`${architecture}.context_length`]: ['mistral', 'ministral'].includes(family) ? 200 : 256,
      ...(family === 'gpt2'
        ? {}
        : { [`${architecture}.attention.key_length`]: ['mistral', 'ministral', 'qwen3', 'gemma3_text'].includes(family) ? 24 : 16 }),
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': cases[family].pre,
      'tokenizer.ggml.eos_token_id': 2,
      'tokenizer.ggml.eot_token_id': 5,
      'tokenizer.ggml.add_bos_token': !startsPlain(family),
    })
    const types = new Map(tensorInfos.map(({ name, dtype }) => [name, dtype]))
    expect([
      types.get(family === 'gpt2' || family === 'phi3' ? 'blk.0.attn_qkv.weight' : 'blk.0.attn_q.weight'),
      types.get(family === 'olmo2' ? 'blk.1.post_ffw_norm.weight' : 'blk.1.ffn_norm.weight'),
      types.has('rope_freqs.weight'),
    ]).toEqual([8, 0, family === 'llama'])
    expect(await readFile(join(answers.reports.int8.output, 'Modelfile'), 'utf8')).toMatch(/^FROM \.\/model\.gguf$/m)
  })
})

describe.skipIf(!hasLlamaCpp).each(['llama2', 'gemma'])(`a tokenizer of SentencePiece in llama.cpp ${needsLlamaCpp}: %s`, (kind) => {
  it('makes the tokens of the file, with every byte, and of LLaMA 2 a blank before a text and after special tokens', async () => {
    const model = await writeRandomDecoder(at(kind), { ...sizes, model_type: 'llama' })
    await writeFile(join(model, 'tokenizer.json'), JSON.stringify(withAllMerges(kinds[kind]!.tokenizer)))
    const adapter = await writeRandomAdapter(at(`${kind}-lora`), model, { method: 'lora', rank: 1 })
    const output = at(`${kind}-gguf`)
    await exportAdapter({ model, adapter, format: 'gguf-merged', output, precision: 'float32', maxLength: null, targeted: null })
    const asked = texts.filter((text) => text !== '')
    const [{ tokens }] = await askLlamaCpp({ model: join(output, 'model.gguf'), texts: asked })
    const { ids } = await loadTokenizer(model, (await openModelFolder(model)).model)
    expect(tokens).toEqual(asked.map((text) => ids(text)))
  })
})
