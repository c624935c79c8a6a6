/** All sweeps, one line each. */
import type { Sweep } from '../sweep.js'
import { figure1 } from './figure1.js'
import { figure4 } from './figure4.js'
import { figure5 } from './figure5.js'
import { table1 } from './table1.js'
import { table3 } from './table3.js'
import { table4 } from './table4.js'

export const sweeps: ReadonlyArray<Sweep> = [table1, table3, table4, figure1, figure4, figure5]
