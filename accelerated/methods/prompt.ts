/** Prompt tuning (Lester et al., 2021): trained rows precede each text in place of word embeddings. The head reads the first of them. */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { add, cast, constant, equal, less, matMul, mul, reshape, sub } from '../graph/operators.js'
import type { Method, MethodPhases, MethodReporting, MethodTraining } from './method.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import { settingsViaSet, type SettingValues } from '../settings/setting.js'
import { normalInitial } from '../parameters/initialization.js'

const settings = settingsViaSet('Prefix and prompt tuning options', {
  numVirtualTokens: {
    placeholder: 'tokens',
    description: 'Trained virtual tokens before each text',
    schema: z.int().min(1).max(65_536).default(40),
  },
})

export type PromptSettings = SettingValues<typeof settings> & CommonSettings

/** The one tensor that both methods train, in PEFT's name and layout: a row for each virtual token. */
export const promptEmbeddings = 'prompt_embeddings'

/** [virtual tokens, numbers of each] */
export const promptShape = z.tuple([z.int().min(1), z.int().min(1)])
type Shaped = { readonly shape: z.infer<typeof promptShape> }

/** What prefix and prompt tuning have in common. The tensor starts from N(0, 1), as torch.nn.Embedding does and PEFT leaves it. */
export const promptMethod = {
  settings,
  train: {
    tensors: ({ shape }, training) => [
      { name: promptEmbeddings, shape, group: buildWeightGroups(training).decayed, initial: normalInitial(1) },
    ],
  },
  phases: {
    validate: (phase, start) =>
      JSON.stringify(phase) === JSON.stringify(start)
        ? null
        : { expected: `${promptEmbeddings} of ${start.shape.join(' × ')}, as at its start`, got: `another of ${phase.shape.join(' × ')}` },
  },
  reporting: {
    parameterCounts: ({ shape: [tokens, width] }) => ({ adapter: tokens * width }),
  },
} as const satisfies {
  readonly settings: unknown
  readonly train: Partial<MethodTraining<PromptSettings, Shaped>>
  readonly phases: Partial<MethodPhases<PromptSettings, Shaped>>
  readonly reporting: MethodReporting<PromptSettings, Shaped>
}

const schema = z.strictObject({ shape: promptShape })
type PromptPhase = z.infer<typeof schema>

export const prompt: Method<PromptSettings, PromptPhase> = {
  name: 'prompt',
  summary: 'trained word embeddings before each text',
  settings: promptMethod.settings,
  train: {
    ...promptMethod.train,
    hook: 'embedded',
    wrap: (_, __, parameter) => (host) => ({
      ...host,
      embedded: (words, batch) => host.embedded(withPrompt(parameter(promptEmbeddings), words, batch.virtualToken), batch),
    }),
    virtualTokens: ({ numVirtualTokens }) => ({ count: numVirtualTokens, at: 'embeddings' }),
  },
  phases: {
    ...promptMethod.phases,
    schema,
    start: ({ embeddingSize }, { numVirtualTokens }) => ({ shape: [numVirtualTokens, embeddingSize] }),
  },
  reporting: promptMethod.reporting,
  export: { format: 'peftPrompt' },
}

/**
 * Row i of the prompt for virtual token i, the word for a real one. rows: [virtual tokens, width], words: [tokens, width],
 * virtualToken: [tokens]. A product, because its gradient is a product too: the gradient of a gather adds rows up, in any order on some providers.
 */
const withPrompt = (rows: Expression, words: Expression, virtualToken: Expression): Expression => {
  const count = rows.shape[0] as number
  const numbers = constant(
    Array.from({ length: count }, (_, i) => i),
    [count],
    virtualToken.dtype,
  )
  const numberOfToken = reshape(virtualToken, [...virtualToken.shape, 1])
  const chosen = cast(equal(numberOfToken, numbers), words.dtype) // [tokens, virtual tokens]: 1 in the column of the token's number
  const isReal = sub(1, cast(less(numberOfToken, count), words.dtype)) // [tokens, 1]
  return add(mul(words, isReal), matMul(chosen, rows))
}
