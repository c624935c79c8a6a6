/** Figure 4: LoRA and SaLoRA at several ranks. */
import { withRank } from '../rows.js'
import type { Sweep } from '../sweep.js'

export const figure4: Sweep = {
  name: 'figure4',
  summary: 'LoRA and SaLoRA by rank',
  tasks: ['mrpc', 'stsb', 'cola'],
  rows: () =>
    (['lora', 'salora'] as const).flatMap((method) =>
      [2, 4, 8, 16, 32].map((rank) => ({ name: `${method}, r = ${rank}`, settings: withRank(method, rank) })),
    ),
}
