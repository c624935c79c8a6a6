/** Defaults that evidence decides: the method, and what depends on it or on the size of the data. Each has its source, a publication or a measurement. */

export type Sourced<T = number> = { readonly value: T; readonly source: string }

/** The method of a run that names none. */
export const method: Sourced<'lora'> = {
  value: 'lora',
  source:
    'salora with half of its parameters is level with it on two encoders and behind it on a decoder (docs/results/salora-and-lora.md), ' +
    'and lora is simpler: it has one phase, and each of its checkpoints may be the best',
}

/** The peak learning rate of methods that `learningRates` does not name. */
export const learningRate: Sourced = {
  value: 4e-4,
  source:
    "the most frequent rate in the paper's Table A2; on held-out rows, 3e-4 was the best of the grid in docs/results/salora-and-lora.md",
}

/** The same for lora and salora on a small decoder, or on a small sentence encoder with a probe and many rows: of a hidden size below this. */
export const smallSize = 700
export const smallModelLearningRate: Sourced = {
  value: 1e-3,
  source:
    'measured: lora of rank 8 on SmolLM2-135M (hidden size 576), 400 steps on each of five sets of text, two seeds: held-out loss 0.02 to 0.10 below that ' +
    'at 4e-4 (docs/results/salora-and-lora.md). On Qwen2.5-0.5B (896), the one run at 1e-3 was 0.03 above. lora on all-MiniLM-L6-v2 (384), two draws: ' +
    '4,000 rows of SST-2, 2.0 and 3.6 points more than at 4e-4; of CoLA, 1.8 more and 1.4 less; 200 rows of each class of six sets, 0.4 more on average. ' +
    '16 and 64 rows of Yelp, one draw: 10.0 and 3.3 less, so fewer than 500 rows stay at 4e-4',
}

/** Peak learning rates by method. Held-out scores: docs/results/salora-and-lora.md. */
export const learningRates: readonly (Sourced & { readonly methods: readonly string[] })[] = [
  { methods: ['full'], value: 5e-5, source: "the Trainer's default; on held-out rows, within a point of the best (1e-4)" },
  { methods: ['adalora'], value: 1e-3, source: "between 5e-4 and 2.2e-3, the rates in AdaLoRA's scripts for GLUE" },
  { methods: ['houlsby', 'pfeiffer'], value: 1e-3, source: 'the best on held-out rows for houlsby, and within a point of it for pfeiffer' },
  {
    methods: ['ia3'],
    value: 3e-3,
    source:
      "T-Few's rate, and measured: the embedded model on 400 rows of SST-2, three draws, scored on 600 other rows. Loss of the best step 0.654, beside 0.655 at 1e-3, " +
      '0.709 at 1e-2 and 0.747 at 3e-2; accuracy of the last step 62.6, beside 61.1, 61.8 and 56.8',
  },
  { methods: ['prefix', 'prompt'], value: 3e-3, source: 'the best on held-out rows' },
]

const window =
  'measured beside the window of the paper (0.2 to 0.5): 0.019 less loss on five sets of text, with a small decoder. ' +
  'On four GLUE tasks, no difference was shown (docs/results/salora-and-lora.md)'

/** What runs did before there was a setting, where its default is something else. */
export const beforeTheSetting = { head: 'transformers', evalFolds: 0, contrast: 0 } as const

/** Where salora starts and stops sampling its gates, as fractions of all steps. */
export const gateStart: Sourced = { value: 0.02, source: window }
export const gateEnd: Sourced = { value: 0.15, source: window }

/** Epochs of a run that names neither epochs nor steps, if they are enough steps. */
export const epochs: Sourced = { value: 3, source: "the Trainer's default" }

/** Steps of this run, at least. */
export const leastSteps: Sourced = {
  value: 350,
  source:
    'measured: all-MiniLM-L6-v2 with LoRA on 100, 300 and 1,000 rows of SST-2, means of two seeds, scored on 600 other rows of train. ' +
    'Three epochs: accuracy 0.50, 0.59 and 0.84; 300 steps: 0.75, 0.81 and 0.84. On 1,000 rows of MRPC, one seed: 0.70 and 0.74. ' +
    'SaLoRA samples its gates in 13 % of a run, and needs 40 of these steps: 308 in all',
}

/** Steps of this run, at least, where the head begins as a probe and the method has one phase: this many, and one more for every five examples. */
export const leastProbedSteps: Sourced = {
  value: 40,
  source:
    'measured: all-MiniLM-L6-v2 with LoRA in batches of 16, one draw, accuracy on 600 other rows. 16 rows of Yelp: 81.3 by the probe, ' +
    '84.5 after 40 steps, 85.0 after 80. 32 rows of SST-2: 67.0, 70.7 and 71.2. It never fell below the probe',
}

/** Weight of the contrast between classes, where few rows train a sentence encoder's new classifier. */
export const contrast: Sourced = {
  value: 1,
  source:
    'measured beside 0 and 3: all-MiniLM-L6-v2 with LoRA on 8 and 32 rows of each class of four sets, up to three draws, accuracy on 600 other rows. ' +
    '0.9 points more than 0, with a standard error of 0.3: more in 14 of 19 runs, less in 4, by 1.5 at most',
}

/** Held-out rows from which on the best step is kept; with fewer, the choice would be chance. */
export const leastChoosingRows: Sourced = {
  value: 50,
  source: 'the standard error of an accuracy of 0.8 on 50 rows is 0.06, as much as the steps of a run usually differ',
}

/** Held-out rows that calibrate a classifier, at most: one more pass over them. */
export const mostCalibrating: Sourced = { value: 2_000, source: 'one number is fitted, and more rows hardly change it' }

/** Folds that score few rows of a file, where the head begins as a probe. */
export const defaultFolds: Sourced = {
  value: 3,
  source:
    'three models of two thirds of the rows cost half of five models of four fifths, and the kept model is trained on all rows either way',
}

/** Rows from which on a part of a file is held out instead. */
export const mostFoldedRows: Sourced = {
  value: 500,
  source: 'the standard error of an accuracy of 0.8 on a tenth of these rows is 0.06',
}

/** Evaluations of this run at most, where an epoch has few steps. */
export const mostEvaluations: Sourced = { value: 20, source: 'evaluations take a small part of the time' }

/** Evaluations of this run at least, where the held-out rows are many beside the trained ones. */
export const leastEvaluations: Sourced = {
  value: 4,
  source:
    'measured: all-MiniLM-L6-v2 with LoRA on 200 rows of Yelp and 1,000 held-out ones, seeds 0 and 1. 4 evaluations instead of 12 took 23 seconds of ' +
    'processor time instead of 40, and kept a step of the same accuracy (93.0, 92.1)',
}

/** @param size hidden size of a decoder that predicts tokens, or of a sentence encoder with a probe; null: the model is another, or not known yet */
export const findLearningRate = (method: string, size: number | null = null): number => {
  const own = learningRates.find(({ methods }) => methods.includes(method))
  const isSmall = size !== null && size < smallSize && ['lora', 'salora'].includes(method)
  return (own ?? (isSmall ? smallModelLearningRate : learningRate)).value
}

/** The default learning rates in words, for --help. */
export const learningRateText = `by method; lora: ${learningRate.value.toExponential()} or ${smallModelLearningRate.value.toExponential()}`
