/** AdamW's constants for W and λ: the paper says AdamW and no more, so these are PyTorch's. */
import type { AdamWSettings } from './adamw.js'

export const adamw: AdamWSettings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
