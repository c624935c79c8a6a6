/** The paper's recipe for each GLUE task: Table A2 and Appendix B's grid. Settings that the paper leaves out have our values. */
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

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
const notInPaper: SettingsInput = { batchSize: 32, maxLength: 128, warmupRatio: 0.06, weightDecay: 0.01 }

/** Appendix B. Its print lost the signs of the exponents, which are restored here. */
export const gridOfAppendixB: ReadonlyArray<number> = [5e-5, 7e-5, 9e-5, 2e-4, 3e-4, 4e-4, 5e-4, 7e-4]

/** T_start and T_end of appendix B. Elsewhere, SaLoRA's default is an earlier window. */
const window: SettingsInput = { gateStart: 0.2, gateEnd: 0.5 }

/** Default settings of a method's run on this task. Settings of the row and of the user override them. */
export const recipeOf = (task: GlueName, size: PaperSize, method: unknown): SettingsInput => ({
  ...notInPaper,
  ...tableA2[task][size],
  ...(method === 'salora' ? window : {}),
})
