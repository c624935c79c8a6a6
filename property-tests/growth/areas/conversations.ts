/** Conversations: turns, and rows of a file of conversations. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chatTemplate, type Message } from '../../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { readConversations } from '../../../finetuning/data/conversations.js'
import { conversationTokens, withinExchanges } from '../../../finetuning/tasks/texts/conversationTokens.js'
import { onePassTemplates, otherTemplates } from '../../support/chatTemplates.js'
import { decoderTokenizer, sentence, times } from '../made.js'
import type { Grown } from '../measured.js'

const turns = (count: number): ReadonlyArray<Message> =>
  times(count, (i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: sentence(i, 30) }))

const tokenizing = (what: string, template: string, kind: string, more: Partial<Grown> = {}): Grown => ({
  what: `tokenize a conversation, ${what}`,
  of: 'turns',
  from: 300,
  prepare: async (size) => {
    const chat = chatTemplate(template, { bos_token: '<s>', eos_token: '</s>' }, 'template')
    const frame = { chat, tokenizer: await decoderTokenizer(kind), ends: [2] }
    const conversation = { turns: turns(size), tools: [] }
    return () => conversationTokens(frame, conversation)
  },
  ...more,
})

const [plain, checking] = [
  onePassTemplates['a role before each content'] ?? '',
  onePassTemplates['a check before the loop, and the last message of the user for tools'] ?? '',
]

export const conversations: ReadonlyArray<Grown> = [
  tokenizing('qwen2', plain, 'qwen2'),
  tokenizing('llama2', plain, 'llama2'),
  tokenizing('a checking template', checking, 'qwen2'),
  tokenizing('its template reads later messages', otherTemplates['later messages, which change nothing'] ?? '', 'qwen2', {
    from: 12,
    bound: { exponent: 2.1, reason: 'a rendering for each answer, as the template may render each differently' },
  }),
  tokenizing('no special tokens', plain.replaceAll('</s>', '|'), 'qwen2', {
    from: 12,
    bound: { exponent: 2.1, reason: 'a tokenization up to each answer, as no token divides the text' },
  }),
  {
    what: 'drop the oldest exchanges of a conversation',
    of: 'turns',
    from: 300,
    prepare: async (size) => {
      const chat = chatTemplate(plain, {}, 'template')
      const frame = { chat, tokenizer: await decoderTokenizer('qwen2'), ends: [2] }
      return () => withinExchanges(frame, { turns: turns(size), tools: [] }, 2_000)
    },
  },
  {
    what: 'render a conversation for an answer',
    of: 'turns',
    from: 300,
    prepare: async (size) => {
      const chat = chatTemplate(checking, { bos_token: '<s>', eos_token: '</s>' }, 'template')
      const messages = turns(size)
      return () => chat(messages, true)
    },
  },
  {
    what: 'read a file of conversations',
    of: 'rows',
    from: 500,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.jsonl')
      await writeFile(file, times(size, () => JSON.stringify({ messages: turns(6) })).join('\n'))
      return () => readConversations(file, 'chat')
    },
  },
  {
    what: 'read one row of a long conversation',
    of: 'turns',
    from: 250,
    prepare: async (size, folder) => {
      const file = join(folder, 'rows.jsonl')
      await writeFile(file, JSON.stringify({ messages: turns(size) }))
      return () => readConversations(file, 'chat')
    },
  },
]
