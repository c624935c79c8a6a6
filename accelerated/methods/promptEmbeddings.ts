/** Prompt embeddings: the one tensor that prefix and prompt tuning train, in PEFT's name and layout, a row for each virtual token. */
import { z } from 'zod'
import { weightGroupsOf, type CommonSettings } from '../settings/commonSettings.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { normalInitial } from '../parameters/initialization.js'
import type { MethodPhases, MethodReporting, MethodTraining } from './method.js'

const settings = settingGroup('Prefix and prompt tuning options', {
  numVirtualTokens: {
    kind: 'number',
    placeholder: 'tokens',
    description: 'Trained virtual tokens before each text',
    schema: z.int().min(1).max(65_536).default(40),
  },
})

export type PromptSettings = SettingValues<typeof settings> & CommonSettings

export const promptEmbeddings = 'prompt_embeddings'

/** [virtual tokens, numbers of each] */
export const promptShape = z.tuple([z.int().min(1), z.int().min(1)])
type PromptPhase = { readonly shape: z.infer<typeof promptShape> }

/** What both methods have in common. The tensor starts from N(0, 1), as torch.nn.Embedding does and PEFT leaves it. */
export const promptMethod = {
  settings,
  train: {
    tensors: ({ shape }, training) => [
      { name: promptEmbeddings, shape, group: weightGroupsOf(training).decayed, initial: normalInitial(1) },
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
  readonly train: Partial<MethodTraining<PromptSettings, PromptPhase>>
  readonly phases: Partial<MethodPhases<PromptSettings, PromptPhase>>
  readonly reporting: MethodReporting<PromptSettings, PromptPhase>
}
