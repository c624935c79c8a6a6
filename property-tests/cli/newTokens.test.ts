/** --new-tokens and --trainable-tokens: from training to generation, exports and a second run, and one line for each mistake. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readGguf } from '../../accelerated/checkpoints/gguf/ggufHeader.js'
import { readSafetensors } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { estimateRun } from '../../finetuning/run/estimateRun.js'
import { fixtures } from '../golden/golden.js'
import { writeRandomDecoder } from '../llamacpp/decoders.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraIn } from './inProcess.js'

const { folder: cwd } = temporaryFolder('tokens')
const small = '--task text --data lines.txt --max-length 16 --batch-size 8 --max-steps 3 --threads 1 --quiet'.split(' ')
const salora = (...args: readonly string[]) => saloraIn(args, { cwd })
const train = (...args: readonly string[]) => salora('train', '--model', 'qwen3', '--method', 'lora', ...small, ...args)
const tokens = ['--new-tokens', '<|user|>,ibuprofen', '--trainable-tokens', 'w7,5']

beforeAll(async () => {
  for (const family of ['qwen3', 'llama']) await cp(join(fixtures, family), join(cwd, family), { recursive: true })
  const texts = Array.from({ length: 20 }, (_, i) => `<|user|> w${3 + i} w7 ibuprofen w${30 - i}`)
  await writeFile(join(cwd, 'lines.txt'), texts.join('\n\n'))
  await writeFile(join(cwd, 'tokens.txt'), '<|a,b|>\nparacetamol\n')
  expect((await train(...tokens, '--output', 'run')).code).toBe(0)
})

const json = async (...path: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(cwd, ...path), 'utf8')) as Record<string, unknown>

describe('a run with new tokens', () => {
  it('saves their rows and a tokenizer in which each is one id, and counts them', async () => {
    expect(await json('run', 'adapter', 'adapter_config.json')).toMatchObject({ trainable_token_indices: [5, 7, 50, 51] })
    expect(await json('run', 'result.json')).toMatchObject({ trainableParameters: { tokens: 4 * 24 } })
    const { tensors } = await readSafetensors(join(cwd, 'run', 'adapter', 'adapter_model.safetensors'))
    expect(tensors.get('base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta')?.shape).toEqual([4, 24])
    await cp(join(cwd, 'run', 'adapter', 'tokenizer.json'), join(cwd, 'llama', 'tokenizer.json'))
    const { model } = await openModelFolder(join(cwd, 'llama'))
    const { ids, decode } = await loadTokenizer(join(cwd, 'llama'), { ...model, vocabularySize: 52 })
    expect([ids('w3<|user|>ibuprofen'), decode([3, 50, 51])]).toEqual([[3, 50, 51], 'w3 ibuprofen'])
  })

  it.each(['merged', 'peft'])('has the same answers when it is exported as %s', async (format) => {
    const { code, stdout, stderr } = await salora('export', '--run', 'run', '--format', format, '--output', format, '--quiet')
    expect([code, /difference over \d+ texts: (0|\d(\.\d+)?e-[67])/.test(stdout)]).toEqual([0, true])
    expect(stderr).toBe(
      format === 'peft'
        ? 'warning: the adapter adds 2 tokens: resize the model before PEFT opens it, base.resize_token_embeddings(52)\n'
        : '',
    )
    const prompt = ['--prompt', '<|user|> w9', '--max-new-tokens', '4', '--quiet', '--threads', '1']
    const model = format === 'peft' ? ['--model', 'qwen3', '--adapter', format] : ['--model', format]
    expect((await salora('generate', ...model, ...prompt)).stdout).toBe((await salora('generate', '--run', 'run', ...prompt)).stdout)
    if (format === 'merged') expect(await json(format, 'config.json')).toMatchObject({ vocab_size: 52 })
  })

  it('names the base model that PEFT needs in its card', async () => {
    expect(await readFile(join(cwd, 'run', 'adapter', 'README.md'), 'utf8')).toContain(
      'tokenizer = AutoTokenizer.from_pretrained("ADAPTER")\nbase.resize_token_embeddings(max(len(tokenizer), base.config.vocab_size))\n',
    )
  })

  it('resumes with its tokens, and begins another run that has them first', async () => {
    expect((await salora('train', '--resume', '--output', 'run', '--max-steps', '4', '--quiet')).code).toBe(0)
    expect((await train('--resume', '--output', 'run', '--new-tokens', 'other')).stderr).toMatch(
      /newTokens was \["<\|user\|>","ibuprofen"\] and is \["other"\]/,
    )
    const more = ['--new-tokens', '<|user|>,ibuprofen,third', '--trainable-tokens', 'w7,5', '--adapter', 'run/adapter']
    expect((await train(...more, '--output', 'second')).code).toBe(0)
    expect(await json('second', 'adapter', 'adapter_config.json')).toMatchObject({ trainable_token_indices: [5, 7, 50, 51, 52] })
  })

  it('of a byte-level tokenizer go into GGUF, as control and user-defined tokens', async () => {
    const { kinds } = JSON.parse(await readFile(join(fixtures, 'tokenizers.json'), 'utf8')) as {
      readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>>
    }
    const config = { model_type: 'llama', hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 }
    // one row without a token: the first new token takes it, and the vocabulary grows by one
    await writeRandomDecoder(join(cwd, 'bpe'), { ...config, vocab_size: 422, eos_token_id: 2, architectures: ['LlamaForCausalLM'] })
    await writeFile(join(cwd, 'bpe', 'tokenizer.json'), JSON.stringify(kinds['llama3']?.tokenizer))
    expect((await train('--model', 'bpe', ...tokens.slice(0, 2), '--max-length', '64', '--output', 'bytes')).code).toBe(0)
    const { stdout } = await salora('export', '--run', 'bytes', '--format', 'gguf-merged', '--output', 'gguf', '--quiet')
    expect(stdout).toMatch(/difference over \d+ texts: (0|\d(\.\d+)?e-[67])/)
    const { keys, tensors } = await readGguf(join(cwd, 'gguf', 'model.gguf'))
    const [names, types] = ['tokens', 'token_type'].map((key) => (keys.get(`tokenizer.ggml.${key}`) as readonly unknown[]).slice(420))
    expect([names?.slice(1), types]).toEqual([
      ['<|user|>', 'ibuprofen'],
      [1, 3, 4],
    ])
    expect([keys.get('llama.vocab_size'), tensors.get('token_embd.weight')?.shape]).toEqual([423, [423, 8]])
  })

  it('takes tokens from a file, one a line', async () => {
    expect((await train('--new-tokens', 'tokens.txt', '--output', 'listed')).code).toBe(0)
    expect(await json('listed', 'config.json')).toMatchObject({ settings: { newTokens: ['<|a,b|>', 'paracetamol'], learningRate: 1e-3 } }) // that of a small decoder
  })

  it('takes a file of tokens in the library too', async () => {
    const estimateWith = async (newTokens: readonly string[] | null) =>
      (
        await estimateRun({
          model: join(cwd, 'qwen3'),
          settings: resolveSettings({ method: 'lora', newTokens, maxLength: 16, device: 'cpu' }),
          labels: null,
        })
      ).state
    expect(await estimateWith([join(cwd, 'tokens.txt')])).toBe(await estimateWith(['<|a,b|>', 'paracetamol']))
    await expect(estimateWith([join(cwd, 'none.txt')])).rejects.toThrow(join(cwd, 'none.txt'))
  })

  it.each(['salora', 'adalora'])('also trains them with %s, whose export gives the same logits', async (method) => {
    const { code } = await train('--method', method, ...tokens, '--max-steps', '12', '--output', method)
    expect(code).toBe(0)
    const { stdout } = await salora('export', '--run', method, '--format', 'merged', '--output', `${method}-merged`, '--quiet')
    expect(stdout).toMatch(/difference over \d+ texts: \d(\.\d+)?e-[67]/)
  })
})

const mistakes: readonly (readonly [readonly string[], string])[] = [
  [
    ['--adapter', 'run/adapter', '--new-tokens', 'ibuprofen'],
    '--new-tokens: expected "<|user|>", "ibuprofen" first, as the adapter has them, got ["ibuprofen"]',
  ],
  [
    ['--adapter', 'run/adapter', '--new-tokens', 'ibuprofen,<|user|>', '--trainable-tokens', 'w7,5'],
    '--new-tokens: expected "<|user|>", "ibuprofen" first, as the adapter has them, got ["ibuprofen","<|user|>"]',
  ],
  [
    ['--adapter', 'run/adapter', '--new-tokens', '<|user|>,ibuprofen'],
    'expected an adapter whose rows of tokens the run trains (--trainable-tokens, --new-tokens), got token 5 of embed_tokens.weight',
  ],
]

describe('a mistake in tokens', () => {
  it.each(mistakes)('%j is one line', async (args, line) => {
    const { code, stderr } = await train(...args, '--output', 'refused')
    expect([code === 0, stderr.trimEnd().split('\n').at(-1)]).toEqual([false, expect.stringContaining(line)])
  })

  it.each([
    ['gguf', 'for an adapter with rows of tokens, which llama.cpp does not read, got gguf'],
    [
      'peft-padded',
      '--format: expected one of peft, merged, transformers.js, gguf-merged for an adapter with rows of tokens, got peft-padded',
    ],
  ])('an export as %s is refused by name', async (format, line) => {
    const { code, stderr } = await salora('export', '--run', 'run', '--format', format, '--output', 'refused', '--quiet')
    expect([code, stderr]).toEqual([2, expect.stringContaining(line)])
  })
})
