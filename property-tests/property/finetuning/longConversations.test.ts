/** Conversations of any length: one pass gives the segments and tokens that a rendering and a tokenization for each answer give. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { lineInFlags } from '../../../finetuning/commandLine/optionNames.js'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { chatTemplate, type ChatTemplate, type Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { dividingTokens, sharedTokens, loadTokenizer, type Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { llamaArchitecture } from '../../../accelerated/models/llama/llama.js'
import { conversationSegments, conversationTokens } from '../../../finetuning/tasks/texts/conversationTokens.js'
import type { Segment } from '../../../finetuning/tasks/texts/learnedTokens.js'
import { fixtures } from '../../golden/golden.js'
import { onePassTemplates, otherTemplates } from '../../support/chatTemplates.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('long-conversations')
const special = { bos_token: '<s>', eos_token: '</s>' }
const templates = { ...onePassTemplates, ...otherTemplates }

/** The oracle: two renderings for each answer. */
const byRenderings = (messages: readonly Message[], chat: ChatTemplate, tools: readonly unknown[]): readonly Segment[] => {
  const segments: Segment[] = []
  let done = ''
  messages.forEach(({ role }, i) => {
    if (role !== 'assistant') return
    const [before, after] = [chat(messages.slice(0, i), true, tools), chat(messages.slice(0, i + 1), false, tools)]
    if (!before.startsWith(done) || !after.startsWith(before))
      throw new Error(
        `--prompt-template chat: expected a template under which no message changes those before it (or paper, for instructions), got another at message ${i + 1}`,
      )
    segments.push({ text: before.slice(done.length), learned: false }, { text: after.slice(before.length), learned: true })
    done = after
  })
  return segments
}

const outcome = <T>(action: () => T): T | string => {
  try {
    return action()
  } catch (thrown) {
    return lineInFlags(thrown)
  }
}

/** Contents that templates trim, split and look into, and that tokenizers know as tokens, at their ends. */
const content = fc
  .array(fc.constantFrom('word', 'it’s', ' ', '\n', '  ', '.', '<s>', '</s>', '<s', '/s>', '[', 'w5', '<|user|>', 'é', '123', '😀'), {
    maxLength: 6,
  })
  .map((parts) => parts.join(''))
const call = { function: { name: 'weather', arguments: { city: 'Oslo' } } }
const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ role: fc.constantFrom('user', 'assistant'), content }) },
  { weight: 1, arbitrary: fc.record({ role: fc.constantFrom('system', 'tool'), content }) },
  { weight: 1, arbitrary: fc.record({ role: fc.constant('assistant'), content, tool_calls: fc.constant([call]) }) },
)
const alternating = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(content, content), { minLength: 1, maxLength: 9 }))
  .map(([hasSystem, exchanges]): readonly Message[] => [
    ...(hasSystem ? [{ role: 'system', content: 'Be brief.' }] : []),
    ...exchanges.flatMap(([asked, answered]) => [
      { role: 'user', content: asked },
      { role: 'assistant', content: answered },
    ]),
  ])
const conversation = fc.oneof(alternating, fc.array(message, { minLength: 1, maxLength: 16 }))
const tools = fc.constantFrom<readonly unknown[]>([], [call])

type TokenizerJson = { readonly added_tokens: readonly { readonly content: string }[] }

const turns = (count: number): readonly Message[] =>
  Array.from({ length: count }, (_, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: `turn ${i}: ${'the quick brown fox '.repeat(3)}`,
  }))

/** A template that counts its renderings. */
const counted = (template: string) => {
  const chat = chatTemplate(template, special, 'T')
  let [renderings, characters] = [0, 0]
  const counting: ChatTemplate = (...conversation) => {
    const text = chat(...conversation)
    renderings++
    characters += text.length
    return text
  }
  const { beginnings } = chat
  return { chat: Object.assign(counting, beginnings === undefined ? {} : { beginnings }), counts: () => ({ renderings, characters }) }
}

/** Each beginning as a whole: for any tokenizer, in quadratic time. */
const tokenizeBeginnings =
  (idsOf: (text: string) => readonly number[]): Tokenizer['shared'] =>
  (text, ends) => {
    const ids = idsOf(text)
    const shared = (beginning: readonly number[]): number => {
      const differs = beginning.findIndex((id, i) => id !== ids[i])
      return differs === -1 ? beginning.length : differs
    }
    return { ids, shared: ends.map((end) => (end >= text.length ? ids.length : shared(idsOf(text.slice(0, end))))) }
  }

describe('the segments of a conversation', () => {
  it.each(Object.entries(templates))(`are those of a rendering for each answer, or its error: %s (seed ${SEED})`, (_, template) => {
    const chat = chatTemplate(template, special, 'T')
    fc.assert(
      fc.property(conversation, tools, (messages, given) => {
        expect(outcome(() => conversationSegments(messages, chat, given))).toEqual(outcome(() => byRenderings(messages, chat, given)))
      }),
      { seed: SEED, numRuns: 30 },
    )
  })

  it.each(Object.entries(onePassTemplates))('are rendered in one pass: %s', (_, template) => {
    const { chat, counts } = counted(template)
    expect(conversationSegments(turns(200), chat)).toHaveLength(200)
    // the first beginnings are rendered alone where the template reads ahead of them
    expect(counts().renderings).toBeLessThanOrEqual(2)
  })
})

describe('tokens of a conversation', () => {
  const spec = { vocab_size: 1_000, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 }
  const model = llamaArchitecture.open({ model_type: 'llama', ...spec, max_position_embeddings: 512 }, 'config.json')
  const tokenizers: Record<string, Tokenizer> = {}
  beforeAll(async () => {
    const golden = JSON.parse(await readFile(join(fixtures, 'tokenizers.json'), 'utf8')) as {
      readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>>
    }
    const { llama2, qwen2 } = golden.kinds as unknown as Readonly<Record<string, { readonly tokenizer: TokenizerJson }>>
    if (llama2 === undefined || qwen2 === undefined) throw new Error('expected the kinds llama2 and qwen2')
    const changed = ({ tokenizer }: { readonly tokenizer: TokenizerJson }, change: (content: string) => object) => ({
      tokenizer: { ...tokenizer, added_tokens: tokenizer.added_tokens.map((token) => ({ ...token, ...change(token.content) })) },
    })
    const variants = {
      stripping: changed(qwen2, (content) => (content === '</s>' ? { lstrip: true } : { rstrip: true })),
      normalized: changed(llama2, () => ({ normalized: true, special: false })),
    }
    for (const [name, { tokenizer }] of Object.entries({ ...golden.kinds, ...variants })) {
      await cp(join(fixtures, 'llama'), join(folder, name), { recursive: true })
      await writeFile(join(folder, name, 'tokenizer.json'), JSON.stringify(tokenizer))
      tokenizers[name] = await loadTokenizer(join(folder, name), model)
    }
    tokenizers['words'] = await loadTokenizer(join(fixtures, 'llama'), model)
  })

  it.each(['llama2', 'metaspace', 'llama3', 'qwen2', 'stripping', 'normalized', 'words'])(
    `are those of a tokenization for each answer, with %s (seed ${SEED})`,
    (name) => {
      const tokenizer = tokenizers[name] ?? expect.fail('no tokenizer')
      const slow = { ...tokenizer, shared: tokenizeBeginnings(tokenizer.ids) }
      const chats = Object.values(onePassTemplates).map((template) => chatTemplate(template, special, 'T'))
      fc.assert(
        fc.property(alternating, fc.constantFrom(...chats), (messages, chat) => {
          const tokens = (frame: Tokenizer) =>
            outcome(() => conversationTokens({ chat, tokenizer: frame, ends: [2] }, { turns: messages, tools: [] }))
          expect(tokens(tokenizer)).toEqual(tokens(slow))
        }),
        { seed: SEED, numRuns: 40 },
      )
    },
  )

  it('are divided at added tokens that neither strip what is before them nor are looked for in the normalized text', () => {
    const token = { id: 1, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
    const added = [
      { ...token, content: '<s>' },
      { ...token, content: '<mask>', lstrip: true },
      { ...token, content: '  ', rstrip: true },
      { ...token, content: '<n>', normalized: true, special: false },
    ]
    const dividing = (normalizer: Parameters<typeof dividingTokens>[0]['normalizer']) => [
      ...dividingTokens({ added_tokens: added, normalizer }),
    ]
    expect(dividing({ type: 'NFC' })).toEqual(['<s>'])
    expect(dividing(null)).toEqual(['<s>', '<n>'])
  })

  it('take work in proportion to their number', () => {
    const work = (count: number): number => {
      let characters = 0
      const ids = (text: string): readonly number[] => {
        characters += text.length
        return Array.from(text.matchAll(/<s>|<\/s>|./gsu), ([token]) => token.charCodeAt(0))
      }
      const shared = sharedTokens(ids, new Set(['<s>', '</s>']), (text) => text.split(/(<s>|<\/s>)/u).filter((part) => part !== ''))
      for (const template of Object.values(onePassTemplates)) {
        const { chat, counts } = counted(template)
        conversationTokens({ chat, tokenizer: { ids, shared }, ends: [0] }, { turns: turns(count), tools: [] })
        characters += counts().characters
      }
      return characters
    }
    expect(work(400) / work(50)).toBeLessThan(9)
  })
})
