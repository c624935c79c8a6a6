/** The tables of words as matrices that a low-rank adapter may change: [vocabulary, width]. Neither is a matrix of a layer. */
import type { Matrix, Model } from './architecture.js'

/** The output matrix where it is not the table of embeddings. */
export const outputTable = 'lm_head.weight'

/** Whether the output matrix of a decoder is the table of embeddings. */
export const isTied = ({ causalHead, spec }: Pick<Model, 'causalHead' | 'spec'>): boolean => causalHead?.().words === spec.words

/** The embeddings, and a decoder's own output matrix. */
export const wordTables = ({ spec, causalHead }: Pick<Model, 'causalHead' | 'spec'>): readonly Matrix[] => {
  const shapes = [[spec.words, spec.tensors.get(spec.words) ?? []] as const, ...(causalHead?.().frozen ?? [])]
  return shapes.map(([table, [d = 0, k = 0]]) => ({ name: matrixOf(table), d, k }))
}

/** The name of the matrix whose weight is this tensor. */
export const matrixOf = (tensor: string): string => tensor.replace(/\.weight$/, '')

/** The matrices of the layers and the tables of words. */
export const adaptableMatrices = (model: Pick<Model, 'causalHead' | 'spec'>): readonly Matrix[] => [
  ...model.spec.matrices,
  ...wordTables(model),
]
