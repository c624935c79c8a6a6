/** The samples of a run, from its metrics.jsonl: what the model answered to each prompt after each evaluation. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { mostSamplePrompts } from '../../finetuning/runs/samplePrompts.js'
import { escapeTextTo } from './escapeText.js'

export type RunSample = { readonly prompt: string; readonly text: string }
export type SampledStep = { readonly step: number; readonly samples: ReadonlyArray<RunSample> }

/** Steps that are kept of a run; the newest is always among them. */
export const sampledSteps = 100
const [promptLength, textLength] = [200, 500]
const [shownOfPrompt, shownOfText] = [escapeTextTo(promptLength), escapeTextTo(textLength)]

/** Collects samples from lines of metrics.jsonl. Of more steps than fit, it keeps every second one, again and again. */
export const sampleCollector = () => {
  let [kept, stride, seen]: [SampledStep[], number, number] = [[], 1, 0]
  let newest: SampledStep | null = null
  return {
    /** @throws InputError for a line that holds no samples */
    add: (step: number, samples: unknown, where: string): void => {
      newest = { step, samples: samplesIn(samples, where) }
      if (seen++ % stride !== 0) return
      kept.push(newest)
      if (kept.length <= sampledSteps) return
      stride *= 2
      kept = kept.filter((_, i) => i % 2 === 0)
    },
    samples: (): ReadonlyArray<SampledStep> => (newest === null || kept.at(-1) === newest ? kept : [...kept, newest]),
  }
}

const samplesIn = (samples: unknown, where: string): ReadonlyArray<RunSample> => {
  if (!Array.isArray(samples) || samples.length > mostSamplePrompts)
    throw inputError(
      where,
      `a list of at most ${mostSamplePrompts} samples`,
      Array.isArray(samples) ? String(samples.length) : typeof samples,
    )
  return samples.map((sample: unknown) => {
    const { prompt, text } = (typeof sample === 'object' && sample !== null ? sample : {}) as {
      readonly prompt?: unknown
      readonly text?: unknown
    }
    if (typeof text !== 'string') throw inputError(where, 'a text in each sample', typeof text)
    return { prompt: shownOfPrompt(promptText(prompt)), text: shownOfText(inOneLine(text)) }
  })
}

/** A prompt as text; of a conversation, its messages with their roles. */
const promptText = (prompt: unknown): string => {
  if (typeof prompt === 'string') return inOneLine(prompt)
  const messages: ReadonlyArray<unknown> = Array.isArray(prompt) ? prompt : [prompt]
  return inOneLine(messages.map(messageText).join(' | '))
}

const messageText = (message: unknown): string => {
  const { role, content } = (typeof message === 'object' && message !== null ? message : {}) as {
    readonly role?: unknown
    readonly content?: unknown
  }
  return `${String(role)}: ${String(content)}`
}

const inOneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ⏎ ')
