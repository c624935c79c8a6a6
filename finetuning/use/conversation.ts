/** A conversation with a decoder: messages in turn, each answered as it is generated. */
import type { Message } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { resolveAnswers } from '../../accelerated/generation/answers.js'
import type { GenerationInput } from '../../accelerated/generation/generationSettings.js'
import type { AnswerOptions, AnswerEvent, Generator } from './generator.js'

export type Conversation = {
  readonly messages: () => readonly Message[]
  /**
   * The answer as it is generated. Both messages join the conversation; of an aborted answer, its beginning.
   * @throws InputError if the template refuses the message or the model has no room for it; the conversation then stays the same
   */
  readonly say: (text: string, signal?: AbortSignal) => AsyncGenerator<AnswerEvent, void>
  /** Forgets all messages. @param system a new system message; absent: the present one stays */
  readonly restart: (system?: string) => void
}

/**
 * @param generator reads each message once if it keeps its cache
 * @param system the system message to begin with; null: the template's own, if it has one
 * @throws InputError if the model has no chat template, or one without system messages if one is given; SettingsError for a wrong setting
 */
export const openConversation = (
  generator: Pick<Generator, 'encode' | 'answers'>,
  settings: Partial<GenerationInput> & AnswerOptions,
  system: string | null = null,
): Conversation => {
  resolveAnswers(settings)
  const opening = (text: string | null): readonly Message[] => (text === null ? [] : [{ role: 'system', content: text }])
  let [first, messages] = [system, opening(system)]
  generator.encode({ messages: [...messages, { role: 'user', content: '?' }] }, 'the conversation') // before anyone types a message
  return {
    messages: () => messages,
    restart: (text) => {
      first = text ?? first
      messages = opening(first)
    },
    say: async function* (text, signal) {
      const asked = [...messages, { role: 'user', content: text }]
      const ids = generator.encode({ messages: asked }, 'the conversation')
      const seed = (settings.seed ?? 0) + asked.length // else each answer would take the same draws
      let answer = ''
      for await (const event of generator.answers([ids], { ...settings, seed }, signal)) {
        if (event.kind === 'piece') answer += event.text
        yield event
      }
      messages = [...asked, { role: 'assistant', content: answer }]
    },
  }
}
