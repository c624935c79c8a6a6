/** Samples of a run: answers to its prompts with the parameters of an evaluation, so that people see what the model learns. */
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { namedEosTokenIds } from '../../accelerated/checkpoints/tokenizer/eosToken.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { answersTo, answerText } from '../../accelerated/generation/answers.js'
import { openDecoder } from '../../accelerated/generation/decoder.js'
import type { Assembly } from '../../accelerated/training/assembly.js'
import type { Sample, TrainingTask } from '../../accelerated/training/events.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { availablePositions } from '../../accelerated/training/runLength.js'
import { parseTemplate } from '../data/promptTemplates.js'
import { takesPromptTemplate, type TaskOptions } from '../tasks/index.js'
import { framed, promptTokens } from '../tasks/texts/prompts.js'
import { estimateSampleMemory, type SampleMemory } from './sampleMemory.js'
import { sampleTokens, displayPrompt, type SamplePrompt } from './samplePrompts.js'

type SampledRun = { readonly assembly: Assembly; readonly runtime: Runtime; readonly base: ModelFolder; readonly task: TaskOptions }

/** memory: what the session of an answer adds to the run; absent: hardly anything */
export type Sampler = { readonly sample: NonNullable<TrainingTask['sample']>; readonly memory?: SampleMemory }

/**
 * Each call opens a session and releases it, so that a training step has the memory again. It draws no random number of the run.
 * @throws InputError if a prompt is empty or too long, or needs a chat template that the model lacks
 */
export const openSampler = async ({ assembly, runtime, base, task }: SampledRun, prompts: readonly SamplePrompt[]): Promise<Sampler> => {
  const { folder, model } = base
  const { method, settings } = assembly
  const tokenizer = await base.tokenizer()
  const [tokenizePrompt, endTokens] = [
    await promptTokens(folder, tokenizer, task.templateDate),
    await namedEosTokenIds(folder, model.vocabularySize),
  ]
  const { left, description } = availablePositions(method, settings, model)
  const template = takesPromptTemplate(task.task) ? parseTemplate(task) : null
  const ids = prompts.map((prompt, i) => {
    const where = words`${option('samplePrompts')}, prompt ${i + 1}`
    const tokens = tokenizePrompt(framed(prompt, template, where))
    if (tokens.length === 0) throw inputError(where, 'a prompt of at least one token', 'none')
    if (tokens.length >= left) throw inputError(where, `a prompt of at most ${left - 1} tokens (of ${description})`, String(tokens.length))
    return tokens
  })
  const sample: Sampler['sample'] = async function* ({ phase, parameters }, signal) {
    const decoder = await openDecoder(assembly, phase, parameters, runtime)
    try {
      const samples = new Map<number, Sample>()
      const text = answerText(tokenizer, decoder.assembly.model.vocabularySize, endTokens)
      for await (const event of answersTo(decoder, text, ids, { maxNewTokens: sampleTokens }, signal)) {
        if (event.kind !== 'answer') continue
        const { prompt, text: answer, tokens, ended } = event
        samples.set(prompt, { prompt: displayPrompt(prompts[prompt] ?? ''), text: answer, tokens, ended })
        yield samples.size
      }
      return signal.aborted ? null : prompts.flatMap((_, i) => samples.get(i) ?? [])
    } finally {
      await decoder.release()
    }
  }
  const longest = Math.max(...ids.map(({ length }) => length))
  return { sample, memory: estimateSampleMemory(assembly, { prompts: ids.length, tokens: longest, newTokens: sampleTokens }) }
}
