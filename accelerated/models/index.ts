/** The architectures there are: one line each. */
import type { Architecture } from './architecture.js'
import { bertArchitecture } from './bert/bert.js'
import { distilbertArchitecture } from './distilbert/distilbert.js'
import { electraArchitecture } from './electra/electra.js'
import { llamaArchitecture } from './llama/llama.js'
import { modernbertArchitecture } from './modernbert/modernbert.js'
import { mpnetArchitecture } from './mpnet/mpnet.js'

export const architectures: ReadonlyArray<Architecture> = [
  bertArchitecture,
  distilbertArchitecture,
  electraArchitecture,
  llamaArchitecture,
  modernbertArchitecture,
  mpnetArchitecture,
]
