/** What llama.cpp's code of Gemma assumes, and its files do not say. */
import type { Model } from '../../models/architecture.js'

/** By our family: each layer of this number, or a multiple of it, has no window. */
export const gemmaWindowPatterns: Readonly<Record<string, number>> = { gemma2: 2, gemma3_text: 6 }

/** Layers of the models of 27 billion parameters, whose scores are scaled otherwise. */
const largest: Readonly<Record<string, number>> = { gemma2: 46, gemma3_text: 62 }

type Sizes = Readonly<Record<'layers' | 'hiddenSize' | 'heads' | 'headSize', number>> & { readonly family: string }

/** The scores are divided by the root of it. */
export const gemmaQueryScalar = ({ family, layers, hiddenSize, heads, headSize }: Sizes): number =>
  largest[family] === layers ? hiddenSize / heads : headSize

/** Its files have 1 + the weights of norms. → the number that they add to this tensor */
export const ggufOffset = ({ type }: Pick<Model, 'type'>, tensor: string): 0 | 1 =>
  Object.hasOwn(gemmaWindowPatterns, type) && tensor.endsWith('norm.weight') ? 1 : 0
