/** Every setting of a run by its type and its help text. Generated from the settings' tables: see property/accelerated/settingsInput.test.ts. */

export type MethodName = 'lora' | 'salora' | 'adalora' | 'houlsby' | 'pfeiffer' | 'prefix' | 'prompt' | 'ia3' | 'full'

/** All settings are optional. Those of another method than `method` are refused. */
export type SettingsInput = {
  /** Fine-tuning method. Default: lora */
  readonly method?: MethodName

  // Training

  /** Peak learning rate. Default: by method; lora: 4e-4 or 1e-3 */
  readonly learningRate?: number | null
  /** Weight decay of trained matrices. Default: 0.01 */
  readonly weightDecay?: number
  /** β₁ of AdamW. Default: 0.9 */
  readonly adamBeta1?: number
  /** β₂ of AdamW. Default: 0.999 */
  readonly adamBeta2?: number
  /** ε of AdamW. Default: 1e-8 */
  readonly adamEpsilon?: number
  /**
   * Learning-rate schedule. Default: linear
   *  - linear: linear decay to 0
   *  - cosine: half a cosine wave to 0
   *  - cosine_with_restarts: half waves that restart at the peak
   *  - constant: no warm-up, no decay
   *  - constant_with_warmup: no decay
   *  - polynomial: a power of the remaining steps, to lr-end
   */
  readonly lrSchedulerType?: 'linear' | 'cosine' | 'cosine_with_restarts' | 'constant' | 'constant_with_warmup' | 'polynomial'
  /** Fraction of all steps for linear warm-up. Default: 0.06 */
  readonly warmupRatio?: number
  /** Steps of linear warm-up (overrides `warmupRatio`). Default: none */
  readonly warmupSteps?: number | null
  /** Waves of cosine, or half waves of cosine_with_restarts. Default: 0.5 or 1 */
  readonly lrSchedulerNumCycles?: number | null
  /** Power of polynomial decay. Default: 1 */
  readonly lrSchedulerPower?: number
  /** Learning rate at the end of polynomial decay. Default: 1e-7 */
  readonly lrEnd?: number
  /** Training epochs. Default: 3, or enough for 350 steps */
  readonly epochs?: number | null
  /** Stop after this many steps (overrides `epochs`). Default: none */
  readonly maxSteps?: number | null
  /** Examples per batch. Default: 32 */
  readonly batchSize?: number
  /** Batches per optimizer step. Default: 1 */
  readonly gradientAccumulationSteps?: number
  /** Maximum tokens per example, special tokens included; longer examples are truncated. Default: 128 */
  readonly maxLength?: number
  /** Class weights of the loss: balanced, equal, or LABEL=WEIGHT pairs separated by commas. Default: auto: balanced for a file with two thirds of one class, else equal */
  readonly classWeights?: string | null
  /** Start of a sentence encoder's new classifier: probe (a regression on its embeddings) or transformers (its random initialization). Default: probe */
  readonly head?: 'probe' | 'transformers'
  /** Weight of the contrastive term for a sentence encoder's new classifier: pulls texts of one class together. Default: 1 for lora on fewer than 500 rows of a file, else 0 */
  readonly contrast?: number | null
  /** Clip the global gradient norm to this value. Default: no clipping */
  readonly maxGradNorm?: number | null
  /** Dropout probability of the model. Default: the model's config.json */
  readonly dropout?: number | null
  /** Noise of word embeddings in training: uniform up to alpha / √(tokens of the longest text · width) (NEFTune: 5 to 15). Default: none */
  readonly neftuneAlpha?: number | null
  /** Random seed. Default: 0 */
  readonly seed?: number

  // Machine

  /** Device: auto, cpu, webgpu or cuda; cuda:1 is the second card, and cuda:tf32 or cuda:1:tf32 multiplies in TF32, with 10-bit mantissas. Default: auto */
  readonly device?: 'auto' | 'cpu' | 'webgpu' | 'cuda' | `cuda:${string}`
  /**
   * Precision. Default: float32
   *  - float32: every tensor in float32
   *  - float64: every tensor in float64, for numerical checks
   *  - int8: frozen matrices in eight bits, the rest in float32, faster on a CPU with VNNI
   *  - int4: frozen matrices in four and eight bits, the rest in float32, for models too large for int8
   *  - mixed: frozen matrices and their products in float16, the rest in float32, for GPUs
   */
  readonly precision?: 'float32' | 'float64' | 'int8' | 'int4' | 'mixed'
  /** Recompute activations in the backward pass; less memory, slower steps, identical numbers. Default: false */
  readonly gradientCheckpointing?: boolean
  /** CPU threads; 0 lets ONNX Runtime choose. Default: 0 */
  readonly threads?: number

  // Run

  /** Steps between checkpoints. Default: at each evaluation */
  readonly saveSteps?: number | null
  /** Stop after this many evaluations without improvement. Default: never */
  readonly earlyStoppingPatience?: number | null
  /** Save the adapter of the best evaluation, by score and then by loss; `loadBestModelAtEnd: false` saves the last one. Default: on, unless less than 50 rows were held out */
  readonly loadBestModelAtEnd?: boolean | null
  /** Cross-validation folds for the score; the final run then trains on all rows, and 0 holds out rows instead. Default: 3 for lora on a sentence encoder and a file of less than 500 rows, else 0 */
  readonly evalFolds?: number | null
  /** Steps between evaluations. Default: one epoch */
  readonly evalSteps?: number | null

  // LoRA options

  /** Adapted matrices: ends of names (such as query,value; or a regular expression of whole paths), or all-linear (ia3: PEFT's choice). Default: all-linear */
  readonly targetModules?: readonly string[] | null
  /** Matrices that are not adapted: ends of their names, or a regular expression of whole paths. Default: none */
  readonly excludeModules?: readonly string[] | null
  /** Layers whose matrices are adapted, counted from 0. Default: all */
  readonly layersToTransform?: readonly number[] | null
  /** Rank of each adapter (SaLoRA: before pruning). Default: 8 */
  readonly rank?: number
  /** Scale updates by alpha / rank (rsLoRA: alpha / √rank; AdaLoRA: alpha / init-r). Default: 16 */
  readonly loraAlpha?: number
  /** Dropout probability of adapter inputs. Default: 0 */
  readonly loraDropout?: number
  /** Initialization of A and B: kaiming or gaussian; for lora also pissa, olora, eva or loftq (an int4 or int8 base), as in PEFT. Default: kaiming */
  readonly initLoraWeights?: 'kaiming' | 'gaussian' | 'pissa' | 'olora' | 'eva' | 'loftq'
  /** Learning rate of B over that of A (LoRA+: 4 to 16). Default: 1 */
  readonly loraplusLrRatio?: number
  /** Tokens to add to the tokenizer, or a .txt file with one per line; their embeddings are trained. Default: none */
  readonly newTokens?: readonly string[] | null
  /** Existing tokens or ids whose embeddings are trained, or a .txt file with one per line. Default: none */
  readonly trainableTokens?: readonly string[] | null
  /** Scale updates by alpha / √rank instead of alpha / rank (rsLoRA). Default: false */
  readonly useRslora?: boolean
  /** Train the length of each weight row separately from its direction (DoRA). Default: false */
  readonly useDora?: boolean
  /** Also train the biases of adapted matrices: lora_only; or none. Default: none */
  readonly loraBias?: 'none' | 'lora_only'
  /** JSON file of ranks by matrix, as salora rank-pattern prints them; rank 0 skips a matrix. Default: the same rank everywhere */
  readonly rankPattern?: Readonly<Record<string, number>> | null

  // SaLoRA options

  /** Fraction of the adapter parameters to keep. Default: 0.5 */
  readonly density?: number
  /** Weight of the orthogonality term. Default: 0.1 */
  readonly beta?: number
  /** Temperature of the gates. Default: 1 */
  readonly tau?: number
  /** Lower end of the stretched gate, below 0. Default: -0.1 */
  readonly gamma?: number
  /** Upper end of the stretched gate, above 1. Default: 1.1 */
  readonly zeta?: number
  /** Fraction of all steps after which gates are sampled. Default: 0.02 */
  readonly gateStart?: number
  /** Fraction of all steps after which the adapter is pruned. Default: 0.15 */
  readonly gateEnd?: number
  /** Pruning rule: budget (exactly the requested density) or paper (every gate with a positive expectation); baselines: random, magnitude (by plain LoRA weights). Default: budget */
  readonly retain?: 'budget' | 'paper' | 'random' | 'magnitude'
  /**
   * Gates after pruning. Default: soft
   *  - soft: fold their expectation into B
   *  - kept: a constant factor
   *  - binary: 1
   */
  readonly gateAfter?: 'soft' | 'kept' | 'binary'
  /** Gates before sampling: open (1) or expected (their expectation). Default: open */
  readonly warmupGate?: 'open' | 'expected'
  /** Reduce the orthogonality term over matrices by mean, or by sum as in equation (12). Default: mean */
  readonly orthogonality?: 'mean' | 'sum'
  /** Orthogonality term after pruning: unit (unchanged), folded (at the remaining column norms) or off. Default: unit */
  readonly orthogonalityAfter?: 'unit' | 'folded' | 'off'
  /** Density control: ramp (reaches the target early), adam (the paper's constant rate), descent (Algorithm 1's plain steps) or a number (constant λ of equation 10; 0 is no penalty). Default: ramp */
  readonly control?: 'ramp' | 'adam' | 'descent' | number | 'paper' | 'free'
  /** Learning rate of gates and multiplier. Default: 0.01 */
  readonly controlLearningRate?: number

  // AdaLoRA options

  /** Initial rank of each adapter; updates are scaled by alpha / init-r. Default: 12 */
  readonly initR?: number
  /** Final rank, averaged over the adapted matrices. Default: 8 */
  readonly targetR?: number
  /** Fraction of all steps before rank reduction starts. Default: 0.1 */
  readonly tinitRatio?: number
  /** Fraction of all steps that train at the final ranks. Default: 0.5 */
  readonly tfinalRatio?: number
  /** Steps between rank reductions; a pruned triplet may return in between. Default: 1 */
  readonly deltaT?: number
  /** Decay of the moving average of importance. Default: 0.85 */
  readonly importanceBeta1?: number
  /** Decay of the moving average of uncertainty. Default: 0.85 */
  readonly importanceBeta2?: number
  /** Weight of the orthogonality regularization. Default: 0.5 */
  readonly orthRegWeight?: number

  // Bottleneck adapter options

  /** Hidden size divided by the width of an adapter. Default: 16 */
  readonly reductionFactor?: number

  // Prefix and prompt tuning options

  /** Trained virtual tokens before each text. Default: 40 */
  readonly numVirtualTokens?: number

  // IA³ options

  /** Adapted matrices whose input is scaled instead of the output, by the end of their names. Default: the feed-forward's last matrix */
  readonly feedforwardModules?: readonly string[] | null
}
