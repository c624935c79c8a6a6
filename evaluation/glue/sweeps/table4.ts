/** Table 4: time and memory of LoRA and SaLoRA at three batch sizes, one run after another. */
import type { Sweep } from '../sweep.js'

export const table4: Sweep = {
  name: 'table4',
  summary: 'time and memory of LoRA and SaLoRA by batch size, one run after another',
  tasks: ['mrpc'],
  rows: () =>
    [16, 32, 64].flatMap((batchSize) =>
      (['lora', 'salora'] as const).map((method) => ({ name: `${method}, batch ${batchSize}`, settings: { method, batchSize } })),
    ),
  inTurn: true,
}
