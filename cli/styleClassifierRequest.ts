/** --classifier: a run that tells two styles apart. */
import type { StyleClassifier } from '../evaluation/styleTransfer/styleTransfer.js'

export const styleClassifierOf = (_dataset: string, _run: string): Promise<StyleClassifier> => {
  throw new Error('not yet')
}
