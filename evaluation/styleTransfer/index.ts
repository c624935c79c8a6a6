/** Style transfer: the sets of data there are, a line each. */
import { gyafc } from './gyafc.js'
import type { TransferDataset } from './transferData.js'
import { yelp } from './yelp.js'

export const transferDatasets: ReadonlyArray<TransferDataset> = [yelp, gyafc]
