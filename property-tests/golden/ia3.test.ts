/** IA³ is PEFT's, by PEFT's own choice of matrices: what it computes, how it trains, and its files. */
import { describeExchange } from './methodExchange.js'
import { describeMethod } from './methodGolden.js'

const settings = () => ({ method: 'ia3' as const })

// PEFT stores a vector as a column or as a row.
describeMethod({
  method: 'ia3',
  settings,
  numbersOf: (name, { shape, data }) => ({ shape: name.endsWith('.l') ? [data.length] : shape, data }),
})
describeExchange({ method: 'ia3', settings })
