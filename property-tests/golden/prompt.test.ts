/** Prompt tuning as PEFT does it: rows in place of word embeddings, of which the head reads the first. */
import { describeExchange } from './methodExchange.js'
import { describeMethod } from './methodGolden.js'
import type { MethodGolden } from './golden.js'

const settings = ({ virtualTokens = NaN }: MethodGolden['settings']) => ({ method: 'prompt' as const, numVirtualTokens: virtualTokens })

describeMethod({ method: 'prompt', settings })
describeExchange({ method: 'prompt', settings })
