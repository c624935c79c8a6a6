/** Prompt tuning as in PEFT: rows in place of word embeddings. The head reads the first row. */
import { describeExchange } from './methodExchange.js'
import { describeMethod } from './methodGolden.js'
import type { MethodGolden } from './golden.js'

const settings = ({ virtualTokens = NaN }: MethodGolden['settings']) => ({ method: 'prompt' as const, numVirtualTokens: virtualTokens })

describeMethod({ method: 'prompt', settings })
describeExchange({ method: 'prompt', settings })
