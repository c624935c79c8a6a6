/**
 * Style transfer: all datasets, one line each.
 *
 * Metrics that other evaluations share belong in bleu/ and ngram/; pages of examples belong in reporting/.
 */
import { gyafc } from './gyafc.js'
import type { TransferDataset } from './transferData.js'
import { yelp } from './yelp.js'

export const transferDatasets: ReadonlyArray<TransferDataset> = [yelp, gyafc]
