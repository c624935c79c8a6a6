/** How the paper trained on each task of GLUE: Table A2 (epochs and η_p by task and size), Appendix B's grid, and what it leaves out. */
import type { SettingsInput } from '../../accelerated/training/settings.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

/** RoBERTa-base (12 layers of 768) and RoBERTa-large (24 of 1024), whose recipes the paper gives. */
export type PaperSize = 'base' | 'large'

type Recipe = { readonly epochs: number; readonly learningRate: number }

/** Table A2. WNLI is not in it: RTE's, a task of its size. */
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

/** Not in the paper: batch and length as its Table 4 and the length of GLUE's texts have them, warm-up and decay as LoRA's scripts and PEFT's examples. */
const leftOut: SettingsInput = { batchSize: 32, maxLength: 128, warmupRatio: 0.06, weightDecay: 0.01 }

/** Appendix B, as its text has it but for the signs of the exponents, which were lost in print. */
export const gridOfAppendixB: ReadonlyArray<number> = [5e-5, 7e-5, 9e-5, 2e-4, 3e-4, 4e-4, 5e-4, 7e-4]

/** Settings of a run on this task, before those that a row or the user gives. */
export const recipeOf = (task: GlueName, size: PaperSize): SettingsInput => ({ ...leftOut, ...tableA2[task][size] })
