/** The paper's recipe for each GLUE task, Table A2: `salora glue` and `--preset glue` train by it. Settings that the paper leaves out have our values. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import type { SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { GLUE_NAMES, isGlueName, type GlueName } from '../../data/glueTasks.js'
import type { TaskPreset } from '../task.js'

/** The two models with recipes in the paper: RoBERTa-base (12 layers of 768) and RoBERTa-large (24 of 1024). */
export type PaperSize = 'base' | 'large'

type Recipe = { readonly epochs: number; readonly learningRate: number }

/** Table A2: epochs and η_p by task and size. It has no WNLI, which gets the recipe of RTE, a task of similar size. */
const tableA2: Readonly<Record<GlueName, Readonly<Record<PaperSize, Recipe>>>> = {
  mnli: { base: { epochs: 15, learningRate: 9e-5 }, large: { epochs: 15, learningRate: 9e-5 } },
  sst2: { base: { epochs: 20, learningRate: 4e-4 }, large: { epochs: 20, learningRate: 5e-4 } },
  cola: { base: { epochs: 20, learningRate: 5e-4 }, large: { epochs: 20, learningRate: 4e-4 } },
  qqp: { base: { epochs: 20, learningRate: 4e-4 }, large: { epochs: 20, learningRate: 4e-4 } },
  qnli: { base: { epochs: 15, learningRate: 5e-4 }, large: { epochs: 15, learningRate: 4e-4 } },
  rte: { base: { epochs: 40, learningRate: 4e-4 }, large: { epochs: 40, learningRate: 5e-4 } },
  mrpc: { base: { epochs: 40, learningRate: 4e-4 }, large: { epochs: 40, learningRate: 2e-4 } },
  stsb: { base: { epochs: 30, learningRate: 7e-4 }, large: { epochs: 30, learningRate: 4e-4 } },
  wnli: { base: { epochs: 40, learningRate: 4e-4 }, large: { epochs: 40, learningRate: 5e-4 } },
}

/** Not in the paper. Batch size: as in its Table 4. Length: enough for GLUE's texts. Warm-up and weight decay: as in LoRA's scripts and PEFT's examples. */
const notInPaper: SettingsInput = { head: 'transformers', batchSize: 32, maxLength: 128, warmupRatio: 0.06, weightDecay: 0.01 }

/** T_start and T_end of appendix B. Elsewhere, SaLoRA's default is an earlier window. */
const window: SettingsInput = { gateStart: 0.2, gateEnd: 0.5 }

/** Default settings of a method's run on this task. Settings of the row and of the user override them. */
export const buildRecipe = (task: GlueName, size: PaperSize, method: unknown): SettingsInput => ({
  ...notInPaper,
  ...tableA2[task][size],
  ...(method === 'salora' ? window : {}),
})

/** SaLoRA by this recipe. @throws InputError for a task that is not GLUE's */
const makePreset = (size: PaperSize): TaskPreset => ({
  method: 'salora',
  help: `GLUE as the paper trains RoBERTa-${size}`,
  settings: (task) => {
    if (!isGlueName(task))
      throw inputError(option('preset'), words`${option('task')} ${GLUE_NAMES.join(', ')} beside this preset`, quoted(task))
    return buildRecipe(task, size, 'salora')
  },
})

export const gluePresets: Readonly<Record<string, TaskPreset>> = { glue: makePreset('base'), 'glue-large': makePreset('large') }
