/** Everything whose cost is measured against its size. */
import type { Grown } from '../measured.js'
import { boardAreas } from './board.js'
import { conversations } from './conversations.js'
import { graphs } from './graphs.js'
import { ngrams } from './ngrams.js'
import { rows } from './rows.js'
import { sweeps } from './sweeps.js'
import { texts } from './texts.js'

export const areas: ReadonlyArray<Grown> = [...rows, ...texts, ...conversations, ...graphs, ...sweeps, ...boardAreas, ...ngrams]
