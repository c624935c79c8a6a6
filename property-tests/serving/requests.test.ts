/** The server's routes with runs that answer as the test says: shapes, refusals, the queue, time, clients that go away, and metrics. */
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ServedRun } from '../../finetuning/use/serving/openRuns.js'
import { servingApp, type ServingApp } from '../../finetuning/use/serving/http/app.js'
import { labelScores } from '../../finetuning/use/serving/http/classify.js'
import { noAdapters } from '../../finetuning/use/serving/http/adapters.js'
import { defaultLimits, type Limits } from '../../finetuning/use/serving/http/limits.js'
import type { RunInfo } from '../../finetuning/use/serving/protocol.js'
import { SEED } from '../support/seed.js'

const info: RunInfo = {
  folder: 'runs/reviews',
  model: 'tiny',
  method: 'lora',
  taskType: 'classification',
  device: 'cpu',
  maxLength: 16,
  batchSize: 32,
  labelNames: ['bad', 'good'],
  columns: { text: 'review' },
  promptTemplate: null,
  answers: 'predict',
}

/** Scores by the length of the text. */
const scoresOf = (text: string) => ({ bad: 1 / (1 + text.length), good: text.length / (1 + text.length) })
const classifier = (over: Partial<ServedRun> = {}): ServedRun => ({
  info,
  pending: () => 0,
  idle: async () => undefined,
  close: async () => undefined,
  score: () => Promise.reject(new Error('never')),
  predict: async ({ text, textPair }) => ({
    value: { label: textPair ?? 'good', score: scoresOf(text).good, scores: scoresOf(text) },
    truncated: text.length > 16,
    tokens: text.length,
  }),
  generate: async () => {
    throw new Error('never')
  },
  ...over,
})

type Given = Parameters<ServedRun['generate']>
const asked: Given[0][] = []
const settingsAsked: Given[1][] = []
const writer = (over: Partial<RunInfo> = {}, pieces: readonly string[] = ['Hel', 'lo']): ServedRun => ({
  ...classifier(),
  info: { ...info, taskType: 'causal', answers: 'generate', labelNames: null, promptTemplate: 'chat', ...over },
  generate: async (prompt, settings, { onPiece, onStart }) => {
    asked.push(prompt)
    settingsAsked.push(settings)
    onStart?.(5)
    for (const piece of pieces) {
      await pause(1)
      onPiece(piece)
    }
    return { text: pieces.join(''), tokens: 2, ended: 'end', ids: [] }
  },
})

const appOf = (runs: Readonly<Record<string, ServedRun>>, limits: Partial<Limits> = {}): ServingApp =>
  servingApp({
    models: new Map(Object.entries(runs).map(([name, run]) => [name, { run, created: 7 }])),
    adapters: noAdapters,
    limits: { ...defaultLimits, ...limits },
    isLocal: true,
    origins: ['https://app.example'],
  })
const app = appOf({ reviews: classifier() })
const pairsInfo: RunInfo = { ...info, columns: { text: 'premise', textPair: 'hypothesis' } }
const pairsApp = appOf({ pairs: classifier({ info: pairsInfo }) })

const ask = async (to: ServingApp, path: string, body?: unknown, init: RequestInit = {}) => {
  const sent = body === undefined ? {} : { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }
  const response = await to.request(`http://127.0.0.1:8323${path}`, { headers: { host: '127.0.0.1:8323' }, ...sent, ...init })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: (): unknown => JSON.parse(text) }
}

describe('/classify', () => {
  it('answers { text } as salora predict does, with pairs', async () => {
    expect((await ask(app, '/classify', { text: 'abc' })).json()).toEqual({ label: 'good', score: 0.75, scores: { bad: 0.25, good: 0.75 } })
    expect((await ask(pairsApp, '/classify', { text: 'abc', text_pair: 'b' })).json()).toMatchObject({ label: 'b' })
  })

  it("answers { inputs } in the shape of Hugging Face's text classification", async () => {
    const abc = [
      { label: 'good', score: 0.75 },
      { label: 'bad', score: 0.25 },
    ]
    expect((await ask(app, '/classify', { inputs: 'abc' })).json()).toEqual(abc)
    const [abcPair, aPair] = ['abc', 'a'].map((one) => ({ text: one, text_pair: 'b' }))
    const pairs = { inputs: [abcPair, aPair], parameters: { top_k: 1 }, options: { wait_for_model: true } }
    expect((await ask(pairsApp, '/classify', pairs)).json()).toEqual([[abc[0]], [{ label: 'bad', score: 0.5 }]])
    expect(labelScores({ value: 2.5 })).toEqual([{ label: 'LABEL_0', score: 2.5 }])
  })

  it('refuses one text for a run of pairs and two for a run of single texts, but gives the embedding of one', async () => {
    const errorOf = async (to: ServingApp, body: object): Promise<readonly [number, unknown]> => {
      const { status, json } = await ask(to, '/classify', body)
      return [status, json()]
    }
    const pair = { text: 'a', text_pair: 'b' }
    const [one, two] = [
      { error: 'the request: expected two texts, as in the data of the run, got one' },
      { error: 'the request: expected one text, as in the data of the run, got two' },
    ]
    for (const body of [{ text: 'a' }, { inputs: 'a' }, { inputs: [pair, { text: 'a' }] }])
      expect(await errorOf(pairsApp, body), JSON.stringify(body)).toEqual([400, one])
    for (const body of [pair, { inputs: pair }, { inputs: ['a', pair] }])
      expect(await errorOf(app, body), JSON.stringify(body)).toEqual([400, two])
    for (const taskType of ['similarity', 'pairs'])
      expect((await ask(appOf({ similar: classifier({ info: { ...pairsInfo, taskType } }) }), '/classify', { text: 'a' })).status).toBe(200)
  })

  it('is not the only way to embeddings: /v1/embeddings has the shape of OpenAI, as numbers and in base64, of one text and of several', async () => {
    const vectors: Readonly<Record<string, readonly number[]>> = { a: [0.6, -0.8], b: [1, 0] }
    const predict: ServedRun['predict'] = async ({ text }) => ({ value: { embedding: vectors[text] ?? [] }, truncated: false, tokens: 1 })
    const similar = appOf({ similar: classifier({ info: { ...pairsInfo, taskType: 'similarity' }, predict }) })
    const data = ['a', 'b'].map((text, index) => ({ object: 'embedding', index, embedding: vectors[text] }))
    expect((await ask(similar, '/v1/embeddings', { input: ['a', 'b'], model: 'similar' })).json()).toEqual({
      object: 'list',
      data,
      model: 'similar',
      usage: { prompt_tokens: 2, total_tokens: 2 },
    })
    expect((await ask(similar, '/v1/embeddings', { input: 'a', user: 'me' })).json()).toMatchObject({ data: data.slice(0, 1) })
    const inBytes = (await ask(similar, '/v1/embeddings', { input: 'a', encoding_format: 'base64' })).json() as {
      readonly data: readonly { readonly embedding: string }[]
    }
    const short = (await ask(similar, '/v1/embeddings', { input: ['a', 'b'], dimensions: 1 })).json()
    expect(short).toMatchObject({ data: [{ embedding: [1] }, { embedding: [1] }] }) // 0.6 of length 1
    expect(inBytes.data[0]?.embedding).toBe('mpkZP83MTL8=') // NumPy: base64 of float32 [0.6, -0.8]
    for (const [to, body, status, line] of [
      [app, { input: 'a' }, 400, 'model: expected a run of embeddings, got reviews, a run of classification'],
      [similar, { input: [] }, 400, 'the request: expected'],
      [similar, { input: ' ' }, 400, 'the request: expected a text, got an empty one'],
      [similar, { input: 'a', dimensions: 8 }, 400, 'the request: expected "dimensions" of at most 2, got 8'],
      [similar, { input: 'a', dimensions: 0 }, 400, 'the request: expected'],
      [similar, { input: [[1, 2]] }, 400, 'the request: expected'],
      [similar, { input: Array.from({ length: 129 }, () => 'a') }, 413, 'expected at most 128 texts in a request, got 129'],
    ] as const) {
      const refused = await ask(to, '/v1/embeddings', body)
      expect([refused.status, refused.json()], line).toEqual([
        status,
        { error: expect.objectContaining({ message: expect.stringContaining(line) }) },
      ])
    }
  })

  it.each<readonly [unknown, number, string]>([
    ['{"text":', 400, 'the request: expected JSON, got text that is not'],
    [{}, 400, 'the request: expected "text" (one text) or "inputs" (a list of texts), got neither'],
    [{ texts: ['a'] }, 400, 'the request: expected "text" (one text) or "inputs" (a list of texts), got "texts"'],
    [{ a: 1, b: 1, c: 1, d: 1 }, 400, 'got "a", "b", "c", …'],
    [{ text: 'a', foo: 1 }, 400, 'the request: expected an object with "text" or "inputs" (no key foo), got 1'],
    [{ text: ' ' }, 400, 'the request: expected a text, got an empty one'],
    [{ inputs: [] }, 400, 'the request: expected at least one of "inputs", got none'],
    [{ inputs: 'a', parameters: { function_to_apply: 'none' } }, 400, 'whose parameters has no key function_to_apply, got "none"'],
    [{ text: 'a', model: 'other' }, 404, 'model: expected one of reviews, got "other"'],
    [{ inputs: Array.from({ length: 129 }, () => 'a') }, 413, 'expected at most 128 texts in a request, got 129'],
    [{ text: 'a'.repeat(2 ** 20) }, 413, 'expected a body of at most 1048576 bytes'],
  ])('refuses %j with one line', async (body, status, line) => {
    const answer = await ask(app, '/classify', body)
    expect(answer.status).toBe(status)
    const { error } = answer.json() as { readonly error: string }
    expect(error).toContain(line)
    expect(error).not.toContain('\n')
    expect(answer.headers.get('connection')).toBe(status === 413 ? 'close' : null) // the rest of a body is not read
  })

  it('answers as many texts as it accepts', async () => {
    const answer = await ask(app, '/classify', { inputs: Array.from({ length: 128 }, () => 'a') })
    expect([answer.status, (answer.json() as readonly unknown[]).length]).toEqual([200, 128])
  })

  it(`never answers with a defect, whatever the body is (seed ${SEED})`, async () => {
    const body = fc.oneof(fc.json(), fc.string(), fc.record({ text: fc.anything(), inputs: fc.anything() }, { requiredKeys: [] }).map(text))
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom('/classify', '/v1/chat/completions'), async (given, path) => {
        expect((await ask(appOf({ a: classifier(), b: writer() }), path, given)).status).toBeLessThan(500)
      }),
      { seed: SEED, numRuns: 300 },
    )
  })
})

const text = (value: unknown): string => JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each)) ?? ''

type Called = {
  readonly content?: string | null
  readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: string } }[]
}

describe('/v1/chat/completions', () => {
  it.each([
    [
      'of Hermes, two after a text',
      'I look.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>\n<tool_call>{"name": "g"}</tool_call>',
      'I look.\n',
      [
        ['f', '{"a":1}'],
        ['g', '{}'],
      ],
    ],
    ['of Llama 3', ' {"name": "f", "parameters": {"x": "{"}}', null, [['f', '{"x":"{"}']]],
    [
      'of Mistral',
      '[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"b": []}}]',
      null,
      [
        ['f', '{}'],
        ['g', '{"b":[]}'],
      ],
    ],
    ['of Mistral, whose marker has no text', '[{"name": "f", "arguments": {}}]', null, [['f', '{}']]],
    [
      'of Mistral, a name before each',
      '[TOOL_CALLS]f[ARGS]{"x": "}"}[TOOL_CALLS]g[ARGS]{}',
      null,
      [
        ['f', '{"x":"}"}'],
        ['g', '{}'],
      ],
    ],
    ['of Mistral, a name without markers', 'f{"x": 1}', null, [['f', '{"x":1}']]],
    [
      'of Llama 3, two',
      '{"name": "f", "parameters": {"x": "; {"}}; {"name": "g", "parameters": {}}',
      null,
      [
        ['f', '{"x":"; {"}'],
        ['g', '{}'],
      ],
    ],
    ['of Granite', 'So:<|tool_call|>[{"name": "f", "arguments": {}}]', 'So:', [['f', '{}']]],
    ['of Phi-4', '<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>', null, [['f', '{}']]],
    ['of a word that a name begins', 'for{', undefined, []],
    ['of a name and an object that has no end', 'f{"x": "\\"\\"', undefined, []],
    ['of an unknown function', '<tool_call>{"name": "h", "arguments": {}}</tool_call>', undefined, []],
    ['cut off', 'So: <tool_call>{"name": "f", "argu', undefined, []],
    ['of a list that is none', '[1, 2] <tool_c', undefined, []],
    ['that begins after a text, without a marker', 'Here: {"name": "f", "arguments": {}}', undefined, []],
    ['with a text after it', '<tool_call>{"name": "f"}</tool_call> done', undefined, []],
    ['with a text before another', '<tool_call>{"name": "f"}</tool_call> or <tool_call>{"name": "g"}</tool_call>', undefined, []],
    ['that ends twice', '<tool_call>{"name": "f"}</tool_call></tool_call>', undefined, []],
    ['of a function beside an unknown one', '[{"name": "f"}, {"name": "h"}]', undefined, []],
  ] as const)('reads a call %s, at once and as a stream of any pieces', (_, text, content, calls) =>
    fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(text.length), { maxLength: 12 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length]
        const caller = appOf({
          a: writer(
            {},
            at.slice(1).map((to, i) => text.slice(at[i], to)),
          ),
        })
        const tools = ['f', 'g'].map((name) => ({ type: 'function', function: { name } }))
        const given = { messages: [{ role: 'user', content: 'x' }], tools }
        const whole = (await ask(caller, '/v1/chat/completions', given)).json() as { choices: { message: Called; finish_reason: string }[] }
        const events = (await ask(caller, '/v1/chat/completions', { ...given, stream: true })).text
          .split('\n\n')
          .filter((one) => one.startsWith('data: {'))
        const chunks = events.map(
          (one) => (JSON.parse(one.slice(6)) as { choices: { delta: Called; finish_reason: string | null }[] }).choices[0],
        )
        const list = (given?: Called) => (given?.tool_calls ?? []).map(({ function: { name, arguments: json } }) => [name, json])
        const [choice, streamed] = [whole.choices[0], chunks.map((one) => one?.delta.content ?? '').join('')]
        expect(choice?.message.content).toBe(content === undefined ? text : content)
        expect([streamed, ...chunks.flatMap((one) => list(one?.delta))]).toEqual([choice?.message.content ?? '', ...calls])
        expect(list(choice?.message)).toEqual(calls)
        const reason = calls.length > 0 ? 'tool_calls' : 'stop'
        expect([choice?.finish_reason, chunks.at(-1)?.finish_reason]).toEqual([reason, reason])
      }),
      { seed: SEED, numRuns: 15 },
    ),
  )

  const both = appOf({ reviews: classifier(), alpaca: writer(), second: writer({}, ['Other']) })
  const messages = [{ role: 'user', content: 'Hi' }]

  it("answers in the shape of OpenAI's API, from the run that `model` names", async () => {
    expect((await ask(both, '/v1/chat/completions', { model: 'alpaca', messages })).json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-/) as string,
      object: 'chat.completion',
      created: expect.any(Number) as number,
      model: 'alpaca',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello', refusal: null }, logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    })
    expect((await ask(both, '/v1/chat/completions', { model: 'second', messages })).text).toContain('"content":"Other"')
    expect(JSON.parse((await ask(both, '/v1/models')).text)).toMatchObject({
      object: 'list',
      data: [{ id: 'reviews' }, { id: 'alpaca' }, { id: 'second' }],
    })
  })

  it("answers a run by its name, and 404 with OpenAI's code for a name that it does not have", async () => {
    expect((await ask(both, '/v1/models/alpaca')).json()).toEqual({ id: 'alpaca', object: 'model', created: 7, owned_by: 'salora' })
    const error = (expected: string) => ({
      error: {
        message: `model: expected one of ${expected}, got "gpt-4"`,
        type: 'invalid_request_error',
        param: null,
        code: 'model_not_found',
      },
    })
    const [one, chat] = [
      await ask(both, '/v1/models/gpt-4'),
      await ask(both, '/v1/chat/completions', { model: 'gpt-4', messages: [{ role: 'user', content: 'a' }] }),
    ]
    expect([one.status, one.json()]).toEqual([404, error('reviews, alpaca, second')])
    expect([chat.status, chat.json()]).toEqual([404, error('alpaca, second')])
    expect((await ask(both, '/v1/models/alpaca', {})).status).toBe(405)
    const other = await ask(both, '/v1/chat/completions', { model: 'reviews', messages: [{ role: 'user', content: 'a' }] })
    expect([other.status, other.text]).toEqual([400, expect.stringContaining('got \\"reviews\\"')])
  })

  it('streams chunks as server-sent events that end with [DONE]', async () => {
    const answer = await ask(both, '/v1/chat/completions', {
      model: 'alpaca',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    const events = answer.text.trimEnd().split('\n\n')
    expect(events.every((event) => event.startsWith('data: '))).toBe(true)
    expect(events.at(-1)).toBe('data: [DONE]')
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)) as Chunk)
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
    expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true)
    expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'Hel' },
      { content: 'lo' },
      {},
      undefined,
    ])
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, null, 'stop', undefined])
    expect(chunks.at(-1)?.usage).toEqual({ prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 })
  })

  it('passes on the parameters that salora has, and refuses others that would change the answer', async () => {
    settingsAsked.length = 0
    const settingsFor = async (more: object) => {
      const { status } = await ask(both, '/v1/chat/completions', { model: 'alpaca', messages, ...more })
      expect(status).toBe(200)
      return settingsAsked.at(-1)
    }
    expect(await settingsFor({})).toEqual({})
    expect(await settingsFor({ max_tokens: 9, temperature: 0.5, top_p: 0.9, seed: 3, stop: 'x', n: 1, user: 'me' })).toEqual({
      maxNewTokens: 9,
      temperature: 0.5,
      topP: 0.9,
      seed: 3,
      stop: ['x'],
    })
    expect(await settingsFor({ max_completion_tokens: 4, max_tokens: 9, temperature: 0, top_p: 0.9 })).toEqual({
      maxNewTokens: 4,
      temperature: 0,
    })
    for (const [more, line] of [
      [{ logit_bias: { five: 100 } }, 'whose logit_bias'],
      [{ top_logprobs: 2 }, 'the request: top_logprobs: expected logprobs: true beside it'],
      [{ tool_choice: 'required' }, 'the request: tool_choice: expected one of tools, got none'],
      [{ tool_choice: { type: 'function', function: { name: 'f' } } }, 'the request: tool_choice: expected one of tools, got "f"'],
      [{ max_tokens: 1_000_001 }, 'whose max_tokens is a whole number of at most 1000000, got 1000001'],
      [{ reasoning_effort: 'low' }, 'the request: reasoning_effort is not supported'],
      [{ n: 129 }, 'whose n is a whole number of at most 128, got 129'],
      [{ frequency_penalty: 3 }, 'whose frequency_penalty is a number of at most 2, got 3'],
      [{ response_format: { type: 'grammar' } }, 'whose response_format.type is'],
      [
        { response_format: { type: 'json_schema', json_schema: { schema: { not: {} } } } },
        'schema: expected keywords that are supported, got not',
      ],
      [{ temperature: 3 }, 'whose temperature is a number of at most 2, got 3'],
      [{ messages: [] }, 'whose messages is a list of at least 1 entry'],
      [{ messages: [{ role: 'tool' }] }, 'expected content in a message of tool, got none'],
    ] as const) {
      const answer = await ask(both, '/v1/chat/completions', { model: 'alpaca', messages, ...more })
      const { error } = answer.json() as { readonly error: { readonly message: string; readonly type: string; readonly param: string } }
      expect([answer.status, error.type, error.param]).toEqual([400, 'invalid_request_error', Object.keys(more)[0]])
      expect(error.message).toContain(line)
    }
  })

  it('gives n answers with seeds in a row, each with its log-probabilities and penalties, whole and streamed', async () => {
    const scored = { token: 'Hel', bytes: [72, 101, 108], logprob: -0.5, top: [{ token: 'H', bytes: [72], logprob: -0.25 }] }
    const settings: Given[1][] = []
    const app = appOf({
      chat: {
        ...writer(),
        generate: async (_, given, { onPiece, onStart }) => {
          settings.push(given)
          onStart?.(5)
          onPiece('Hel', [scored])
          return { text: 'Hel', tokens: 2, ended: 'length', ids: [], logprobs: [scored] }
        },
      },
    })
    const more = {
      n: 2,
      seed: 7,
      temperature: 1,
      presence_penalty: 1,
      frequency_penalty: -1,
      logit_bias: { 5: 100 },
      logprobs: true,
      top_logprobs: 1,
    }
    const content = [{ token: 'Hel', bytes: [72, 101, 108], logprob: -0.5, top_logprobs: [{ token: 'H', bytes: [72], logprob: -0.25 }] }]
    expect((await ask(app, '/v1/chat/completions', { messages, ...more })).json()).toMatchObject({
      choices: [0, 1].map((index) => ({ index, message: { content: 'Hel' }, logprobs: { content }, finish_reason: 'length' })),
      usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
    })
    const changes = { presencePenalty: 1, frequencyPenalty: -1, logitBias: { 5: 100 }, logprobs: 1, temperature: 1 }
    expect(settings).toEqual([7, 8].map((seed) => ({ ...changes, seed })))
    const { text } = await ask(app, '/v1/chat/completions', { messages, ...more, stream: true })
    for (const index of [0, 1])
      expect(text).toContain(
        JSON.stringify({ index, delta: { content: 'Hel' }, logprobs: { content, refusal: null }, finish_reason: null }),
      )
    expect((await ask(appOf({ chat: writer() }, { textsPerRequest: 1 }), '/v1/chat/completions', { messages, n: 2 })).status).toBe(413)
  })

  it('hands tools, calls and their results to the chat template', async () => {
    asked.length = 0
    const [tools, call] = [
      [{ type: 'function', function: { name: 'f' } }],
      { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } },
    ]
    const history = [
      ...messages,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: '1' },
    ]
    const instructed = appOf({ chat: writer({ promptTemplate: 'alpaca' }) })
    expect((await ask(instructed, '/v1/chat/completions', { messages, tools })).text).toContain('expected no tools')
    expect((await ask(appOf({ chat: writer() }), '/v1/chat/completions', { messages: history, tools })).status).toBe(200)
    expect(asked).toEqual([{ tools, messages: [...messages, { role: 'assistant', content: '', tool_calls: [call] }, history[2]] }])
    expect((await ask(appOf({ chat: writer() }), '/v1/chat/completions', { messages, tools, tool_choice: 'none' })).status).toBe(200)
    expect(asked[1]).toEqual({ messages })
    for (const more of [{ parallel_tool_calls: false }])
      expect((await ask(appOf({ chat: writer() }), '/v1/chat/completions', { messages, tools, ...more })).status).toBe(400)
  })

  it('takes null for any parameter, and values that change no answer', async () => {
    settingsAsked.length = 0
    const nulls = ['max_tokens', 'temperature', 'seed', 'stop', 'tools', 'tool_choice', 'logit_bias', 'reasoning_effort', 'top_logprobs']
    const neutral = {
      tools: [],
      tool_choice: 'auto',
      logit_bias: {},
      parallel_tool_calls: true,
      service_tier: 'auto',
      modalities: ['text'],
    }
    for (const more of [Object.fromEntries(nulls.map((name) => [name, null])), neutral, { stream_options: { include_obfuscation: false } }])
      expect((await ask(both, '/v1/chat/completions', { model: 'alpaca', messages, ...more })).text).toContain('"content":"Hello"')
    expect(settingsAsked).toEqual([{}, {}, {}])
    expect((await ask(appOf({ chat: writer() }), '/v1/chat/completions', { model: null, messages })).status).toBe(200)
  })

  it('draws anew for each request without a seed, as clients expect that ask again for another answer', async () => {
    settingsAsked.length = 0
    for (let request = 0; request < 4; request++)
      await ask(both, '/v1/chat/completions', { model: 'alpaca', messages, ...(request < 2 ? { temperature: 1 } : { top_p: 0.9 }) })
    const seeds = settingsAsked.map((settings) => settings?.seed)
    expect(seeds.every(Number.isSafeInteger)).toBe(true)
    expect(new Set(seeds).size).toBe(4)
  })

  it('frames messages as the run was trained: a conversation, or one instruction', async () => {
    const chatting = appOf({ chat: writer() })
    const conversation = [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'H' },
          { type: 'text', text: 'i' },
        ],
      },
    ]
    await ask(chatting, '/v1/chat/completions', { messages: conversation })
    expect(asked.at(-1)).toEqual({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
      ],
    })
    const instructed = appOf({ alpaca: writer({ promptTemplate: 'paper' }) })
    await ask(instructed, '/v1/chat/completions', { messages })
    expect(asked.at(-1)).toEqual({ template: 'paper', instruction: 'Hi', input: '' })
    for (const [given, roles] of [
      [conversation, 'system, user'],
      [[...messages, ...messages], 'user, user'],
      [[{ role: 'assistant', content: 'a' }], 'assistant'],
    ] as const)
      expect((await ask(instructed, '/v1/chat/completions', { messages: given })).text).toContain(
        `expected one message of a user, as the run was trained on instructions (--prompt-template paper), got ${roles}`,
      )
  })

  it('answers an error of the run as JSON before the stream begins, and as an event after it', async () => {
    const failing = (afterStart: boolean) =>
      appOf({
        a: {
          ...writer(),
          generate: async (_prompt, _settings, { onStart, onPiece }) => {
            if (afterStart) onStart?.(1)
            if (afterStart) onPiece('x')
            await pause(1)
            throw new Error('broken')
          },
        },
      })
    const before = await ask(failing(false), '/v1/chat/completions', { messages, stream: true })
    expect([before.status, before.text]).toEqual([500, expect.stringContaining('"message":"broken"')])
    const after = await ask(failing(true), '/v1/chat/completions', { messages, stream: true })
    expect(after.status).toBe(200)
    expect(after.text).toContain('data: {"error":{"message":"broken"')
    expect(after.text.trimEnd().endsWith('data: [DONE]')).toBe(true)
  })
})

type Chunk = {
  readonly id: string
  readonly object: string
  readonly choices: readonly { readonly delta: object; readonly finish_reason: string | null }[]
  readonly usage?: object
}

describe('/v1/completions', () => {
  it('reads a prompt for its scores at most once, whatever is echoed', async () => {
    let reads = 0
    const token = (text: string) => ({ text, isSpecial: false, logProbability: -1, top: [] })
    const score: ServedRun['score'] = async ({ after }) => {
      reads++
      return { promptTokens: 2, tokens: ['a', 'b', ...after.map(() => '!')].map(token) }
    }
    const scored = appOf({ alpaca: { ...writer({}, ['!']), score } })
    const readsOf = async (body: object): Promise<readonly [number, string]> => {
      reads = 0
      const { json } = await ask(scored, '/v1/completions', { model: 'alpaca', ...body })
      return [reads, (json() as { choices: { text: string }[] }).choices[0]?.text ?? 'none']
    }
    const [ids, text] = [[5, 6], 'ab']
    expect(await readsOf({ prompt: ids, echo: true, logprobs: 1, max_tokens: 0 })).toEqual([1, 'ab'])
    expect(await readsOf({ prompt: ids, echo: true, logprobs: 1, max_tokens: 1 })).toEqual([1, 'ab!'])
    expect(await readsOf({ prompt: ids, echo: true, max_tokens: 1 })).toEqual([1, 'ab!'])
    expect(await readsOf({ prompt: ids, max_tokens: 1 })).toEqual([0, '!'])
    expect(await readsOf({ prompt: text, echo: true, max_tokens: 1 })).toEqual([0, 'ab!'])
  })
})

describe('the limits', () => {
  /** Answers when the test says so. */
  const held = () => {
    const release: (() => void)[] = []
    const run = classifier({
      predict: (_, signal) =>
        new Promise((resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error))
          release.push(() => resolve({ value: { label: 'good' }, truncated: false, tokens: 1 }))
        }),
    })
    return { run, answerAll: () => release.splice(0).forEach((answer) => answer()) }
  }

  it('refuse what the queue has no place for with 503 and Retry-After, while /health answers', async () => {
    const { run, answerAll } = held()
    const full = appOf({ a: run }, { queue: 3 })
    const first = ask(full, '/classify', { inputs: ['a', 'b', 'c'] })
    await expect.poll(() => full.places.taken()).toBe(3)
    const refused = await ask(full, '/classify', { text: 'd' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect((await ask(full, '/health')).json()).toEqual({ status: 'ok', models: ['a'] })
    answerAll()
    expect((await first).status).toBe(200)
    expect(full.places.taken()).toBe(0)
  })

  it('end a request that takes too long with 504, and free its place', async () => {
    const slow = appOf({ a: held().run }, { timeout: 30 })
    const answer = await ask(slow, '/classify', { text: 'a' })
    expect([answer.status, answer.text]).toEqual([504, '{"error":"expected an answer within 0.03 s"}\n'])
    expect(slow.places.taken()).toBe(0)
  })

  it('free the place of a client that goes away', async () => {
    const one = appOf({ a: held().run }, { queue: 1 })
    const leave = new AbortController()
    const gone = ask(one, '/classify', { text: 'a' }, { signal: leave.signal })
    await expect.poll(() => one.places.taken()).toBe(1)
    leave.abort()
    gone.catch(() => undefined) // in the process it waits for the answer, which comes late or never
    await expect.poll(() => one.places.taken(), { timeout: 5_000 }).toBe(0)
  })

  it('refuse other hosts, paths and methods', async () => {
    expect((await ask(app, '/health', undefined, { headers: { host: 'evil.example' } })).status).toBe(403)
    expect((await ask(app, '/nothing')).status).toBe(404)
    expect((await ask(app, '/classify')).text).toBe('{"error":"expected POST /classify"}\n')
  })

  it('refuse pages of other machines, which a browser lets post without asking, and admit those that are named', async () => {
    const post = (origin?: string) =>
      ask(app, '/classify', { text: 'a' }, { headers: { host: '127.0.0.1:8323', ...(origin === undefined ? {} : { origin }) } })
    const statuses = async (...origins: readonly (string | undefined)[]) =>
      (await Promise.all(origins.map(post))).map(({ status }) => status)
    expect(await statuses('https://evil.example', 'null', 'http://localhost.evil.example', 'https://app.example.evil')).toEqual([
      403, 403, 403, 403,
    ])
    expect(await statuses(undefined, 'http://localhost:3000', 'https://[::1]', 'https://app.example')).toEqual([200, 200, 200, 200])
    expect((await post('https://app.example')).headers.get('access-control-allow-origin')).toBe('https://app.example')
    const asked = { host: '127.0.0.1:8323', origin: 'https://app.example', 'access-control-request-method': 'POST' }
    expect((await ask(app, '/classify', undefined, { method: 'OPTIONS', headers: asked })).status).toBe(204)
  })

  it('bound the bytes of all bodies together, but not small requests', async () => {
    const { run, answerAll } = held()
    const busy = appOf({ a: run }, { bodyBytes: 2 ** 20 })
    const headers = { host: '127.0.0.1:8323', 'content-length': String(2 ** 20) }
    const large = Array.from({ length: 64 }, () => ask(busy, '/classify', { text: 'a' }, { headers }))
    await expect.poll(() => busy.places.taken()).toBe(64)
    const refused = await ask(busy, '/classify', { text: 'a' }, { headers })
    expect([refused.status, refused.text, refused.headers.get('retry-after')]).toEqual([
      503,
      '{"error":"other requests fill the memory"}\n',
      '1',
    ])
    expect((await ask(busy, '/health')).status).toBe(200)
    const small = ask(busy, '/classify', { text: 'a' }, { headers: { ...headers, 'content-length': '13' } })
    await expect.poll(() => busy.places.taken()).toBe(65)
    answerAll()
    expect(new Set((await Promise.all([...large, small])).map(({ status }) => status))).toEqual(new Set([200]))
  })

  it('name the methods of a path, as HTTP asks for with 405, and answer HEAD as GET without a body', async () => {
    const refused = await Promise.all(['/classify', '/health'].map((path) => ask(app, path, undefined, { method: 'DELETE' })))
    expect(refused.map(({ status, headers }) => [status, headers.get('allow')])).toEqual([
      [405, 'POST'],
      [405, 'GET, HEAD'],
    ])
    const head = await ask(app, '/health', undefined, { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    expect((await ask(app, '/classify', undefined, { method: 'HEAD' })).status).toBe(405)
  })

  it('refuse a body in another encoding than UTF-8, whose letters would be lost', async () => {
    const latin = Buffer.from('{"text": "café"}', 'latin1')
    const answer = await ask(app, '/classify', undefined, { method: 'POST', body: latin })
    expect([answer.status, answer.text]).toEqual([400, '{"error":"the request: expected JSON in UTF-8, got other bytes"}\n'])
    expect((await ask(app, '/classify', undefined, { method: 'POST', body: Buffer.from(latin.toString('latin1')) })).status).toBe(200)
  })

  it('refuse everything but a look at the health once the server stops', async () => {
    const stopping = appOf({ a: classifier() })
    stopping.places.close()
    expect((await ask(stopping, '/classify', { text: 'a' })).status).toBe(503)
    const health = await ask(stopping, '/health')
    expect([health.status, health.json()]).toEqual([503, { status: 'stopping', models: ['a'] }])
  })
})

describe('/metrics', () => {
  it("counts requests, texts and tokens in Prometheus's format", async () => {
    const counted = appOf({ 'a "b"\\': classifier(), w: writer() })
    await ask(counted, '/classify', { inputs: ['a', 'x'.repeat(20)] })
    await ask(counted, '/classify', { text: '' })
    await ask(counted, '/secret/path')
    await ask(counted, '/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] })
    const { text: lines, headers } = await ask(counted, '/metrics')
    expect(headers.get('content-type')).toContain('version=0.0.4')
    const sample = /^[a-z_]+(\{([a-z]+="(\\.|[^"\\\n])*",?)*\})? -?[\d.e+-]+$/
    for (const line of lines.trimEnd().split('\n')) expect(line).toMatch(line.startsWith('#') ? /^# (HELP|TYPE) [a-z_]+ .+$/ : sample)
    for (const line of [
      'salora_requests_total{path="/classify",status="200"} 1',
      'salora_requests_total{path="/classify",status="400"} 1',
      'salora_requests_total{path="other",status="404"} 1',
      'salora_texts_total{model="a \\"b\\"\\\\"} 2',
      'salora_truncated_texts_total{model="a \\"b\\"\\\\"} 1',
      'salora_prompt_tokens_total{model="w"} 5',
      'salora_generated_tokens_total{model="w"} 2',
      'salora_request_seconds_count{path="/classify"} 2',
      'salora_request_seconds_bucket{path="/classify",le="+Inf"} 2',
      'salora_queue_texts 0',
      'salora_runs 2',
    ])
      expect(lines.split('\n')).toContain(line)
    expect(lines).not.toContain('secret')
  })
})
