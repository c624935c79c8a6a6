/** Prefix tuning as PEFT does it: keys and values before the text's own, positions moved by as many. */
import { describeExchange } from './methodExchange.js'
import { describeMethod } from './methodGolden.js'
import type { MethodGolden } from './golden.js'

const settings = ({ virtualTokens = NaN }: MethodGolden['settings']) => ({ method: 'prefix' as const, numVirtualTokens: virtualTokens })

describeMethod({ method: 'prefix', settings })
describeExchange({ method: 'prefix', settings })
