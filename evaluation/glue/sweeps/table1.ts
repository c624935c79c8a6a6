/** Table 1: every method on every task. */
import { GLUE_NAMES } from '../../../finetuning/data/glueTasks.js'
import { rowOf } from '../rows.js'
import type { Sweep } from '../sweep.js'

const methods = ['full', 'houlsby', 'pfeiffer', 'prefix', 'prompt', 'lora', 'adalora', 'salora']

export const table1: Sweep = {
  name: 'table1',
  summary: 'methods by tasks',
  tasks: GLUE_NAMES.filter((task) => task !== 'wnli'),
  rows: (_, requested) => requested ?? methods.map(rowOf),
}
