/** Clients that others wrote for OpenAI's API, against the server with random models: the openai package, and the AI SDK. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embed, generateText, streamText } from 'ai'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startRunServer, type RunServer } from '../../finetuning/use/serving/http/server.js'
import { z } from 'zod'
import { writeTinyModel } from '../cli/tinyModel.js'
import { fixtures } from '../golden/golden.js'
import { writeRandomCheckpoint } from '../support/randomCheckpoint.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('clients')
const servers: RunServer[] = []
const serveBase = async (model: string): Promise<string> => {
  const base = { model: join(folder, model), adapters: {}, root: null, most: 1, maxRank: 1 }
  const server = await startRunServer({ runs: [], base, machine: { threads: 1 } })
  servers.push(server)
  return `${server.url}/v1`
}

/** A random decoder whose tokens are bytes, with a template of tools. */
const writeByteModel = async (to: string): Promise<void> => {
  const config = JSON.parse(await readFile(join(fixtures, 'llama/config.json'), 'utf8')) as object
  const wide = {
    ...config,
    vocab_size: 257,
    max_position_embeddings: 2_048,
    rope_parameters: { rope_theta: 1e4, rope_type: 'default' },
    eos_token_id: 256,
  }
  await writeRandomCheckpoint(to, wide, { seed: 3, shardBytes: 1e9 })
  const isVisible = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  let next = 256
  const letters = Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isVisible(byte) ? byte : next++), byte])
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  const tokenizer = {
    ...{ version: '1.0', truncation: null, padding: null, normalizer: null, post_processor: null },
    added_tokens: [{ id: 256, content: '<|end|>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
    ...{ pre_tokenizer: byteLevel, decoder: byteLevel },
    model: { type: 'BPE', vocab: Object.fromEntries(letters), merges: [] },
  }
  await writeFile(join(to, 'tokenizer.json'), JSON.stringify(tokenizer))
  const template = '{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{% for one in messages %}{{ one.content }}\n{% endfor %}'
  await writeFile(join(to, 'chat_template.jinja'), template)
}

let writer: OpenAI
let bytes: OpenAI
let encoder: OpenAI
let vercel: ReturnType<typeof createOpenAICompatible>
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), join(folder, 'llama'), { recursive: true })
  await writeFile(join(folder, 'llama/chat_template.jinja'), '{% for one in messages %}{{ one.content }} {% endfor %}')
  await writeTinyModel(join(folder, 'tiny'))
  await mkdir(join(folder, 'tiny/1_Pooling'))
  await writeFile(join(folder, 'tiny/1_Pooling/config.json'), '{"pooling_mode_mean_tokens": true}')
  const options = { apiKey: 'none', maxRetries: 0 }
  const baseURL = await serveBase('llama')
  writer = new OpenAI({ ...options, baseURL })
  await writeByteModel(join(folder, 'bytes'))
  bytes = new OpenAI({ ...options, baseURL: await serveBase('bytes') })
  encoder = new OpenAI({ ...options, baseURL: await serveBase('tiny') })
  vercel = createOpenAICompatible({ name: 'salora', baseURL, includeUsage: true })
})
afterAll(() => Promise.all(servers.map((server) => server.close())))

const messages = [{ role: 'user', content: 'w5 w8' }] as const
const chat = { model: 'llama', messages: [...messages], max_tokens: 6 }
const plain = { model: 'llama', prompt: 'w5 w8 ', max_tokens: 6 }

describe('the openai package', () => {
  it('lists models, and reads our errors as its own', async () => {
    expect((await writer.models.list()).data).toMatchObject([{ id: 'llama', object: 'model', owned_by: 'salora' }])
    expect((await writer.models.retrieve('llama')).created).toBeGreaterThan(1.7e9)
    const refused = (given: object) =>
      writer.completions.create({ ...plain, ...given }).then(
        () => null,
        (thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>,
      )
    expect(await refused({ model: 'gpt' })).toMatchObject({ status: 404, code: 'model_not_found', type: 'invalid_request_error' })
    expect(await refused({ best_of: 3 })).toMatchObject({
      ...{ status: 400, code: 'unsupported_parameter', param: 'best_of', error: { message: 'the request: best_of is not supported' } },
    })
    expect(await refused({ prompt: [5, 50] })).toMatchObject({ error: { message: 'prompt: expected token ids below 50, got 50' } })
    expect(await refused({ n: -1 })).toMatchObject({ status: 400, param: 'n' })
    expect(await refused({ stream: true, logprobs: 1 })).toMatchObject({ status: 400, param: 'logprobs' })
    await expect(writer.responses.create({ model: 'llama', input: 'w5' })).rejects.toMatchObject({
      status: 404,
      type: 'invalid_request_error',
    })
  })

  it('chats, at once and as a stream, with the same text and usage', async () => {
    const whole = await writer.chat.completions.create(chat)
    const text = whole.choices[0]?.message.content ?? ''
    expect(text).not.toBe('')
    expect(whole.usage).toEqual({ prompt_tokens: 2, completion_tokens: 6, total_tokens: 8 })
    let streamed = ''
    for await (const chunk of await writer.chat.completions.create({ ...chat, stream: true }))
      streamed += chunk.choices[0]?.delta.content ?? ''
    expect(streamed).toBe(text)
  })

  it('completes texts and token ids, several at once, as a stream too', async () => {
    const one = await writer.completions.create(plain)
    const text = one.choices[0]?.text ?? ''
    expect(text).not.toBe('')
    const many = await writer.completions.create({ ...plain, prompt: ['w5 w8 ', 'w9'], n: 2, echo: true, temperature: 1, top_p: 1e-9 })
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    expect(many.choices.map((choice) => choice.text.slice(0, 2))).toEqual(['w5', 'w5', 'w9', 'w9'])
    expect(many.choices[0]?.text).toBe(`w5 w8 ${text}`)
    expect(many.usage).toEqual({ prompt_tokens: 5, completion_tokens: 24, total_tokens: 29 })
    const texts = ['', '']
    for await (const { choices } of await writer.completions.create({ ...plain, prompt: ['w5 w8 ', 'w5 w8 '], stream: true }))
      for (const choice of choices) texts[choice.index] += choice.text
    expect(texts).toEqual([text, text])
  })

  // transformers 5.24.0, torch 2.15.0: AutoModelForCausalLM.from_pretrained(llama, attn_implementation='eager').double()(ids).logits.log_softmax(-1)
  it('scores tokens as transformers does: echo, logprobs, max_tokens 0 and 1', async () => {
    const ids = [5, 12, 7, 30, 9, 22]
    const expected = [-6.714674, -1.679342, -4.709616, -5.977024, -4.274731]
    const best = [-1.764783, -1.679342, -2.384125, -2.208252, -2.13942]
    for (const max_tokens of [0, 1]) {
      const scored = await writer.completions.create({ model: 'llama', prompt: ids, echo: true, logprobs: 2, max_tokens })
      const {
        token_logprobs: given = [],
        top_logprobs: top = [],
        tokens = [],
        text_offset: offsets = [],
      } = scored.choices[0]?.logprobs ?? {}
      expect(given).toHaveLength(6 + max_tokens)
      expect(given[0]).toBe(null)
      expected.forEach((value, i) => expect(given[i + 1]).toBeCloseTo(value, 4))
      best.forEach((value, i) => expect(Math.max(...Object.values(top[i + 1] ?? {}))).toBeCloseTo(value, 4))
      if (max_tokens === 1) expect(given[6]).toBe(Math.max(...Object.values(top[6] ?? {}))) // greedy
      expect(tokens.map((token, i) => scored.choices[0]?.text.slice(offsets[i]).startsWith(token))).not.toContain(false)
      expect(offsets[1]).toBe(tokens[0]?.length)
      expect(scored.usage).toEqual({ prompt_tokens: 6, completion_tokens: max_tokens, total_tokens: 6 + max_tokens })
    }
  })

  it('gives a special token its name and no text, and without echo only the tokens of the answer', async () => {
    const given = { model: 'llama', prompt: 'w5 w8', logprobs: 1, max_tokens: 2 }
    const [whole, answer] = [await writer.completions.create({ ...given, echo: true }), await writer.completions.create(given)]
    expect(whole.choices[0]?.logprobs?.tokens?.slice(0, 3)).toEqual(['<s>', 'w5', ' w8'])
    expect(whole.choices[0]?.logprobs?.text_offset?.slice(0, 4)).toEqual([0, 0, 2, 5])
    expect(answer.choices[0]?.logprobs?.tokens).toEqual(whole.choices[0]?.logprobs?.tokens?.slice(3))
  })

  it('gives the last byte of a letter the whole letter: half of one is no JSON text', async () => {
    const prompt = [...Buffer.from('a😀b')]
    const scored = await bytes.completions.create({ model: 'bytes', prompt, echo: true, logprobs: 3, max_tokens: 0 })
    const { tokens = [], text_offset: offsets = [] } = scored.choices[0]?.logprobs ?? {}
    expect(scored.choices[0]?.text).toBe('a😀b')
    expect([tokens[0], tokens[4], tokens[5]]).toEqual(['a', '😀', 'b'])
    expect(offsets).toEqual([0, 1, 1, 1, 1, 3])
  })

  it('asks for JSON and for a schema, several answers at once and as a stream, and reads why a schema is refused', async () => {
    const given = { model: 'bytes', messages: [...messages], max_tokens: 1_000 }
    const schema = {
      type: 'object',
      properties: { ok: { type: 'boolean' }, kind: { enum: ['é', 'b'] } },
      required: ['ok', 'kind'],
      additionalProperties: false,
    }
    const format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } } as const
    const read = z.strictObject({ ok: z.boolean(), kind: z.enum(['é', 'b']) })
    const [whole, stream, free] = await Promise.all([
      bytes.chat.completions.create({ ...given, n: 3, temperature: 1, seed: 5, response_format: format }),
      bytes.chat.completions.create({ ...given, stream: true, response_format: format }),
      bytes.chat.completions.create({ ...given, max_tokens: 30, response_format: { type: 'json_object' } }),
    ])
    for (const { message, finish_reason: reason } of whole.choices) {
      expect(reason).toBe('stop')
      read.parse(JSON.parse(message.content ?? ''))
    }
    let streamed = ''
    for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? ''
    read.parse(JSON.parse(streamed))
    expect(free.choices[0]?.message.content).toMatch(/^\{/)
    const refused = { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'integer', multipleOf: 2 } } } as const
    await expect(bytes.chat.completions.create({ ...given, response_format: refused })).rejects.toMatchObject({
      ...{ status: 400, param: 'response_format', error: { message: 'schema: expected keywords that are supported, got multipleOf' } },
    })
    await expect(writer.chat.completions.create({ ...chat, response_format: { type: 'json_object' } })).rejects.toThrow(
      'tokens of a byte or letter each',
    )
  })

  it('requires a call of a tool, whose arguments then fit its schema, as a stream too', async () => {
    const parameters = { type: 'object', properties: { n: { enum: [1, 2] } }, required: ['n'], additionalProperties: false }
    const tools = ['f', 'g'].map((name) => ({ type: 'function' as const, function: { name, parameters } }))
    const given = { model: 'bytes', messages: [...messages], tools, max_tokens: 500 }
    const read = ({ arguments: json }: { readonly arguments: string }) => z.strictObject({ n: z.literal([1, 2]) }).parse(JSON.parse(json))
    const called = await bytes.chat.completions.create({ ...given, tool_choice: 'required' })
    const [call] = called.choices[0]?.message.tool_calls ?? []
    expect(called.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    if (call?.type !== 'function') throw new Error('no call')
    expect(['f', 'g']).toContain(call.function.name)
    read(call.function)
    const named = bytes.chat.completions.stream({ ...given, tool_choice: { type: 'function', function: { name: 'g' } } })
    const { message, finish_reason: reason } = (await named.finalChatCompletion()).choices[0] ?? {}
    expect([reason, message?.tool_calls?.[0]]).toMatchObject(['tool_calls', { function: { name: 'g' } }])
  })

  it('embeds by a sentence encoder without an adapter, as floats and in base64, shortened', async () => {
    const given = { model: 'tiny', input: ['good film', 'bad film'] }
    const [packed, floats] = await Promise.all([
      encoder.embeddings.create(given), // it asks for base64, and unpacks
      encoder.embeddings.create({ ...given, encoding_format: 'float' }),
    ])
    const vectors = floats.data.map(({ embedding }) => embedding)
    packed.data.forEach(({ embedding }, i) => embedding.forEach((x, j) => expect(x).toBeCloseTo(vectors[i]?.[j] ?? NaN, 6)))
    expect(floats.usage.prompt_tokens).toBeGreaterThan(4)
    const [short] = (await encoder.embeddings.create({ ...given, dimensions: 3, encoding_format: 'float' })).data
    expect(short?.embedding).toHaveLength(3)
    expect(Math.hypot(...(short?.embedding ?? []))).toBeCloseTo(1, 6)
  })
})

describe("the AI SDK's openai-compatible provider", () => {
  it('generates, streams and embeds', async () => {
    const model = vercel.chatModel('llama')
    const { text, usage } = await generateText({ model, messages: [...messages], maxOutputTokens: 6 })
    expect(text).toBe((await writer.chat.completions.create(chat)).choices[0]?.message.content)
    expect([usage.inputTokens, usage.outputTokens]).toEqual([2, 6])
    const streamed = streamText({ model, messages: [...messages], maxOutputTokens: 6 })
    expect(await streamed.text).toBe(text)
    expect((await streamed.usage).outputTokens).toBe(6)
    const completed = streamText({ model: vercel.completionModel('llama'), prompt: 'w5', maxOutputTokens: 4 })
    expect(await completed.text).not.toBe('')
    const provider = createOpenAICompatible({ name: 'salora', baseURL: encoder.baseURL })
    const { embedding } = await embed({ model: provider.embeddingModel('tiny'), value: 'good film' })
    expect(embedding.length).toBeGreaterThan(3)
    await expect(generateText({ model: vercel.chatModel('gpt'), prompt: 'w5', maxRetries: 0 })).rejects.toThrow(
      'model: expected one of llama',
    )
  })
})
